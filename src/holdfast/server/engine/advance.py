"""Advancing a run by the answer of its app: the heart of the engine (`protocol/execution.md` §4)."""

from __future__ import annotations

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.errors import server_error
from holdfast.protocol.opcodes import FIRST_WAVE, LAZY, PLAN_LIKE, STEPS, Op, Opcode
from holdfast.protocol.responses import Outcome
from holdfast.server.engine import finish, ops
from holdfast.server.engine.core import Core
from holdfast.server.engine.run import Run
from holdfast.server.engine.steps import (
    REDRIVE_MS,
    Answer,
    FailEarly,
    OpError,
    discover,
    fail,
    no_progress,
    overflow,
    retry_due,
)
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.span import Call, Span
from holdfast.server.model.status import RunStatus, SpanStatus

#: How many answers in a row may bring no news: none at all, or steps again that have their results.
MAX_IDLE = 100
MAX_REPEATED = 3


def on_answer(core: Core, run: Run, job: Job, outcome: Outcome, call: Call) -> None:
    """Handle the answer to a leased job. The job's row goes, or becomes the next job of the run."""
    if outcome.ops is None:
        _function_outcome(core, run, job, outcome, call)
        return
    answer = Answer(core, run, job, outcome, call)
    try:
        _report(answer, outcome.ops)
    except FailEarly as failure:
        fail(core, run, failure.output)
    except OpError as error:
        _attempt_failed(core, run, job, Outcome(outcome.status, error=str(error), output=_text_error(str(error))), call)
    else:
        if run.id in core.runs:
            _next(answer)


def _report(answer: Answer, reported: list[Op]) -> None:
    core, run = answer.core, answer.run
    version = answer.outcome.request_version
    if run.state.request_version == -1 and version:
        run.state.request_version = version
        core.changes.touch(run)
    steps = [op for op in reported if op.op not in LAZY]
    if len(reported) > limits.MAX_OPS:
        raise FailEarly(
            overflow(
                limits.MAX_OPS,
                f"InngestErrFunctionOverflowed: The function run exceeded the step limit of {limits.MAX_OPS} steps.",
            )
        )
    if len(steps) > 1:
        if answer.job.step and not answer.job.op:
            answer.planned = frozenset(run.state.group or ())
        _enter_group(core, run, steps)
    answer.alone = len(reported) == 1
    if not answer.alone or reported[0].op in PLAN_LIKE or reported[0].op in LAZY or reported[0].op is Opcode.NONE:
        core.record(
            run,
            Span(
                "plan",
                SpanStatus.COMPLETED,
                answer.call.queued_at,
                answer.call.started_at,
                answer.call.ended_at,
                job=answer.job.id,
                call=answer.call,
                info={"opened": reported[0].id} if answer.alone else None,
            ),
        )
    for wave in (True, False):
        for op in reported:
            if (op.op in FIRST_WAVE) is wave and run.id in core.runs:
                ops.apply(answer, op)
    answer.idle = all(op.op is Opcode.NONE or op.op in LAZY for op in reported)


def _enter_group(core: Core, run: Run, steps: list[Op]) -> None:
    """Several steps at once: from now on the SDK only plans, and one discovery follows when all are done."""
    state = run.state
    if not state.force_plan:
        state.force_plan = True
        core.changes.touch(run)
    if state.request_version >= 2 and any(op.op in PLAN_LIKE for op in steps):
        assert run.body is not None
        state.group = [op.id for op in steps if op.op in PLAN_LIKE or op.op in STEPS]
        run.pending = {id for id in state.group if id not in run.body.steps}
        core.changes.touch(run)


def _next(answer: Answer) -> None:
    """What follows an answer whose ops are all applied: a retry, one discovery, or nothing but what they opened."""
    core, run, job = answer.core, answer.run, answer.job
    if answer.kept:
        return  # the job goes on as a gateway's
    if answer.retry is not None:
        retry_job(core, run, job, answer.retry)
    elif answer.completed is not None and discover(
        core, run, answer.completed, race=answer.race, kind=answer.kind, after=job
    ):
        return
    elif answer.idle or _alone(answer):
        _ask_again(answer)
    else:
        core.close(run, job)


def _alone(answer: Answer) -> bool:
    """Return whether nobody else would ask the app again: an answer without news must not leave its run lying there."""
    others = (item for item in answer.run.open if item is not answer.job)
    if answer.repeated:
        return all(isinstance(item, Pause) or item.kind is JobKind.SLEEP for item in others)
    return all(item.kind is PauseKind.CANCEL for item in others)


def _ask_again(answer: Answer) -> None:
    """Ask the app once more, a bounded number of times: one that begins anew repeats the effects of its steps."""
    core, run, job = answer.core, answer.run, answer.job
    if job.idle < (MAX_REPEATED if answer.repeated else MAX_IDLE):
        _redrive(core, run, job)
    elif any(item is not job and item.kind is not PauseKind.CANCEL for item in run.open):
        core.close(run, job)  # something else leads on
    else:
        fail(core, run, no_progress(run.state_size, answer.repeated))


def _redrive(core: Core, run: Run, job: Job) -> None:
    assert run.body is not None
    outgoing = next(reversed(run.body.steps), "")
    successor = core.new_job(
        run, JobKind.EDGE, f"-{outgoing or 'redrive'}", no=job.no, due=core.now + REDRIVE_MS, outgoing=outgoing
    )
    successor.idle = job.idle + 1
    core.follow(run, job, successor)


def _function_outcome(core: Core, run: Run, job: Job, outcome: Outcome, call: Call) -> None:
    if outcome.error:
        _attempt_failed(core, run, job, outcome, call)
        return
    core.record(run, _function_span(job, call, SpanStatus.COMPLETED, text=outcome.text), outcome.output)
    finish.finish(core, run, RunStatus.COMPLETED, outcome.output, text=outcome.text)


def _attempt_failed(core: Core, run: Run, job: Job, outcome: Outcome, call: Call) -> None:
    """A function-level error, on whatever request: retried as the job allows, else the run has failed."""
    final = outcome.no_retry or job.attempt + 1 >= job.max_attempts
    status = SpanStatus.FAILED if final else SpanStatus.ERRORED
    output = outcome.output if outcome.output is not None else msgspec.json.encode(outcome.error)
    core.record(run, _function_span(job, call, status, outcome.error, text=outcome.text), output)
    if final:
        finish.finish(core, run, RunStatus.FAILED, output, outcome.error, text=outcome.text)
    else:
        retry_job(core, run, job, outcome.retry_at or retry_due(core, job.attempt))


def retry_job(core: Core, run: Run, job: Job, due: int) -> None:
    """Put the same queue item back with one attempt more."""
    again = msgspec.structs.replace(
        job, attempt=job.attempt + 1, due=due, queued_at=core.now, generation=job.generation + 1
    )
    core.open_job(run, again)
    core.release(run, job)
    core.push(run, again)


def requeue_job(core: Core, run: Run, job: Job) -> None:
    """Put a leased job back at the end of its queue; no attempt was made."""
    again = msgspec.structs.replace(job, generation=job.generation + 1)
    core.open_job(run, again)
    core.release(run, job)
    core.push(run, again)


def _function_span(job: Job, call: Call, status: SpanStatus, error: str = "", *, text: bool) -> Span:
    return Span(
        "function", status, job.queued_at, call.started_at, call.ended_at, attempt=job.attempt,
        max_attempts=job.max_attempts, job=job.id, call=call, error=error, info={"text": True} if text else None,
    )  # fmt: skip


def _text_error(text: str) -> bytes:
    return server_error("Error", text, text)
