"""Steps whose HTTP exchange the server makes (`protocol/execution.md` §4.10): what their end means for the run."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import msgspec

from holdfast.protocol.opcodes import Op, Opcode
from holdfast.server.engine.advance import retry_job
from holdfast.server.engine.core import Core
from holdfast.server.engine.run import Run
from holdfast.server.engine.steps import FailEarly, discover, retry_due, state_overflow
from holdfast.server.model.job import Job, JobKind
from holdfast.server.model.span import NULL, Call, Span
from holdfast.server.model.status import SpanStatus


class Result(msgspec.Struct, frozen=True, gc=False):
    """How the exchange ended: `output` is the stored form, `{"data":…}` or `{"error":…}`."""

    output: bytes
    failed: bool
    call: Call


def on_result(core: Core, run: Run, job: Job, op: Op, result: Result) -> None:
    """Save the step and ask what comes next; a failure is tried again by asking the app anew."""
    if result.failed and job.attempt + 1 < job.max_attempts:
        core.record(run, _span(job, op, result, SpanStatus.ERRORED), result.output)
        retry_job(core, run, job, retry_due(core, job.attempt))
        return
    if run.state_size + len(result.output) > core.state_limit(run):
        raise FailEarly(state_overflow(core.state_limit(run)))
    status = SpanStatus.FAILED if result.failed else SpanStatus.COMPLETED
    core.memoise(run, op.id, result.output, _span(job, op, result, status))
    kind = JobKind.EDGE_ERROR if result.failed else JobKind.EDGE
    if not discover(core, run, op.id, race=op.race, kind=kind, after=job):
        core.close(run, job)


class _Opts(msgspec.Struct):
    url: str = ""
    format: str | None = None
    body: msgspec.Raw = NULL


def _inference(op: Op) -> _Opts | None:
    if op.op is not Opcode.AI_GATEWAY or not op.opts:
        return None
    try:
        return msgspec.json.decode(op.opts, type=_Opts)
    except msgspec.DecodeError:
        return None


def _shown(opts: _Opts) -> msgspec.Raw:
    """Return what the trace shows of the request: the prompt, never the provider's key."""
    return msgspec.Raw(b'{"body":' + bytes(opts.body) + b"}")


def _told(opts: _Opts) -> dict[str, str | int | bool]:
    """Return where the request went, without what may be secret in its URL."""
    try:
        parts = urlsplit(opts.url)
        url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:  # an address that is none
        url = ""
    return {"format": opts.format or "", "size": len(bytes(opts.body)), "url": url}


def _span(job: Job, op: Op, result: Result, status: SpanStatus) -> Span:
    call, opts = result.call, _inference(op)
    return Span(
        "attempt" if status is SpanStatus.ERRORED else "step", status, job.step_queued_at or job.queued_at,
        call.started_at, call.ended_at, op.display, op.id, op.op.value, op.type, job.attempt, job.max_attempts, job.id,
        call, info=_told(opts) if opts else None, input=_shown(opts) if opts else NULL,
    )  # fmt: skip
