"""Calling user code: from a leased job to a request, and from its answer back into the engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from holdfast.protocol.calls import CallContext, queue_item, render_body, render_headers
from holdfast.protocol.canonical import canonical
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.protocol.signing import sign
from holdfast.protocol.urls import set_step_id
from holdfast.server.drivers.http import Answer, CallFailure, HttpClient, Target
from holdfast.server.engine.changes import Dispatch, Effect, Perform
from holdfast.server.engine.engine import DefectError
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.job import Job
from holdfast.server.model.span import Call
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime import endpoints
from holdfast.server.runtime.gateways import Gateways
from holdfast.server.runtime.partition import Partition, now_ms

log = structlog.get_logger(__name__)

#: An app that is gone from the registry is not called; its runs fail with this text.
NO_FUNCTION = "Unable to reach SDK URL"
UNHANDLED = "error handling generator response: the server could not handle this answer, see its log"


class Dispatcher:
    """Performs the engine's effects over HTTP. `signers` are the signing keys in force: the first one signs."""

    def __init__(
        self, partition: Partition, client: HttpClient, ids: UlidSource, signers: Callable[[], Sequence[str]] = tuple,
        broadcaster: Broadcaster | None = None,
    ) -> None:  # fmt: skip
        self._partition = partition
        self._client = client
        self._ids = ids
        self._signers = signers
        self._gateways = Gateways(partition, client, broadcaster or Broadcaster())
        self._targets: dict[str, Target] = {}
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._generation = 0
        self._drained: asyncio.Future[None] | None = None
        self.calls = 0
        """Calls to functions that are under way."""
        self.verbose = False
        """Whether each call, answer and end of a run is logged, at debug level."""

    def perform(self, effect: Effect) -> None:
        """Starts one effect; none while the server drains: what it is about is leased anew after the next start."""
        if self._drained is not None:
            return
        try:
            if isinstance(effect, Dispatch):
                self._call(effect.run, effect.job)
            else:
                self._perform(effect)
        except Exception as error:  # noqa: BLE001 - one run's bad data must not stop the others
            log.error("call could not be made", run=effect.run.id, job=effect.job.id, error=repr(error))
            outcome = transport_failure(f"error performing request: {error}")
            self._partition.soon(self._hand_in, effect.run, effect.job, outcome, 0, now_ms())

    async def close(self) -> None:
        """Drops gateway exchanges under way."""
        self._generation += 1
        for task in list(self._tasks):
            task.cancel()
        await self._gateways.close()

    @property
    def in_flight(self) -> int:
        """Exchanges under way, of all sorts."""
        return self.calls + len(self._tasks) + len(self._gateways)

    async def drain(self, patience: float) -> int:
        """Makes no more calls and waits, so many seconds at most, for those under way; answers how many were left."""
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
        """Answers to calls made so far are dropped: the engine was reloaded."""
        self._generation += 1

    # --- calls ------------------------------------------------------------------------------------------------------

    def _call(self, run: Run, job: Job) -> None:
        if self._partition.engine.core.runs.get(run.id) is not run or not run.holds(job):
            return  # cancelled in the same turn
        function = self._partition.engine.core.registry.functions.get(run.function_id)
        if function is None or (job.run_id, job.no) in self._partition.strikes:
            outcome = transport_failure(NO_FUNCTION) if function is None else _unanswerable()
            self._partition.soon(self._hand_in, run, job, outcome, 0, now_ms())
            return
        self._partition.load(run)
        assert run.body is not None
        step = "" if job.op else job.step
        context = self._context(run, job, run.body, step)
        if run.state.sync_url:
            self._call_endpoint(run, job, context)
            return
        target = self._target(function.config.url, step)
        body, signature = self._body(context, run, run.body)
        started = now_ms()
        done = partial(self._answered, run, job, started, self._generation)
        self.calls += 1
        try:
            self._client.post(target, render_headers(context, run.app_id, signature), body, done)
        except BaseException:
            self.calls -= 1
            raise
        if self.verbose:
            log.debug("call", run=run.id, function=function.slug, step=step, attempt=job.attempt, bytes=len(body))

    def _call_endpoint(self, run: Run, job: Job, context: CallContext) -> None:
        started, generation = now_ms(), self._generation
        task = asyncio.ensure_future(endpoints.call(self._client, run, context, self._key()))
        self._tasks.add(task)

        def done(task: asyncio.Task[Outcome]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and generation == self._generation:
                error = task.exception()
                outcome = task.result() if error is None else transport_failure(f"error performing request: {error}")
                self._hand_in(run, job, outcome, started, now_ms())
            self._ended()

        task.add_done_callback(done)

    def _context(self, run: Run, job: Job, body: Body, step: str) -> CallContext:
        state = run.state
        return CallContext(
            run.id, run.function_id, job.id, queue_item(f"{job.run_id}.{job.no}"), self._ids.next(now_ms()),
            job.generation + self._partition.store.epoch - job.epoch, job.attempt, job.max_attempts, step,
            state.request_version, state.force_plan, _position(body, job.outgoing), run.detail.trace,
        )  # fmt: skip

    def _body(self, context: CallContext, run: Run, body: Body) -> tuple[bytes, str]:
        state = run.state
        inputs = {id: bytes(raw) for id, raw in state.inputs.items()} if state.inputs else None
        defers = {id: d.status == "after_run" for id, d in state.defers.items()} if state.defers else None
        rendered = render_body(context, body.events, body.steps, run.state_size, inputs, defers)
        key = self._key()
        if not key:
            return rendered, ""
        rendered = canonical(rendered)
        return rendered, sign(key, rendered, int(time.time()))

    def _key(self) -> str:
        signers = self._signers()
        return signers[0] if signers else ""

    def _target(self, url: str, step: str) -> Target:
        if step:
            return Target.parse(set_step_id(url, step))
        target = self._targets.get(url)
        if target is None:
            target = self._targets[url] = Target.parse(set_step_id(url, "step"))
        return target

    # --- answers ----------------------------------------------------------------------------------------------------

    def _answered(self, run: Run, job: Job, started: int, generation: int, result: Answer | CallFailure) -> None:
        self.calls -= 1
        if generation == self._generation:
            now = now_ms()
            if isinstance(result, CallFailure):
                self._hand_in(run, job, transport_failure(result.text, result.code or ""), started, now)
            else:
                outcome = read_response(result.status, result.headers, result.body, now)
                self._hand_in(run, job, outcome, started, now)
        if self._drained is not None:
            self._ended()

    def _hand_in(self, run: Run, job: Job, outcome: Outcome, started: int, now: int) -> None:
        call = Call(
            job.id, "" if job.op else job.step, job.queued_at, job.due, started or now, now, job.attempt,
            outcome.status,
            outcome.headers, outcome.size,
        )  # fmt: skip
        partition = self._partition
        if partition.engine.core.runs.get(run.id) is run:
            partition.load(run)
        with contextlib.suppress(DefectError):  # the partition reloads, and this call is made again
            partition.engine.on_answer(job, outcome, call, now)
            partition.changed()
        if outcome.error:
            final = outcome.no_retry or job.attempt + 1 >= job.max_attempts
            partition.tally.answer("failed" if final else "errored", run.function_id)
        else:
            partition.tally.answer("success", run.function_id)
        if self.verbose:
            self._tell(run, job, outcome, now - call.started_at)

    def _tell(self, run: Run, job: Job, outcome: Outcome, took: int) -> None:
        function = self._partition.engine.core.registry.functions.get(run.function_id)
        bound = log.bind(run=run.id, function=function.slug if function else run.function_id, step=job.step)
        bound.debug("answer", status=outcome.status, ms=took, error=outcome.error, ops=len(outcome.ops or ()))
        if run.ended_at is not None:
            bound.debug("run ended", status=run.status.name.lower(), steps=run.step_count)

    def _perform(self, effect: Perform) -> None:
        self._gateways.perform(effect)


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
