"""Calling user code: from a leased job to a request, and from its answer back into the engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from holdfast.protocol.calls import CallContext, queue_item, render_body
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.responses import Outcome, transport_failure
from holdfast.server.drivers.driver import Driver, Late, Request, Work
from holdfast.server.drivers.http.endpoints import origin_of
from holdfast.server.drivers.http.failures import UNREACHABLE
from holdfast.server.engine.changes import Dispatch, Effect
from holdfast.server.engine.engine import DefectError
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.job import Job
from holdfast.server.model.span import Call
from holdfast.server.runtime.gateways import Gateways
from holdfast.server.runtime.partition import NotAliveError, Partition
from holdfast.server.store.store import StoreError

log = structlog.get_logger(__name__)

#: A function that is gone from the registry is not called; its runs are tried again, and fail with this text.
NO_FUNCTION = "The function of this run was removed from its app, or the app itself: sync it again to go on"
UNHANDLED = "error handling generator response: the server could not handle this answer, see its log"


class Dispatcher:
    """Performs the engine's effects: calls through `drivers`, by the scheme of the URL, and gateway steps.

    Schemes without a driver are left to that of `http`, which says what is wrong with them.
    """

    def __init__(
        self, partition: Partition, drivers: Mapping[str, Driver], gateways: Gateways, ids: UlidSource
    ) -> None:
        self._partition = partition
        self._now = partition.now
        self._drivers = drivers
        self._each_driver = list(dict.fromkeys(drivers.values()))
        self._gateways = gateways
        self._ids = ids
        self._generation = 0
        self._drained: asyncio.Future[None] | None = None
        self.calls = 0
        """Calls to functions that are under way."""
        self.on_away: Callable[[str], None] = lambda _: None
        """Told the id of an app when a call finds nobody at its URL."""
        self.on_back: Callable[[str], None] = lambda _: None
        """Told the id of such an app when a call is answered again."""
        self._away: set[str] = set()
        self.verbose = False
        """Whether each call, answer and end of a run is logged, at debug level."""

    def perform(self, effect: Effect) -> None:
        """Start one effect; none while the server drains: what it is about is leased anew after the next start."""
        if self._drained is not None:
            return
        try:
            if isinstance(effect, Dispatch):
                self._call(effect.run, effect.job)
            else:
                self._gateways.perform(effect)
        except Exception as error:  # noqa: BLE001 - one run's bad data must not stop the others
            log.error("call could not be made", run=effect.run.id, job=effect.job.id, error=repr(error))
            outcome = transport_failure(f"error performing request: {error}")
            self._partition.soon(self._hand_in, effect.run, effect.job, outcome, 0, self._now())

    def abandon(self, run_id: str) -> None:
        """Stop the calls of a run that has ended, as far as their transport can."""
        for driver in self._each_driver:
            driver.abandon(run_id)

    async def close(self) -> None:
        """Drop calls and gateway exchanges under way."""
        self._generation += 1
        for driver in self._each_driver:
            await driver.close()
        await self._gateways.close()

    @property
    def in_flight(self) -> int:
        """Exchanges under way, of all sorts."""
        return self.calls + len(self._gateways)

    async def drain(self, patience: float) -> int:
        """Start no more calls and wait, `patience` seconds at most, for those under way; return how many were left."""
        self._drained = asyncio.get_running_loop().create_future()
        self._gateways.on_end = self._ended
        self._ended()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained, patience)
        return self.in_flight

    def _ended(self) -> None:
        if self._drained is not None and not self._drained.done() and not self.in_flight:
            self._drained.set_result(None)

    def forget(self) -> None:
        """Drop the answers to calls made so far: the engine was reloaded."""
        self._generation += 1
        for driver in self._each_driver:
            driver.forget()

    # --- calls ------------------------------------------------------------------------------------------------------

    def _call(self, run: Run, job: Job) -> None:
        view = self._partition.view
        if view.run(run.id) is not run or not run.holds(job):
            return  # cancelled in the same turn
        function = view.functions.get(run.function_id)
        if function is None or self._partition.quarantine.suspects((job.run_id, job.no)):
            outcome = transport_failure(NO_FUNCTION) if function is None else _unanswerable()
            self._partition.soon(self._hand_in, run, job, outcome, 0, self._now())
            return
        loading = self._partition.load(run)
        if loading is not None:
            loading.then(lambda: self.perform(Dispatch(run, job)))
            return
        assert run.body is not None
        request = self._request(function, run, job, run.body)
        done = partial(self._answered, run, job, self._now(), self._generation)
        self.calls += 1
        try:
            self._driver(request).call(request, done)
        except BaseException:
            self.calls -= 1
            raise
        if self.verbose:
            step, size = request.context.step, len(request.body)
            log.debug("call", run=run.id, function=function.slug, step=step, attempt=job.attempt, bytes=size)

    def _driver(self, request: Request) -> Driver:
        scheme = "http" if request.origin is not None else request.url.partition(":")[0].lower()
        driver = self._drivers.get(scheme)
        return driver if driver is not None else self._drivers["http"]

    def _request(self, function: Function, run: Run, job: Job, body: Body) -> Request:
        step = "" if job.op else job.step
        context = self._context(run, job, body, step)
        if run.state.sync_url:
            origin = origin_of(run.state.sync_method, run.state.sync_url, body.events[0])
            return Request(context, run.app_id, function.slug, run.state.sync_url, b"", origin)
        rendered = _body(context, run, body)
        return Request(context, run.app_id, function.slug, function.config.url, rendered, exact=function.exact)

    def _context(self, run: Run, job: Job, body: Body, step: str) -> CallContext:
        state = run.state
        return CallContext(
            run.id, run.function_id, job.id, queue_item(f"{job.run_id}.{job.no}"), self._ids.next(self._now()),
            job.generation + self._partition.store.epoch - job.epoch, job.attempt, job.max_attempts, step,
            state.request_version, state.force_plan, _position(body, job.outgoing), run.detail.trace,
        )  # fmt: skip

    # --- answers ----------------------------------------------------------------------------------------------------

    def _answered(self, run: Run, job: Job, started: int, generation: int, outcome: Outcome | None) -> None:
        self.calls -= 1
        if generation == self._generation:
            if outcome is None:
                self._undelivered(job)
            else:
                self._hand_in(run, job, outcome, started, self._now())
        if self._drained is not None:
            self._ended()

    def answer_late(self, late: Late) -> None:
        """Take an answer to a call that was made before a restart or reload, if its job still waits for one."""
        view = self._partition.look()
        run = view.run(late.work.run_id) if view is not None else None
        if run is None or (late.app_ids is not None and run.app_id not in late.app_ids):
            return
        job = next((i for i in run.open if isinstance(i, Job) and _is(i, late.work)), None)
        if job is not None:
            log.info("accepted a reply to an earlier call", run=run.id, job=job.id)
            self._hand_in(run, job, late.outcome, 0, self._now())

    def _undelivered(self, job: Job) -> None:
        with contextlib.suppress(DefectError, StoreError):  # after a reload the call is made again
            self._partition.give(lambda engine, now: engine.on_undelivered(job, now))

    def _hand_in(self, run: Run, job: Job, outcome: Outcome, started: int, now: int) -> None:
        call = Call(
            job.id, "" if job.op else job.step, job.queued_at, job.due, started or now, now, job.attempt,
            outcome.status,
            outcome.headers, outcome.size,
        )  # fmt: skip
        partition = self._partition
        with contextlib.suppress(NotAliveError, DefectError, StoreError):  # after a reload the call is made again
            partition.give_run(run.id, lambda engine, _, now: engine.on_answer(job, outcome, call, now))
        if outcome.error:
            if not outcome.status and outcome.error == UNREACHABLE:
                self._away.add(run.app_id)
                self.on_away(run.app_id)
            final = outcome.no_retry or job.attempt + 1 >= job.max_attempts
            partition.tally.answer("failed" if final else "errored", run.function_id)
        else:
            partition.tally.answer("success", run.function_id)
            if run.app_id in self._away:
                self._away.remove(run.app_id)
                self.on_back(run.app_id)
        if self.verbose:
            self._tell(run, job, outcome, now - call.started_at)

    def _tell(self, run: Run, job: Job, outcome: Outcome, took: int) -> None:
        view = self._partition.look()
        function = view.functions.get(run.function_id) if view is not None else None
        bound = log.bind(run=run.id, function=function.slug if function else run.function_id, step=job.step)
        bound.debug("answer", status=outcome.status, ms=took, error=outcome.error, ops=len(outcome.ops or ()))
        if run.ended_at is not None:
            bound.debug("run ended", status=run.status.name.lower(), steps=run.step_count)


def _body(context: CallContext, run: Run, body: Body) -> bytes:
    state = run.state
    inputs = {id: bytes(raw) for id, raw in state.inputs.items()} if state.inputs else None
    defers = {id: d.status == "after_run" for id, d in state.defers.items()} if state.defers else None
    return render_body(context, body.events, body.steps, run.state_size, inputs, defers)


def _is(job: Job, work: Work) -> bool:
    same_item = queue_item(f"{job.run_id}.{job.no}") == work.item
    return same_item and job.id == work.job_id and job.attempt == work.attempt


def _unanswerable() -> Outcome:
    """Stands for an answer that broke the engine: the run fails of it."""
    outcome = transport_failure(UNHANDLED)
    outcome.no_retry = True
    return outcome


def _position(body: Body, outgoing: str) -> int:
    if not outgoing:
        return 0
    if next(reversed(body.steps), "") == outgoing:  # nearly always the step that was saved last
        return len(body.steps)
    for place, step in enumerate(body.steps, 1):
        if step == outgoing:
            return place
    return 0
