"""The call: the request that a server makes to user code (`protocol/execution.md` §2).

Bodies are spliced from bytes, never re-encoded.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from holdfast.protocol.limits import ACCOUNT_ID, MAX_INLINE_STATE, MAX_REQUEST
from holdfast.protocol.rawjson import quote
from holdfast.protocol.tracing import SAMPLED, TraceContext, call_span_id, trace_id


class CallContext(msgspec.Struct, gc=False):
    """What a call says of itself, besides the run's data."""

    run_id: str
    function_id: str
    job_id: str
    item: str  # qi_id: opaque, comes back with checkpoints
    request_id: str
    generation: int
    attempt: int
    max_attempts: int
    step: str = ""  # hashed id of a targeted request
    version: int = -1
    force_plan: bool = False
    position: int = 0  # 1 + the place of the outgoing step in the stack, 0 if there is none
    trace: TraceContext | None = None  # of whoever sent the event


def queue_item(job_id: str) -> str:
    """`ctx.qi_id` for a job."""
    return base64.b64encode(f"{job_id}::default".encode()).decode()


def render_body(
    context: CallContext, events: Sequence[bytes], steps: Mapping[str, bytes], state_size: int,
    inputs: Mapping[str, bytes] | None = None, defers: Mapping[str, bool] | None = None,
) -> bytes:  # fmt: skip
    """Return the JSON body, keys sorted. `steps` is in the order in which they were saved.

    Above the size limits the state is left out and `use_api` tells the SDK to fetch it (§2.4).
    """
    use_api = state_size > MAX_INLINE_STATE
    plain = _plain(steps)
    stack = '"' + '","'.join(steps) + '"' if plain else b",".join(map(quote, steps)).decode()
    state = b"" if use_api else _steps(steps, inputs, plain=plain)
    body = _render(context, events, state, stack, defers, use_api=use_api)
    if len(body) > MAX_REQUEST:
        body = _render(context, events, b"", stack, defers, use_api=True, batch=False)
    return body


def trace_headers(context: CallContext, app_id: str) -> tuple[str, str]:
    """Return `traceparent` and `tracestate` of a call."""
    sent = context.trace
    parent = f"00-{trace_id(context.run_id, sent)}-{call_span_id(context.run_id, context.job_id, context.attempt)}"
    parent += "-01" if sent is None or sent.flags & SAMPLED else "-00"
    state = (
        f"inngest@app={app_id},inngest@fn={context.function_id},"
        f"inngest@traceref=%7B%22tp%22%3A%22{parent}%22%2C%22ts%22%3A%22%22%7D"
    )
    return parent, f"{state},{sent.state}" if sent is not None and sent.state else state


def render_headers(context: CallContext, app_id: str, signature: str = "") -> bytes:
    """Return the raw header lines of a call, each ending in CRLF (§2.2)."""
    sent = context.trace
    parent, state = trace_headers(context, app_id)
    lines = (
        f"Content-Type: application/json\r\n"
        f"X-Run-ID: {context.run_id}\r\n"
        f"X-Request-ID: {context.request_id}\r\n"
        f"X-Inngest-Generation-ID: {context.generation}\r\n"
        f"X-Inngest-Job-ID: {context.job_id}\r\n"
        f"X-Inngest-Req-Version: {context.version}\r\n"
        f"X-Inngest-Step-ID: {context.step or 'step'}\r\n"
        f"account-id: {ACCOUNT_ID}\r\n"
        f"traceparent: {parent}\r\n"
        f"tracestate: {state}\r\n"
    )
    if sent is not None and sent.baggage:
        lines += f"baggage: {sent.baggage}\r\n"
    if signature:
        lines += f"X-Inngest-Signature: {signature}\r\n"
    return lines.encode()


def _steps(steps: Mapping[str, bytes], inputs: Mapping[str, bytes] | None, *, plain: bool) -> bytes:
    items: Iterable[tuple[str, bytes]] = steps.items()
    if inputs:
        overridden = {id: b'{"input":' + value + b"}" for id, value in inputs.items() if id not in steps}
        items = [*items, *overridden.items()]
    if plain and not inputs:
        return b",".join([b'"%s":%s' % (id.encode(), value) for id, value in sorted(items)])
    return b",".join([b"%s:%s" % (quote(id), value) for id, value in sorted(items)])


def _plain(ids: Iterable[str]) -> bool:
    """Return whether ids of steps are ASCII letters and digits. Official SDKs hash them; others may send anything."""
    return "".join(ids).encode("utf-8", "surrogatepass").isalnum()


def _render(
    context: CallContext, events: Sequence[bytes], steps: bytes, stack: str,
    defers: Mapping[str, bool] | None, *, use_api: bool, batch: bool = True,
) -> bytes:  # fmt: skip
    flag = "true" if use_api else "false"
    head = (
        f'{{"ctx":{{"attempt":{context.attempt},'
        f'"disable_immediate_execution":{"true" if context.force_plan else "false"},"env":"",'
        f'"fn_id":"{context.function_id}","generation_id":{context.generation},"job_id":"{context.job_id}",'
        f'"max_attempts":{context.max_attempts},"qi_id":"{context.item}","request_id":"{context.request_id}",'
        f'"run_id":"{context.run_id}","stack":{{"current":{context.position},'
        f'"stack":[{stack}]}},"step_id":"step","use_api":{flag}}},'
        f'"defers":{_defers(defers)},"event":'
    )
    tail = f'}},"use_api":{flag},"version":{context.version}}}'
    all_events = b",".join(events) if batch else b""
    return b"".join((head.encode(), events[0], b',"events":[', all_events, b'],"steps":{', steps, tail.encode()))


def _defers(defers: Mapping[str, bool] | None) -> str:
    if not defers:
        return "{}"
    return msgspec.json.encode({id: {"abortable": defers[id]} for id in sorted(defers)}).decode()
