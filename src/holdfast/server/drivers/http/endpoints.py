"""Durable endpoints: taking a run up again at the HTTP endpoint that began it (`protocol/execution.md` §5.6)."""

from __future__ import annotations

import base64
import binascii
import time

import msgspec

from holdfast.protocol.calls import CallContext
from holdfast.protocol.opcodes import Opcode, OpcodeError, parse_ops
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.protocol.signing import sign
from holdfast.server.drivers.driver import Origin
from holdfast.server.drivers.http.answer import Answer
from holdfast.server.drivers.http.client import HttpClient
from holdfast.server.drivers.http.failures import CallFailure


class _Data(msgspec.Struct):
    body: str | None = None
    content_type: str | None = None


class _Event(msgspec.Struct):
    data: _Data


def origin_of(method: str, url: str, event: bytes) -> Origin:
    """Return the request that began a run, as it was kept in the run's event."""
    data = msgspec.json.decode(event, type=_Event).data
    return Origin(method or "POST", url, data.content_type or "application/json", (data.body or "").encode())


async def call(client: HttpClient, origin: Origin, context: CallContext, key: str) -> Outcome:
    """Repeat the original request. The SDK recognises it by its headers and loads the state itself."""
    signature = sign(key, origin.body, int(time.time())) if key else ""
    headers = _headers(context, origin.content_type, signature)
    try:
        answer = await client.fetch(origin.method, origin.url, headers, origin.body)
    except CallFailure as failure:
        return transport_failure(failure.text, failure.code or "")
    return read(answer)


def read(answer: Answer) -> Outcome:
    """Read an answer: ops, or the endpoint's own response as a completion."""
    outcome = read_response(answer.status, answer.headers, answer.body, time.time_ns() // 1_000_000)
    if outcome.ops is None and not outcome.error:
        return _completion(outcome, answer)
    if outcome.ops and len(outcome.ops) == 1 and outcome.ops[0].op is Opcode.RUN_COMPLETE:
        outcome.ops[0].op = Opcode.SYNC_RUN_COMPLETE
    return outcome


def _completion(outcome: Outcome, answer: Answer) -> Outcome:
    try:
        ops = parse_ops(answer.body)
    except OpcodeError:
        return outcome
    if len(ops) == 1 and ops[0].op is Opcode.RUN_COMPLETE:
        ops[0].op = Opcode.SYNC_RUN_COMPLETE
        outcome.ops, outcome.output = ops, None
    return outcome


def _headers(context: CallContext, content_type: str, signature: str) -> list[tuple[str, str]]:
    headers = [
        ("content-type", content_type),
        ("x-inngest-signature", signature),  # always there, if only empty: the SDK looks for it
        ("x-run-id", context.run_id),
        ("x-request-id", context.request_id),
        ("x-inngest-generation-id", str(context.generation)),
        ("x-inngest-job-id", context.job_id),
        ("x-inngest-req-version", str(context.version)),
    ]
    if context.force_plan:
        headers.append(("x-inngest-force-step-plan", "true"))
    if context.step:
        headers.append(("x-inngest-step-id", context.step))
    return headers


def plain_body(body: str, sdk: str) -> str:
    """`data.body` as text: Go's SDK sends base64, the others the text itself."""
    if not sdk.startswith(("go:", "inngest-go")):
        return body
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return body
