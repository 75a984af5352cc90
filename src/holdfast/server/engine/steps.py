"""What the handlers of an answer share: its state, how it fails, and the discovery that follows a step."""

from __future__ import annotations

from sys import intern

from msgspec import Raw

from holdfast.protocol import limits
from holdfast.protocol.errors import server_error
from holdfast.protocol.opcodes import Op
from holdfast.protocol.responses import Outcome
from holdfast.server.engine import finish
from holdfast.server.engine.core import Cancellation, Core
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, JobKind, PauseKind
from holdfast.server.model.span import NULL, Call, Span
from holdfast.server.model.status import RunStatus, SpanStatus

#: An answer without news is asked again, but not at full speed: the reference does it once a tick.
REDRIVE_MS = 150


class FailEarly(Exception):
    """The run fails at once, without a retry and uncaught by user code (`protocol/execution.md` §3.8)."""

    def __init__(self, output: bytes) -> None:
        super().__init__()
        self.output = output


class OpError(Exception):
    """An op can't be handled: the whole answer is a failed attempt."""


class Answer:
    """An answer while its ops are applied, and what they ask for next."""

    __slots__ = (
        "alone", "call", "completed", "core", "idle", "job", "kept", "kind", "outcome", "planned", "race", "repeated",
        "retry", "run",
    )  # fmt: skip

    def __init__(self, core: Core, run: Run, job: Job, outcome: Outcome, call: Call) -> None:
        self.core = core
        self.run = run
        self.job = job
        self.outcome = outcome
        self.call = call
        self.alone = False  # one op: the call is shown with its step
        self.completed: str | None = None  # the last step that this answer completed
        self.kind = JobKind.EDGE
        self.race = False
        self.retry: int | None = None  # when the job is to be tried again
        self.kept = False  # the job lives on
        self.idle = False  # nothing was reported that leads on
        self.repeated = False  # a step was reported that had a result already
        self.planned: frozenset[str] = frozenset()  # steps of the group, one of which this call was to execute

    def complete(self, op: Op, *, failed: bool = False) -> None:
        """A step ended in this answer: one discovery follows all that did."""
        self.completed = op.id
        self.race = self.race or op.race or self.job.race
        if failed:
            self.kind = JobKind.EDGE_ERROR

    def span(self, op: Op, status: SpanStatus) -> Span:
        """Return the record of a step.run that this answer carried."""
        job, call = self.job, self.call
        return Span(
            "attempt" if status is SpanStatus.ERRORED else "step", status,
            job.step_queued_at or job.queued_at, op.started_at or call.started_at, op.ended_at or call.ended_at,
            op.display, op.id, op.op.value, op.type, job.attempt, job.max_attempts, job.id,
            call if self.alone else None, None,
            {"id": op.userland_id, "index": op.userland_index} if op.userland_id != op.display else None,
            Raw(op.metadata) if op.metadata else NULL, "", Raw(op.input) if op.input else NULL,
        )  # fmt: skip


def discover(
    core: Core, run: Run, step: str, *, race: bool = False, kind: JobKind = JobKind.EDGE, after: Job | None = None,
    suffix: str = "",
) -> bool:  # fmt: skip
    """Ask the app what comes after `step`, unless siblings of its group are still pending. Tells whether it does.

    `after` is the job whose lease and row the discovery takes over. A sibling that nothing open can bring any more is
    not waited for: the code that planned it may be gone, and the run would lie there for ever.
    """
    if run.pending and not race:
        if any(item is not after and item.kind is not PauseKind.CANCEL for item in run.open):
            return False
        run.pending = run.state.group = None
        core.changes.touch(run)
    waiting = _unasked(core, run, after)
    if waiting is not None:
        waiting.outgoing = intern(step)
        core.open_job(run, waiting)
        if after is not None:
            core.close(run, after)
        return True
    if run.step_count >= core.step_limit(run):
        limit = core.step_limit(run)
        fail(core, run, overflow(limit, "function has too many steps"))
        return True
    state = run.state
    if state.force_plan and state.request_version >= 2:
        state.force_plan = False
        core.changes.touch(run)
    no = after.no if after is not None else 0
    job = core.new_job(
        run, kind, f"-{step}{suffix}{'-failure' if kind is JobKind.EDGE_ERROR else ''}", no=no, outgoing=step
    )
    if after is not None:
        core.follow(run, after, job)
    else:
        core.push(run, job)
    return True


def _unasked(core: Core, run: Run, after: Job | None) -> Job | None:
    """A discovery that the app has not been asked yet: it will find the step that has just ended, too."""
    for item in run.open:
        if (
            isinstance(item, Job) and item is not after and item.discovers and item.attempt == 0
            and item.due <= core.now and not core.asked(item)
        ):  # fmt: skip
            return item
    return None


def fail(core: Core, run: Run, output: bytes) -> None:
    """Fail a run for a reason that the server found: now, or once the shell has loaded its body."""
    if run.body is None:
        run.output = output
        core.cancellations.append(Cancellation(run.id, ""))
        return
    core.record(run, Span("function", SpanStatus.FAILED, core.now, core.now, core.now), output)
    finish.finish(core, run, RunStatus.FAILED, output)


def overflow(limit: int, error: str) -> bytes:
    """The output of a run that has too many steps."""
    return server_error(
        "InngestErrFunctionOverflowed", f"The function run exceeded the step limit of {limit} steps.", error
    )


def no_progress(state_size: int, repeated: bool) -> bytes:
    """Return the output of a run whose app answers without news, time after time."""
    name = "NoProgressError"
    if not repeated:
        message = "The app was called repeatedly and reported neither a step nor its end."
    else:
        message = "The app reported the same finished steps again and again: it starts over on each call."
    if state_size > limits.MAX_INLINE_STATE:
        message += (
            f" The run's events and results are {state_size} bytes, more than {limits.MAX_INLINE_STATE} are not sent "
            "with a call (`use_api`): upgrade to an SDK that fetches them, or let steps return less."
        )
    return server_error(name, message, f"{name}: {message}")


def not_executed(step: str) -> bytes:
    """Return the output of a run whose app plans steps each time that it is called to execute one."""
    name = "NoProgressError"
    message = (
        f"The app was called to execute the step {step}, and planned steps again each time: its SDK does not look at "
        "the step that a call names. Upgrade the SDK, or run these steps one after the other."
    )
    return server_error(name, message, f"{name}: {message}")


def state_overflow(limit: int) -> bytes:
    """The output of a run whose state is too large."""
    name, message = "InngestErrStateOverflowed", f"The function run exceeded the state size limit of {limit} bytes."
    return server_error(name, message, f"{name}: {message}")


def retry_due(core: Core, attempt: int) -> int:
    """Return when the retry after failed attempt `attempt` (0-based) is due, ms."""
    fixed = core.settings.retry_interval_ms
    if fixed:
        return core.now + fixed
    table = limits.BACKOFF_MS
    return core.now + table[min(attempt, len(table) - 1)] + core.jitter(limits.BACKOFF_JITTER_MS)


def check_plans(core: Core, run: Run) -> None:
    """Raise FailEarly for a run that plans without end, before it opens another step."""
    name, most = "InngestErrFunctionOverflowed", core.step_limit(run) * limits.MAX_PLANS_PER_STEP
    if len(run.open) > limits.MAX_OPEN_STEPS:
        message = f"The function run has more than {limits.MAX_OPEN_STEPS} steps open at once."
    elif run.next_no > most:
        message = f"The function run planned more than {most} steps without finishing them."
    else:
        return
    raise FailEarly(server_error(name, message, f"{name}: {message}"))
