"""Steps that an SDK reports while its call is still open, or from a process of its own (`protocol/execution.md` §5)."""

from __future__ import annotations

import base64
import binascii

import msgspec

from holdfast.protocol import limits
from holdfast.protocol.opcodes import FIRST_WAVE, LAZY, Op, Opcode
from holdfast.protocol.responses import Outcome
from holdfast.server.engine import ops, steps
from holdfast.server.engine.core import Core
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, JobKind, PauseKind
from holdfast.server.model.span import Call

_SAVED = frozenset({Opcode.STEP_RUN, Opcode.STEP})
_ALLOWED = _SAVED | LAZY | {Opcode.STEP_PLANNED}
_NEVER = frozenset({Opcode.RUN_COMPLETE, Opcode.SYNC_RUN_COMPLETE, Opcode.STEP_FAILED})


class CheckpointError(Exception):
    """A checkpoint that is refused, with its HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def queue_item(job: Job) -> str:
    """`ctx.qi_id`: opaque to SDKs, comes back with checkpoints."""
    return base64.b64encode(f"{job.run_id}.{job.no}::default".encode()).decode()


def save_steps(core: Core, run: Run, reported: list[Op], item: str) -> None:
    """Save what an open call has done so far, and give its job fresh attempts. Nothing is enqueued.

    But for a step whose own call this makes needless, if that was all that the run had: the call that reports is none
    that the run knows of (any more), and nobody would ask the app again.
    """
    for op in reported:
        if op.op in _NEVER:
            raise CheckpointError(f"cannot checkpoint opcode: {op.op}")
        if op.op not in _ALLOWED:
            raise CheckpointError("cannot checkpoint async steps")
    saved = [op for op in reported if op.op in _SAVED]
    _check_sizes(core, run, saved)
    job = _leased_job(run, item)
    answer = _answer(core, run, job)
    for op in reported:
        if op.op is not Opcode.STEP_PLANNED:
            ops.apply(answer, op)
    if job is not None and saved and job.attempt:
        job.attempt = 0
        core.changes.jobs[run.id, job.no] = job
    if run.id in core.runs and answer.completed is not None:
        _ask_anew(core, run, answer)


def report(core: Core, run: Run, job: Job, reported: list[Op]) -> None:
    """Handle what the process that drives a run itself has done: its steps, its end, or that it lets go of the run."""
    if any(op.op is Opcode.RUN_COMPLETE for op in reported):
        op = next(op for op in reported if op.op is Opcode.RUN_COMPLETE)
        ops.apply(_answer(core, run, job), msgspec.structs.replace(op, op=Opcode.SYNC_RUN_COMPLETE))
        return
    _check_sizes(core, run, [op for op in reported if op.op in _SAVED])
    handed_over = [op for op in reported if op.op not in _SAVED and op.op not in LAZY]
    if len([op for op in reported if op.op not in LAZY]) > 1 and handed_over and not run.state.force_plan:
        run.state.force_plan = True
        core.changes.touch(run)
    answer = _answer(core, run, job)
    for wave in (True, False):
        for op in reported:
            if (op.op in FIRST_WAVE) is wave and run.id in core.runs:
                ops.apply(answer, op)
    if handed_over and run.id in core.runs:
        _let_go(core, run, job, answer)


def _let_go(core: Core, run: Run, job: Job, answer: steps.Answer) -> None:
    """The run is the server's from here on: the next request comes from it."""
    if answer.retry is not None:
        due = steps.retry_due(core, 1)
        again = core.new_job(run, JobKind.EDGE, "-sync-retry", due=due, attempt=1, outgoing=answer.completed or "")
        core.push(run, again)
    elif answer.completed is not None and answer.kind is JobKind.EDGE_ERROR:
        steps.discover(core, run, answer.completed, kind=JobKind.EDGE_ERROR)
    core.close(run, job)
    if run.id in core.runs:  # it may have let go without saying what comes next
        _ask_anew(core, run, answer)


def _ask_anew(core: Core, run: Run, answer: steps.Answer) -> None:
    """Have the app asked what comes next, if nothing is open that would."""
    if all(item.kind is PauseKind.CANCEL for item in run.open):
        steps.discover(core, run, answer.completed or "", race=True)


def _answer(core: Core, run: Run, job: Job | None) -> steps.Answer:
    stand_in = job or Job(run.id, 0, JobKind.EDGE, "", core.now, core.now, core.max_attempts(run))
    call = Call(stand_in.id, "", core.now, core.now, core.now, core.now, stand_in.attempt, 0, {}, 0)
    return steps.Answer(core, run, stand_in, Outcome(200), call)


def _leased_job(run: Run, item: str) -> Job | None:
    try:
        reference = base64.b64decode(item, validate=True).decode().partition("::")[0]
        no = int(reference.rpartition(".")[2])
    except (binascii.Error, ValueError):
        return None
    job = run.open.get(no)
    return job if isinstance(job, Job) else None


def _check_sizes(core: Core, run: Run, saved: list[Op]) -> None:
    sizes = [len(op.data or b"null") for op in saved]
    if any(size > limits.MAX_STEP_OUTPUT for size in sizes):
        raise CheckpointError("step output size is greater than the limit", 413)
    if run.state_size + sum(sizes) > core.state_limit(run):
        raise CheckpointError("state size is greater than the limit", 413)
