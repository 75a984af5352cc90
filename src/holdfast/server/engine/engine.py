"""The engine of one partition: a deterministic state machine (`docs/adr/0001-decide-commit-act.md`).

Each input is one synchronous call that changes memory and adds rows and effects to the turn's `Changes`; nothing
outside happens before those are durable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Sequence
from functools import wraps
from sys import intern
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from holdfast.protocol.errors import server_error
from holdfast.protocol.events import Event, Invocation
from holdfast.protocol.limits import IDEMPOTENCY_MS
from holdfast.protocol.opcodes import Op
from holdfast.protocol.responses import Outcome
from holdfast.server.engine import (
    admission,
    advance,
    checkpoints,
    clock,
    deadlines,
    finish,
    gateway,
    lifecycle,
    resume,
    resync,
    schedule,
)
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.core import Cancellation, Core
from holdfast.server.engine.crons import Crons
from holdfast.server.engine.derive import derive
from holdfast.server.engine.fanout import KIND as FANOUT
from holdfast.server.engine.fanout import Fanout
from holdfast.server.engine.flow import restore, timeouts
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.queue import Deadline, Item, Tick
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Body, Run
from holdfast.server.engine.settings import IdSource, Settings
from holdfast.server.engine.steps import FailEarly, OpError, discover, fail
from holdfast.server.engine.view import View
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.span import Call, Span
from holdfast.server.model.status import RunStatus, SpanStatus

P = ParamSpec("P")
T = TypeVar("T")
Suspect = tuple[str, int] | tuple[str, str]
"""What was being handled: a run and the number of its job or pause, or a function and its cron."""


class DefectError(Exception):
    """An input raised what nobody foresaw: the engine may hold half a transition, and must be thrown away."""


def _input(handle: Callable[Concatenate[Engine, P], T]) -> Callable[Concatenate[Engine, P], T]:
    """Makes a method an input: it succeeds as a whole, is refused before it changed anything, or breaks the engine."""

    @wraps(handle)
    def guarded(self: Engine, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.suspect = None
        try:
            return handle(self, *args, **kwargs)
        except checkpoints.CheckpointError:
            raise
        except Exception as error:
            self.on_defect(error)
            raise DefectError(f"{type(error).__name__}: {error}") from error

    return guarded


class Engine:
    """Decides. `now` is always ms since the epoch; ids and jitter come from the sources given at the start."""

    def __init__(
        self, ids: IdSource, jitter: Callable[[int], int], settings: Settings | None = None, epoch: int = 0
    ) -> None:
        self._core = Core(ids, jitter, settings or Settings(), epoch)
        self.view = View(self._core)
        self.crons = Crons()
        self.suspect: Suspect | None = None
        self.on_defect: Callable[[Exception], None] = lambda _: None

    # --- turns ------------------------------------------------------------------------------------------------------

    def take_changes(self) -> Changes:
        """The rows and effects since the last call."""
        changes, self._core.changes = self._core.changes, Changes()
        derive(changes)
        return changes

    def take_cancellations(self) -> list[Cancellation]:
        """Runs that this turn cancels. The caller loads their bodies and calls `cancel`, in the same turn.

        Bulk cancellations come in slices, one per call: there are more as long as `sweeping`.
        """
        core = self._core
        taken, core.cancellations = core.cancellations, []
        if core.bulk.sweeping:
            taken += [Cancellation(run_id, cause) for run_id, cause in core.bulk.take(core.runs, core.changes)]
        return taken

    def cancel_later(self, run_id: str, cause: str) -> None:
        """Put a cancellation back that can't be carried out yet: the next `take_cancellations` gives it again."""
        self._core.cancellations.append(Cancellation(run_id, cause))

    @property
    def pending(self) -> bool:
        """Whether there are rows or effects to be taken."""
        return not self._core.changes.empty

    def take_exceeded(self) -> list[str]:
        """The expressions that used their budget up since the last call."""
        taken = self._core.exceeded
        if taken:
            self._core.exceeded = []
        return taken

    @property
    def cancelling(self) -> bool:
        """Whether runs wait to be taken by `take_cancellations`, those that a bulk cancellation sweeps apart."""
        return bool(self._core.cancellations)

    @property
    def sweeping(self) -> bool:
        """Whether a bulk cancellation still has runs to look at: the next turn must follow."""
        return self._core.bulk.sweeping

    @property
    def fanning_out(self) -> bool:
        """Whether something is left to do of an event: the next turn must go on with it."""
        return bool(self._core.fanouts)

    def next_due(self) -> int | None:
        """When the next timer is due."""
        return self._core.queue.timers.next_due()

    # --- configuration ----------------------------------------------------------------------------------------------

    def configure(self, functions: Iterable[Function], now: int) -> None:
        """Takes the whole set of active functions."""
        self._at(now)
        self._core.seen.clamp(now + IDEMPOTENCY_MS)
        wanted = {function.id: function for function in functions}
        self._change(wanted.values(), [id for id in self._core.registry.functions if id not in wanted])
        self.crons.forget_others(self._core)

    @_input
    def reconfigure(self, functions: Sequence[Function], removed: Sequence[str], now: int) -> None:
        """Takes some active functions, new or changed, and loses those of the ids `removed`."""
        self._at(now)
        self._change(functions, removed)

    def _change(self, functions: Collection[Function], removed: Iterable[str]) -> None:
        before = self._core.registry.change(functions, removed)
        resync.apply(self._core, before)
        self.crons.rearm(self._core, before)

    @_input
    def set_capacity(self, app_id: str, units: int | None, now: int) -> None:
        """The workers of an app take `units` calls at once; None for an app that is called over HTTP."""
        self._at(now)
        resync.set_capacity(self._core, app_id, units)
        self._drain()

    # --- inputs -----------------------------------------------------------------------------------------------------

    @_input
    def on_event(self, event: Event, now: int) -> list[Run]:
        """An event was accepted: stores it, starts functions, ends waits. Returns the runs that it started at once."""
        self._at(now)
        started = self._event(event)
        self._drain()
        return started

    @_input
    def go_on(self, now: int) -> None:
        """Does a slice of what is left of an event, the oldest first."""
        self._at(now)
        core = self._core
        id, fanout = next(iter(core.fanouts.items()))
        self.suspect = (FANOUT, id)
        if fanout.work(core, []):
            del core.fanouts[id]
            core.changes.flow[FANOUT, id] = None
        else:
            core.changes.flow[FANOUT, id] = fanout.rest()
        self._drain()

    @_input
    def on_answer(self, job: Job, outcome: Outcome, call: Call, now: int) -> bool:
        """User code answered a dispatched job. A late or repeated answer changes nothing (False)."""
        run = self._start(job, now)
        if run is None:
            return False
        advance.on_answer(self._core, run, job, outcome, call)
        self._drain()
        return True

    @_input
    def on_undelivered(self, job: Job, now: int) -> bool:
        """Take back a dispatched job that nobody has started on: it waits for its turn again. False if it is gone."""
        run = self._start(job, now)
        if run is None:
            return False
        advance.requeue_job(self._core, run, job)
        self._drain()
        return True

    @_input
    def on_gateway(self, job: Job, op: Op, result: gateway.Result, now: int) -> bool:
        """The HTTP exchange of a gateway step ended."""
        run = self._start(job, now)
        if run is None:
            return False
        try:
            gateway.on_result(self._core, run, job, op, result)
        except FailEarly as failure:
            fail(self._core, run, failure.output)
        self._drain()
        return True

    @_input
    def on_timers(self, now: int, most: int = 200) -> bool:
        """Handles up to `most` due timers. Tells whether more are due."""
        self._at(now)
        timers = self._core.queue.timers
        for _ in range(most):
            item = timers.pop(now)
            if item is None:
                break
            self._due(item)
        for key in self._core.seen.forget(now):
            self._core.changes.forgotten.append((key,))
        due = timers.next_due()
        return due is not None and due <= now

    @_input
    def on_signal(self, name: str, data: bytes, now: int) -> str | None:
        """A signal arrived. Returns the id of the run that waited for it."""
        self._at(now)
        run_id = resume.by_signal(self._core, name, data)
        self._drain()
        return run_id

    @_input
    def on_checkpoint(self, run: Run, ops: list[Op], item: str, now: int) -> None:
        """An open call reports finished steps. Raises CheckpointError."""
        self._at(now)
        try:
            checkpoints.save_steps(self._core, run, ops, item)
        except FailEarly as failure:
            fail(self._core, run, failure.output)
        self._drain()

    @_input
    def on_report(self, run: Run, ops: list[Op], now: int) -> None:
        """A process that drives its run itself reports; ignored once it let go. Raises CheckpointError."""
        self._at(now)
        job = next((i for i in run.open if isinstance(i, Job) and i.kind is JobKind.SYNC), None)
        if job is None:
            return
        try:
            checkpoints.report(self._core, run, job, ops)
        except FailEarly as failure:
            fail(self._core, run, failure.output)
        except OpError as error:  # nobody will call again
            fail(self._core, run, server_error("Error", str(error), str(error)))
        self._drain()

    @_input
    def open_endpoint(self, request: schedule.Request, now: int) -> Run | None:
        """A durable endpoint began a run. None if its idempotency key was seen before."""
        self._at(now)
        run = schedule.schedule(self._core, request)
        self._drain()
        return run

    @_input
    def cancel(self, run: Run, cause: str, now: int) -> None:
        """Cancels a live run, whose body is loaded; one that was found to fail without it fails now."""
        self._at(now)
        if run.output is not None:
            fail(self._core, run, run.output)
        elif self._core.bulk.allows(run, cause, now):
            finish.cancel(self._core, run, cause)
        self._drain()

    @_input
    def rerun(self, request: schedule.Request, steps: dict[str, bytes], inputs: dict[str, bytes], now: int) -> Run:
        """Starts a run again, with `steps` memoised and step `inputs` overridden; it may be skipped as any other."""
        self._at(now)
        request.key = ""
        run = schedule.begin(self._core, request)
        if run.status is RunStatus.SKIPPED:
            return run
        for step_id, output in steps.items():
            span = Span("kept", SpanStatus.COMPLETED, now, now, now, step_id=step_id)
            self._core.memoise(run, step_id, output, span)
        if inputs:
            run.state.inputs = {step_id: msgspec.Raw(value) for step_id, value in inputs.items()}
        self._drain()
        return run

    # --- operations -------------------------------------------------------------------------------------------------

    def pause(self, function_id: str, mode: Mode, now: int) -> None:
        """Pauses a function: running runs go on, new ones wait or are skipped."""
        self._at(now)
        self._core.pausing.pause(function_id, mode, self._core.changes)

    @_input
    def resume(self, function_id: str, now: int) -> None:
        """Resumes a function; what waited for that goes to the queue."""
        self._at(now)
        for entry in self._core.pausing.resume(function_id, self._core.changes):
            if self._core.current(entry.job):  # its limits may have changed meanwhile
                self._core.queue.push(resync.renewed(self._core, entry))
        self._drain()

    @_input
    def cancel_many(self, record: BulkCancellation, now: int) -> None:
        """Begins a bulk cancellation; `take_cancellations` gives its runs."""
        self._at(now)
        self._core.bulk.add(record, self._core.changes, now)

    def forget_cancellation(self, id: str) -> bool:
        """Removes a bulk cancellation; False if there is none of this id."""
        return self._core.bulk.remove(id, self._core.changes)

    # --- bodies -----------------------------------------------------------------------------------------------------

    def give_body(self, run: Run, body: Body) -> None:
        """A parked run's body was loaded: what has been saved since its last commit is not in the store yet."""
        for run_id, _, step_id, output, _ in self._core.changes.steps:
            if run_id == run.id:
                body.steps.setdefault(step_id, output)
        run.body = body

    # --- recovery ---------------------------------------------------------------------------------------------------

    def adopt(self, run: Run, now: int, quarantined: Container[Suspect] = ()) -> bool:
        """Takes a live run from the store: its open items are put back where they were, but for `quarantined` ones.

        False for one that has none, as no engine leaves it: its app is asked what comes next.
        """
        self._at(now)
        self._core.runs[run.id] = run
        clock.mend_run(self._core, run)
        self._adopt_flow(run)
        for item in list(run.open):
            item.step, item.name = intern(item.step), intern(item.name)
            if (run.id, item.no) in quarantined:
                continue
            if isinstance(item, Pause):
                self._core.waits.add(item)
                clock.mend_pause(self._core, item)
                if item.kind is not PauseKind.CANCEL:
                    self._core.queue.timers.add(item.expires, item)
            elif item.kind is not JobKind.SYNC:
                self._core.queue.timers.add(max(clock.due(item, now), 0), item)
        if any(item.kind is not PauseKind.CANCEL for item in run.open):
            return True
        discover(self._core, run, "", race=True)
        return False

    def _adopt_flow(self, run: Run) -> None:
        core, state = self._core, run.state
        if state.singleton:
            core.singletons.holders[state.singleton] = run.id
        for key in state.holds or ():
            core.queue.keys.hold(key)
        function = core.function(run)
        if function is not None and function.config.timeouts is not None:
            for kind in (timeouts.START, timeouts.FINISH):
                timeouts.arm(kind, function.config, run, core.queue.timers)

    def remember_key(self, key: str, expires: int) -> None:
        """Takes an idempotency key from the store, and when (ms) it may be used again."""
        self._core.seen.add(key, expires)

    def restore(self, kind: str, key: str, record: bytes, events: dict[str, Event]) -> None:
        """Takes a flow-control record from the store, with the events that it needs by id."""
        restore.record(self._core, kind, key, record, events)

    # --- internals --------------------------------------------------------------------------------------------------

    def _at(self, now: int) -> None:
        """Sets the time of the input at hand; what a clock put off that was ahead comes back with it."""
        core = self._core
        before, core.now = core.now, now
        if now < before - clock.BACK_MS:
            clock.went_back(core)
            self.crons.went_back(core)

    def _start(self, job: Job, now: int) -> Run | None:
        self._at(now)
        self.suspect = (job.run_id, job.no)
        run = self._core.runs.get(job.run_id)
        return run if run is not None and run.holds(job) else None

    def _due(self, item: Item) -> None:
        if isinstance(item, Tick):
            self.suspect = (item.function_id, item.cron)
            self.crons.fire(self._core, item)
        elif isinstance(item, Deadline):
            self.suspect = (item.kind, item.key)
            deadlines.ring(self._core, item)
        else:
            self.suspect = (item.run_id, item.no)
            if isinstance(item, Job):
                resume.wake(self._core, item)
            else:
                resume.by_time(self._core, item)
        self._drain()

    def _drain(self) -> None:
        """Handles the events that the engine itself sent."""
        inbox = self._core.inbox
        while inbox:
            self._event(inbox.popleft())

    def _event(self, event: Event) -> list[Run]:
        core = self._core
        core.changes.events.append(event)
        listeners = core.registry.listeners(event.name)
        waited_for = core.waits.listens(event.name)
        started: list[Run] = []
        if event.invocation is not None:
            invoked = core.registry.find(event.invocation.fn_id)
            started += self._invoke(event, event.invocation, invoked)
            listeners = tuple(one for one in listeners if one.function is not invoked)  # an event starts it once
        if listeners or waited_for:
            fanout = Fanout(core, event, listeners, waited_for=waited_for)
            if not fanout.work(core, started):
                core.fanouts[event.id] = fanout
                core.changes.flow[FANOUT, event.id] = fanout.rest()
        if event.correlation_id:
            resume.by_finish(core, event)
        return started

    def _invoke(self, event: Event, invocation: Invocation, function: Function | None) -> list[Run]:
        """Starts the function that an invocation asks for, or tells the invoker that there is none."""
        if function is not None:
            run = admission.offer(self._core, admission.for_event(function, event))
            return [run] if run is not None else []
        if invocation.correlation_id:
            message = f"could not find function with ID: {invocation.fn_id}"
            data = lifecycle.unknown_function_data(invocation.correlation_id, message)
            answer = finish.internal(self._core, lifecycle.FINISHED, data, correlation_id=invocation.correlation_id)
            self._core.inbox.append(answer)
        return []
