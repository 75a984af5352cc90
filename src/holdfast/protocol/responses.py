"""What an app's HTTP answer means (`protocol/execution.md` §3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from holdfast.protocol import decode_errors
from holdfast.protocol.dates import parse_retry_after
from holdfast.protocol.errors import server_error, step_error
from holdfast.protocol.limits import MAX_RESPONSE
from holdfast.protocol.opcodes import Op, Opcode, OpcodeError, parse_ops
from holdfast.protocol.rawjson import UNREADABLE, decode_text, kind, mend, quote, text_of, valid

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_SDK: Final = "The response did not come from an Inngest SDK"
NO_RETRY: Final = "NonRetriableError"
RETRY_AT: Final = "retry at"
TOO_LARGE: Final = "Your function's response body exceeds the maximum size limit"
TOO_LARGE_CODE: Final = "output_too_large"

STREAMED: Final = 201
OPS: Final = 206

_UPSTREAM_BYTES = 8_192
_UPSTREAM_NAME = "Server returned a fatal error"
_UPSTREAM_HINT = (
    "The request failed before any step reported a result: a proxy or load balancer in front of the app may have "
    "answered in its place, or the app could not answer."
)
#: TypeScript SDKs before these could not say whether a 4xx may be retried, and meant that it may not.
_JS_SAYS_NO_RETRY = {True: (2, 4, 1), False: (1, 10, 1)}
_JS_VERSION = re.compile(r"(?:inngest-)?js:v(\d+)\.(\d+)\.(\d+)")


class Outcome(msgspec.Struct, gc=False):
    """An answer, understood.

    Either `ops` is set, or `error` (a failed attempt), or neither: the function returned `output`.
    """

    status: int  # HTTP status after unwrapping a stream; 0 when no answer came
    ops: list[Op] | None = None
    output: bytes | None = None  # JSON: the return value, or the body of the failure as the user sees it
    error: str = ""  # the attempt's error text, such as `invalid status code: 500`
    retry_at: int | None = None  # ms since the epoch
    no_retry: bool = False
    request_version: int | None = None
    sdk: str = ""
    headers: dict[str, str] = {}
    size: int = 0
    text: bool = False  # the body was no JSON: `output` is its text, quoted


class _Envelope(msgspec.Struct, gc=False):
    """A streamed answer: what the status line, headers and body would have been (§3.4)."""

    status: int | None = 0
    headers: dict[str, Raw] | None = None
    body: Raw = Raw()
    error: Raw = Raw()


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def read_response(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Outcome:
    """Understand an answer: status dispatch, streaming envelope, overrides of §3.1 in their order.

    Names of headers are in lower case.
    """
    if len(body) > MAX_RESPONSE:
        return transport_failure(TOO_LARGE, TOO_LARGE_CODE)
    if status == STREAMED:
        return _read_stream(headers, body, now_ms)
    return _read(status, dict(headers), body, now_ms, len(body))


def transport_failure(text: str, code: str = "") -> Outcome:
    """Return the outcome of a call that got no usable answer (§2.6)."""
    if code == TOO_LARGE_CODE:
        output = server_error(code, text, stack=f"{code}: {text}")
    else:
        output = server_error("Error", text, text)
    return Outcome(0, output=output, error=text)


def _read(status: int, headers: dict[str, str], body: bytes, now_ms: int, size: int) -> Outcome:
    sdk = headers.get("x-inngest-sdk", "")
    outcome = Outcome(status, sdk=sdk, headers=headers, size=size)
    outcome.no_retry = _no_retry(status, sdk, headers.get("x-inngest-no-retry", ""))
    if (version := headers.get("x-inngest-req-version")) is not None:
        outcome.request_version = _version(version)
    if (retry_after := headers.get("retry-after")) is not None:
        outcome.retry_at = parse_retry_after(retry_after, now_ms)
    if status == OPS:
        _read_ops(outcome, body)
    else:
        _read_result(outcome, body)
    return outcome


def _read_ops(outcome: Outcome, body: bytes) -> None:
    try:
        ops = parse_ops(body)
    except OpcodeError as error:
        outcome.error = str(error)
        outcome.output = server_error("Error", outcome.error, outcome.error)
        return
    if not outcome.sdk:
        outcome.error = NOT_SDK
        _keep_body(outcome, body)
        return
    if outcome.no_retry:
        for op in ops:
            if op.op is Opcode.STEP_ERROR and op.error is not None:
                op.error = step_error(op.error, no_retry=True)
    outcome.ops = ops


def _read_result(outcome: Outcome, body: bytes) -> None:
    """Apply the overrides of §3.1 in their order; later ones win."""
    good = 200 <= outcome.status < 300
    _keep_body(outcome, body)
    if not good:
        outcome.error = f"invalid status code: {outcome.status}"
        if not outcome.sdk:
            outcome.output, outcome.text = _upstream_error(outcome, body), False
    if outcome.no_retry:
        outcome.error = NO_RETRY
    if outcome.retry_at is not None:
        outcome.error = outcome.error or RETRY_AT
    if good and not outcome.sdk:
        outcome.error = NOT_SDK


def _no_retry(status: int, sdk: str, header: str) -> bool:
    if header:
        return header == "true"
    if not 400 <= status < 500:
        return False
    if (match := _JS_VERSION.match(sdk)) is None:
        return False
    version = tuple(map(int, match.groups()))
    return version < _JS_SAYS_NO_RETRY[version >= (2,)]


def _version(text: str) -> int | None:
    try:
        return int(text) if len(text) < 10 else None
    except ValueError:
        return None


def _keep_body(outcome: Outcome, body: bytes) -> None:
    """Make JSON of a body (§3.6): an object within a string is taken out of it, what isn't JSON becomes a string."""
    if not body.strip():
        return
    json = valid(body)
    if json is None:
        outcome.output, outcome.text = quote(body.decode("utf-8", "replace")), True
    elif json[:1] == b'"' and (inner := decode_text(json).strip().encode())[:1] == b"{":
        outcome.output = valid(inner) or json
    else:
        outcome.output = json


def _upstream_error(outcome: Outcome, body: bytes) -> bytes:
    """Return what users see when something before the SDK failed (§3.8)."""
    message = f"Your server returned HTTP {outcome.status} before the SDK responded."
    stack = _UPSTREAM_HINT
    if body:
        content_type = outcome.headers.get("content-type", "")
        label = f"Upstream response ({content_type}):" if content_type else "Upstream response:"
        stack += f"\n\n{label}\n{body[:_UPSTREAM_BYTES].decode('utf-8', 'replace')}"
    return server_error(_UPSTREAM_NAME, message, message, stack)[len(b'{"error":') : -1]


def _read_stream(headers: Mapping[str, str], body: bytes, now_ms: int) -> Outcome:
    """Unwrap a streamed answer; its headers go over those that were sent before the function ran."""
    text = mend(body.strip())
    try:
        envelope = _decode_envelope(text)
    except UNREADABLE:
        return _broken_stream(headers, body, f"error parsing stream: {_why(text)}")
    if (error := bytes(envelope.error)) and error != b"null":
        return _broken_stream(headers, body, text_of(envelope.error) or error.decode())
    merged = dict(headers)
    for name, value in (envelope.headers or {}).items():
        merged[name.lower()] = text_of(value) if kind(value) == "string" else bytes(value).decode()
    inner = bytes(envelope.body)
    if inner[:1] == b'"':
        inner = decode_text(inner).encode()
    return _read(envelope.status or 0, merged, inner, now_ms, len(body))


def _broken_stream(headers: Mapping[str, str], body: bytes, error: str) -> Outcome:
    output = server_error("Error", error, error)
    sdk = headers.get("x-inngest-sdk", "")
    return Outcome(STREAMED, output=output, error=error, sdk=sdk, headers=dict(headers), size=len(body))


def _why(text: bytes) -> str:
    """Return why a stream's envelope can't be read."""
    if valid(text) is None:
        return decode_errors.syntax_error(text)
    return "not an object of status, headers and body"
