"""A world for one engine: a clock, an app that the test answers for, committed rows. Nothing in it waits.

Each input is followed by a turn: what events cancel is cancelled, the rows are committed, the effects come out. Runs
that only wait lose their bodies at each commit, so that the engine never relies on one that is not there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from holdfast.protocol.events import Event, read_events, read_invoke
from holdfast.protocol.functions import Cancel, Concurrency, ConcurrencyLimit, FunctionConfig, Step, Trigger
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.opcodes import parse_ops
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.server.engine.changes import Dispatch, Perform
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.gateway import Result
from holdfast.server.engine.queue import Entry
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Run
from holdfast.server.engine.schedule import Endpoint, Request
from holdfast.server.engine.settings import Settings
from holdfast.server.model.job import Job, Pause, PauseKind
from holdfast.server.model.span import Call, Span
from holdfast.server.model.status import RunStatus
from holdfast.server.runtime import turns
from store.memory import Rows

from .replies import Reply, hashed

T0 = 1_700_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def function(
    slug: str = "app-fn",
    on: str | Trigger | Iterable[str | Trigger] = "go",
    *,
    retries: int | None = None,
    version: int = 1,
    limits: Iterable[ConcurrencyLimit] = (),
    cancel: Iterable[Cancel] = (),
    **config: Any,
) -> Function:
    """A function of the app. A trigger is an event's name, or a Trigger."""
    given = [on] if isinstance(on, str | Trigger) else list(on)
    triggers = tuple(t if isinstance(t, Trigger) else Trigger(event=t) for t in given)
    steps = (Step("step", "step", f"http://app/api?fnId={slug}&stepId=step", retries),)
    return Function(
        f"id-{slug}", "id-app", slug, slug, version,
        FunctionConfig(
            slug, slug, triggers, steps, concurrency=Concurrency(steps=tuple(limits)), cancel=tuple(cancel), **config
        ),
    )  # fmt: skip


class World:
    def __init__(self, *functions: Function, settings: Settings | None = None, jitter: int = 0) -> None:
        self.now = T0
        self.settings = settings or Settings()
        self.jitter = jitter
        self.ids = UlidSource(Random(1).getrandbits)
        self.rows = Rows()
        self.calls: list[Dispatch] = []
        self.exchanges: list[Perform] = []
        self.functions = list(functions)
        self.epoch = 1
        self._leased: list[Entry] = []
        self._open = False  # a turn goes on
        self.engine = self._engine()
        self.configure(*functions)

    def _engine(self) -> Engine:
        return Engine(self.ids, lambda most: min(self.jitter, most), self.settings, self.epoch)

    # --- inputs -------------------------------------------------------------------------------------------------------

    def configure(self, *functions: Function) -> None:
        self.functions = list(functions)
        self.engine.configure(functions, self.now)
        self.turn()

    def send(self, name: str, data: Any = None, **more: Any) -> list[Run]:
        """An event arrives. Returns the runs that it started."""
        body = json.dumps({"name": name, "data": data or {}, **more}).encode()
        intake = read_events(body, content_type="application/json", now_ms=self.now, new_id=self.ids.next)
        assert not intake.error
        return self.accept(intake.events[0])

    def accept(self, event: Event) -> list[Run]:
        runs = self.engine.on_event(event, self.now)
        self.turn()
        return runs

    def start(self, name: str = "go", data: Any = None, **more: Any) -> Run:
        """An event arrives that starts one run."""
        (run,) = self.send(name, data, **more)
        return run

    def invoke(self, slug: str, data: Any = None) -> list[Run]:
        body = json.dumps({"data": data or {}}).encode()
        return self.accept(read_invoke(body, slug, now_ms=self.now, new_id=self.ids.next))

    def answer(self, call: Dispatch, reply: Reply) -> bool:
        return self.hand_in(call, read_response(reply.status, reply.headers, reply.body, self.now))

    def break_off(self, call: Dispatch, text: str = "Unable to reach SDK URL") -> bool:
        return self.hand_in(call, transport_failure(text))

    def hand_in(self, call: Dispatch, outcome: Outcome) -> bool:
        job = call.job
        live = self.engine._core.runs.get(job.run_id)
        if live is not None:
            self.load(live)
        taken = self.engine.on_answer(job, outcome, self._call(job, outcome.status), self.now)
        self.turn()
        return taken

    def exchanged(self, perform: Perform, output: Any = None, error: Any = None) -> bool:
        """The exchange of a gateway step ended."""
        failed = error is not None
        stored = json.dumps({"error": error} if failed else {"data": output}).encode()
        live = self.engine._core.runs.get(perform.job.run_id)
        if live is not None:
            self.load(live)
        result = Result(stored, failed, self._call(perform.job, 200))
        taken = self.engine.on_gateway(perform.job, perform.op, result, self.now)
        self.turn()
        return taken

    def signal(self, name: str, data: Any = None) -> str | None:
        run_id = self.engine.on_signal(name, json.dumps(data).encode(), self.now)
        self.turn()
        return run_id

    def cancel(self, run: Run, cause: str = "test") -> None:
        self.load(run)
        self.engine.cancel(run, cause, self.now)
        self.turn()

    def checkpoint(self, call: Dispatch, *items: dict[str, Any], item: str = "") -> None:
        self.checkpoint_of(call.run, *items, item=item)

    def checkpoint_of(self, run: Run, *items: dict[str, Any], item: str = "") -> None:
        self.load(run)
        try:
            self.engine.on_checkpoint(run, parse_ops(json.dumps(items).encode()), item, self.now)
        finally:
            self.turn()

    def report(self, run: Run, *items: dict[str, Any]) -> None:
        self.load(run)
        try:
            self.engine.on_report(run, parse_ops(json.dumps(items).encode()), self.now)
        finally:
            self.turn()

    # --- time ---------------------------------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Lets time pass: timers fire at their moments."""
        self.advance_to(self.now + ms)

    def advance_to(self, moment: int) -> None:
        while (due := self.engine.next_due()) is not None and due <= moment:
            self.now = max(self.now, due)
            self.tick()
        self.now = moment

    def tick(self) -> None:
        """The timers that are due now fire."""
        while self.engine.on_timers(self.now):
            pass
        self.turn()

    # --- turns --------------------------------------------------------------------------------------------------------

    @contextmanager
    def one_turn(self) -> Iterator[None]:
        """All inputs within are of one turn."""
        self._open = True
        yield
        self._open = False
        self.turn()

    def turn(self) -> None:
        if self._open:
            return
        engine = self.engine
        while engine.cancelling or engine.sweeping:
            turns.cancel_runs(engine, self.load, self.now)
        changes = engine.take_changes()
        self.rows.commit(changes)
        for effect in changes.effects:
            if engine._core.runs.get(effect.run.id) is effect.run and effect.run.holds(effect.job):
                (self.calls if isinstance(effect, Dispatch) else self.exchanges).append(effect)  # type: ignore[arg-type]
        for run in engine._core.runs.values():
            if run.parked:
                run.body = None
        self.check()

    def load(self, run: Run) -> None:
        if run.body is None:
            self.engine.give_body(run, self.rows.body(run.id))

    def restart(self) -> None:
        """The process dies and another one goes on from what was committed."""
        self.calls.clear()
        self.exchanges.clear()
        self.epoch += 1
        self.engine = self._engine()
        for key, (_, expires) in sorted(self.rows.keys.items(), key=lambda item: item[1][1]):
            self.engine._core.seen.add(key, expires)
        for (function_id, cron), tick in self.rows.crons.items():
            self.engine.crons.remember(function_id, cron, tick)
        self.engine.configure(self.functions, self.now)
        for run in self.rows.live():
            self.engine.adopt(run, self.now)
        self.turn()
        self.tick()

    # --- what the app sees --------------------------------------------------------------------------------------------

    def call(self, step: str | None = None) -> Dispatch:
        """The one call that waits for its answer; with `step`, the one that asks for that step ("": for none)."""
        found = [c for c in self.calls if step is None or c.job.step == (hashed(step) if step else "")]
        assert len(found) == 1, f"{len(found)} calls are waiting"
        self.calls.remove(found[0])
        self.load(found[0].run)
        return found[0]

    def exchange(self) -> Perform:
        assert len(self.exchanges) == 1, f"{len(self.exchanges)} exchanges are waiting"
        return self.exchanges.pop()

    def reply(self, reply: Reply, step: str | None = None) -> Dispatch:
        """Answers the call that waits."""
        call = self.call(step)
        assert self.answer(call, reply)
        return call

    # --- what was committed -------------------------------------------------------------------------------------------

    def status(self, run: Run) -> RunStatus:
        return self.rows.runs[run.id].status

    def output(self, run: Run) -> Any:
        output = self.rows.runs[run.id].output
        return json.loads(output) if output is not None else None

    def memo(self, run: Run) -> dict[str, Any]:
        return {step: json.loads(output) for step, output in self.rows.memo(run.id).items()}

    def step(self, run: Run, name: str) -> Any:
        return self.memo(run)[hashed(name)]

    def history(self, run: Run) -> list[Span]:
        """All that was recorded of a run, in order."""
        rows = [(row[1], row[-1]) for row in (*self.rows.steps, *self.rows.spans) if row[0] == run.id]
        return [span for _, span in sorted(rows, key=lambda row: row[0])]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(e.json) for e in self.rows.events if e.name == name]

    # --- invariants ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What holds after every turn."""
        core = self.engine._core
        open_items = {(run.id, no): item for run in core.runs.values() for no, item in ((i.no, i) for i in run.open)}
        jobs = {key for key, item in open_items.items() if isinstance(item, Job)}
        pauses = {key for key, item in open_items.items() if isinstance(item, Pause)}
        assert self.rows.jobs.keys() == jobs
        assert self.rows.pauses.keys() == pauses
        for run in core.runs.values():
            assert any(i.kind is not PauseKind.CANCEL for i in run.open), "a run that nothing will wake"
            assert not self.rows.runs[run.id].status.ended
            leased = [1 for key, entry in core.queue.leases.items() if key[0] == run.id and run.holds(entry.job)]
            assert run.leased == len(leased)
        self._check_queue()

    def _check_queue(self) -> None:
        queue = self.engine._core.queue
        leased = queue.leases
        assert queue.slots.free >= 0
        assert queue.slots.free == self.settings.workers - len(leased)
        waiting = [entry for backlog in queue.slots._backlog.values() for _, _, entry in backlog]
        held = Counter(limit.key for entry in (*leased.values(), *waiting) for limit in entry.claims)
        held.update(key for run in self.engine._core.runs.values() for key in run.state.holds or ())
        assert held == queue.keys.held
        known, held = {id(entry) for entry in self._leased}, Counter()
        for entry in leased.values():  # in the order in which they were granted
            assert self.engine._core.current(entry.job)
            held.update(limit.key for limit in entry.limits)
            if id(entry) not in known:  # a limit that was lowered lets go on what runs
                assert all(held[limit.key] <= limit.limit for limit in entry.limits)
        self._leased = list(leased.values())

    def check_idle(self) -> None:
        """Nothing is left once all runs have ended."""
        core = self.engine._core
        assert not core.runs
        assert not self.rows.jobs
        assert not self.rows.pauses
        assert not core.queue.leases
        assert not core.queue.keys.held
        assert not core.queue.keys.waiting()
        assert not len(core.queue.slots)
        assert core.queue.slots.free == self.settings.workers
        assert not len(core.waits)
        assert not core.waits.signals
        assert not core.waits.correlations

    @staticmethod
    def _call(job: Job, status: int) -> Call:
        return Call(job.id, job.step, job.queued_at, job.due, job.due, job.due, job.attempt, status, {}, 0)


def open_endpoint(world: World, target: Function, run_id: str = "") -> Run:
    """A run that its own process drives, begun by a durable endpoint."""
    body = json.dumps({"name": "http.request", "data": {}}).encode()
    intake = read_events(body, content_type="application/json", now_ms=world.now, new_id=world.ids.next)
    event = intake.events[0]
    world.engine.on_event(event, world.now)
    endpoint = Endpoint(run_id or world.ids.next(world.now), "http://app/orders", "POST", 2)
    run = world.engine.open_endpoint(Request(target, [event], endpoint=endpoint), world.now)
    assert run is not None
    world.turn()
    return run
