"""Outputs of spans: the opaque ids by which they are asked for, and how a stored output is shown (`graphql.md` §14)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.protocol.go_json import GoJsonError, first_value
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.traces.vocabulary import GATEWAYS
from holdfast.server.model.status import RunStatus, SpanStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.model.span import Span
    from holdfast.server.store.history import StoredEvent, StoredRun, TraceRow

ROOT: Final = -1
"""The row number of a run as a whole: its events as input, its result as output."""


_HIGH: Final = re.compile(r"\\x([89a-f][0-9a-f])")  # what the reference writes as \u0080 to \u00ff


class OutputError(ValueError):
    """An output id that can't be read; the text is what clients see."""


class OutputRef(msgspec.Struct, rename={"run_id": "rid", "span_id": "sid"}, frozen=True, omit_defaults=True, gc=False):
    """What an output id says: the row whose output is meant, and in which tree it was shown."""

    run_id: str = ""
    seq: int | None = None
    span_id: str = ""
    preview: bool = False

    def encode(self) -> str:
        """Write the id: base64 of JSON, as clients have always handed it back."""
        return base64.b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def decode(cls, text: str) -> OutputRef:
        """Read an id; OutputError if it is none."""
        problem = "error parsing span identifier: "
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise OutputError(f"{problem}illegal base64 data at input byte {_bad_byte(text)}") from None
        try:
            return msgspec.json.decode(first_value(raw), type=cls)
        except GoJsonError as error:
            text = "unexpected end of JSON input" if "EOF" in str(error) else str(error)
            raise OutputError(problem + _HIGH.sub(r"\\u00\1", text)) from None
        except UNREADABLE as error:
            raise OutputError(f"{problem}{error}") from None


class StepError(msgspec.Struct, frozen=True):
    """An error as the user's code raised it; `cause` is any JSON."""

    message: str = ""
    name: str | None = None
    stack: str | None = None
    cause: object = None


class SpanOutput(msgspec.Struct, frozen=True):
    """An output as shown: JSON texts of the input and the data, or an error."""

    input: str | None = None
    data: str | None = None
    error: StepError | None = None


class _ErrorBody(msgspec.Struct, omit_defaults=True):
    error: object = None
    message: object = ""
    name: object = None
    stack: object = None
    cause: object = None


#: Steps that the server performs: the legacy tree shows what is stored of them, wrapper and all.
_SERVED: Final = frozenset({"InvokeFunction", "AIGateway", "Gateway", "WaitForSignal"})


def read_output(row: TraceRow, *, legacy: bool = False) -> SpanOutput:
    """Return what a row came to, as the new tree shows it, or the `legacy` one."""
    stored, span = row.output, row.span
    given = _input(span)
    if stored is None:
        return SpanOutput(given)
    if span.kind == "function":
        return _function_output(stored, span, given, legacy=legacy)
    members = _members(stored)
    if "error" in members and "data" not in members:
        return SpanOutput(given, error=step_error(bytes(members["error"])))
    if set(members) == {"data"} and not (legacy and span.op in _SERVED):
        return SpanOutput(given, _text(bytes(members["data"])))
    return SpanOutput(given, _text(stored))


def _function_output(stored: bytes, span: Span, given: str | None, *, legacy: bool) -> SpanOutput:
    if span.status is SpanStatus.COMPLETED:
        return SpanOutput(given, span_text(stored, span) if legacy else _text(stored))
    error = _error(stored, _members(stored))
    if legacy and error.stack is None:
        error = msgspec.structs.replace(error, stack=_server_text(stored))
    return SpanOutput(given, error=error)


def span_text(stored: bytes, span: Span) -> str:
    """Return an output as the app wrote it: JSON, or the text of an answer that was none."""
    return answer_text(stored, is_text=span.info is not None and span.info.get("text") is True)


def answer_text(stored: bytes, *, is_text: bool) -> str:
    """Return a stored JSON output as text; `is_text` takes the quotes off an answer that was no JSON."""
    return _plain(stored) if is_text else _text(stored)


def read_result(run: StoredRun, output: bytes | None, events: Sequence[StoredEvent]) -> SpanOutput:
    """Return a run as a whole: its events, and its value or its error once it has ended."""
    given = f"[{','.join(_text(event.json) for event in events)}]"
    if output is None:
        return SpanOutput(given)
    if run.status is RunStatus.FAILED:
        return SpanOutput(given, error=_error(output, _members(output)))
    return SpanOutput(given, _text(output))


def step_error(raw: bytes) -> StepError:
    """Read an error object; a text without one becomes the stack (§14)."""
    try:
        body = msgspec.json.decode(raw, type=_ErrorBody)
    except UNREADABLE:
        return StepError(stack=_plain(raw))
    message, name, stack = (_string(value) for value in (body.message, body.name, body.stack))
    if message is None and name is None and stack is None:
        return StepError(stack=_plain(raw))
    return StepError(message or "", name, stack, body.cause)


def is_value(stored: bytes | None) -> bool:
    """Return whether a wait or a sleep came to something: its output is not `null`."""
    return stored is not None and stored != b"null"


def _input(span: Span) -> str | None:
    raw = bytes(span.input)
    if span.op in GATEWAYS:
        # The options of a gateway step hold the key for the provider: only the body is for showing.
        raw = bytes(_members(raw).get("body", b""))
    return _text(raw) if raw not in {b"", b"null"} else None


def _error(stored: bytes, members: dict[str, msgspec.Raw]) -> StepError:
    return step_error(bytes(members["error"]) if set(members) == {"error"} else stored)


def _server_text(stored: bytes) -> str | None:
    """Return the text of an error that this server made, `{"error":{"error":…}}`."""
    wrapped = _members(stored)
    try:
        body = msgspec.json.decode(wrapped.get("error", b"{}"), type=_ErrorBody)
    except UNREADABLE:
        return None
    return _string(body.error)


def _members(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return {}


def _plain(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except UNREADABLE:
        return _text(raw)


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _bad_byte(text: str) -> int:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return next((at for at, char in enumerate(text) if char not in alphabet), len(text))
