"""One simulated life of a server: its clients and its app around a real partition, dispatcher and store.

Time is virtual. A fault may strike at any commit: it fails, its outcome is unknown, or the process dies before or after
it. The partition then reloads from the store, or a new one takes its place, as in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace
from structlog.testing import capture_logs

from holdfast.protocol.events import read_events
from holdfast.protocol.functions import (
    Batch,
    Cancel,
    Concurrency,
    ConcurrencyLimit,
    Debounce,
    FunctionConfig,
    RateLimit,
    Scope,
    Singleton,
    SingletonMode,
    Step,
    Throttle,
    Timeouts,
    Trigger,
)
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.opcodes import parse_ops
from holdfast.protocol.responses import Outcome
from holdfast.server.drivers.driver import Driver
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.checkpoints import CheckpointError
from holdfast.server.engine.engine import DefectError, Engine
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.flow.restore import needed_events
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Body
from holdfast.server.engine.schedule import Endpoint, Request
from holdfast.server.engine.settings import Settings
from holdfast.server.model.job import Job
from holdfast.server.model.span import Call
from holdfast.server.model.status import RunStatus
from holdfast.server.runtime import turns
from holdfast.server.runtime.dispatcher import Dispatcher
from holdfast.server.runtime.partition import NotAliveError, Partition
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import Needs, Recovered, StoreError, Write, needs_none

from . import checks, sdk
from .app import App, Provider, Watched
from .fleet import APP, Fleet
from .program import Author, Program
from .virtual import Crash, Loop, ServerClock, stopwatch

T0 = 1_700_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MOST_TURNS = 20_000

NS = 1_000_000
#: Flow control, as far as it changes what becomes of an event.
FEATURES: dict[str, dict[str, Any]] = {
    "throttle": {"throttle": Throttle(1, "1m", MINUTE * NS, burst=1, key="event.data.k")},
    "rate limit": {"rate_limit": RateLimit(2, "1h", HOUR * NS, "event.data.k")},
    "debounce": {"debounce": Debounce("1m", MINUTE * NS, "event.data.k", "5m", 5 * MINUTE * NS)},
    "batch": {"batch": Batch(2, "60s", MINUTE * NS, "event.data.k")},
    "singleton": {"singleton": Singleton(SingletonMode.SKIP, "event.data.k")},
    "singleton cancel": {"singleton": Singleton(SingletonMode.CANCEL, "event.data.k")},
    "timeouts": {"timeouts": Timeouts("10m", 10 * MINUTE * NS, "6h", 6 * HOUR * NS)},
    "runs": {},
}

Action = Callable[[], object]
T = TypeVar("T")
Refused = Callable[[BaseException | None], object]


@dataclass
class Ledger:
    """What the simulation knows of what was promised."""

    accepted: set[str] = field(default_factory=set)  # events that a client was told of
    ended: dict[str, RunStatus] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)  # runs cancelled over the API
    broken: set[str] = field(default_factory=set)  # runs of which an answer broke the engine


class FlakyStore(SqliteStore):
    """Fails at commits, as the world has it."""

    world: World

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> asyncio.Future[None] | None:
        world = self.world
        fault = "" if changes.empty else world.fault()
        if fault == "fail":
            raise StoreError("disk full")
        if fault == "before":
            raise Crash
        super().commit(changes, writes)
        checks.after_commit(world, changes)
        if fault == "after":
            raise Crash
        if fault == "unknown":
            raise StoreError("the connection broke")
        late = StoreError("the disk failed") if fault == "late" else None
        return world.sync(late) if late or world.random.random() < world.slow else None

    def read(self) -> Recovered:
        """Return what a reload would give."""
        return super().recover(needed_events)

    def body(self, run_id: str) -> Body:
        """Return a run's body as it is stored."""
        return super().load_body(run_id)

    def recover(self, needs: Needs = needs_none) -> Recovered | Awaitable[Recovered]:  # type: ignore[override]
        found = super().recover(needs)
        starts = self.world.partition.trouble is None  # a server that starts takes nothing in before it is done
        return self.world.soon(found) if self.world.remote and not starts else found

    def load_body(self, run_id: str) -> Body | Awaitable[Body]:  # type: ignore[override]
        return self.world.soon(super().load_body(run_id)) if self.world.remote else super().load_body(run_id)


class FragileEngine(Engine):
    """Breaks of some answers, as the world has it."""

    world: World

    def on_answer(self, job: Job, outcome: Outcome, call: Call, now: int) -> bool:
        if self.world.breaks(job):
            self.suspect = (job.run_id, job.no)
            self.on_defect(ValueError("injected"))
            raise DefectError("injected")
        return super().on_answer(job, outcome, call, now)


class World:
    """One life of a server. With `workers`, calls go to workers over the Connect driver."""

    def __init__(
        self, seed: int, folder: Path, log: Callable[[str], None] | None = None, *, workers: bool = False
    ) -> None:
        self.random = Random(seed)
        self.log = log or (lambda _: None)
        self.loop = Loop()
        self.loop.on_death = self._die
        self.clock = ServerClock(self.loop, T0)
        self.went_back = False  # the server's clock, at least once
        self.ledger = Ledger()
        self._ids = UlidSource(Random(seed + 1).getrandbits)
        self._path = folder / f"{seed}.db"
        self.settings = Settings(workers=self.random.choice((1, 2, 5, 100)))
        self._asked: set[asyncio.Future[Any]] = set()
        self.slow = self.random.choice((0.0, 0.1))
        self.faults = self.random.choice((0.0, 0.02, 0.1))
        self.remote = self.random.random() < 0.3
        """Whether the store is in another place, so that reading takes its time."""
        self.life = 0
        self.turns = 0
        self.fleet: Fleet | None = None
        self._workers = workers
        self._write_functions()

    # --- functions ----------------------------------------------------------------------------------------------------

    def _write_functions(self) -> None:
        random = self.random
        children = ["app-child-1", "app-child-2"]
        author = Author(random, children)
        leaf = Author(random, [])
        self.programs: dict[str, Program] = {}
        self.features: dict[str, str] = {}
        self.functions: list[Function] = []
        for child in children:
            self._add(leaf.write(child, 3), Trigger(event="never"))
        for number in range(random.randint(1, 3)):
            self._add(author.write(f"app-fn-{number}", defers=True), Trigger(event=f"go/{number % 2}"), flow=True)
        self._add(leaf.write("app-failure", 1), Trigger(event="inngest/function.failed"))
        self._add(leaf.write("app-deferred", 1), Trigger(event="inngest/deferred.schedule"))
        self._add(leaf.write("app-cron", 1), Trigger(cron="0 */6 * * *"))
        self._add(leaf.write("app-endpoint", 4), Trigger(event="never"))

    def _add(self, program: Program, trigger: Trigger, *, flow: bool = False) -> None:
        random = self.random
        limits: tuple[ConcurrencyLimit, ...] = ()
        cancel: tuple[Cancel, ...] = ()
        if flow and random.random() < 0.5:
            keyed = ConcurrencyLimit(random.randint(1, 2), "event.data.k")
            shared = ConcurrencyLimit(random.randint(1, 3), "event.data.k", Scope.ENVIRONMENT)
            limits = random.choice(((keyed,), (keyed, ConcurrencyLimit(random.randint(2, 3))), (shared,), (shared,)))
        if flow and random.random() < 0.5:
            timeout = random.choice(("", "1h"))
            cancel = (Cancel("stop", "event.data.k == async.data.k", timeout),)
        slug = program.slug
        endpoint = slug == "app-endpoint"
        url = "wss://connect" if self._workers and not endpoint else "http://app/api"
        feature = random.choice(sorted(FEATURES)) if flow and random.random() < 0.5 else ""
        config = FunctionConfig(
            slug,
            slug,
            (trigger,),
            (Step("step", "step", url, program.retries),),
            concurrency=Concurrency(
                steps=tuple(sorted(limits, key=lambda item: item.limit)),
                runs=(ConcurrencyLimit(random.randint(1, 2), "event.data.k"),) if feature == "runs" else (),
            ),
            cancel=() if feature == "batch" else cancel,
            priority="event.data.p" if flow and feature != "batch" and random.random() < 0.3 else "",
        )
        config = replace(config, **FEATURES.get(feature, {}))
        function = Function(f"id-{slug}", "id-endpoints" if endpoint else APP, slug, slug, 1, config)
        self.functions.append(function)
        self.programs[function.id] = program
        self.features[function.id] = feature

    # --- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The server's clock."""
        return self.clock.now_ms()

    @property
    def time(self) -> int:
        """That of the outside world."""
        return T0 + round(self.loop.time() * 1_000)

    def later(self, delay: int, label: str, action: Action) -> None:
        """Something outside will happen."""

        def happen() -> None:
            self.log(f"{round(self.loop.time() * 1_000):>12}  {label}")
            action()

        self.loop.call_later(delay / 1_000, happen)

    async def soon(self, found: T) -> T:
        """Answer what was read, after some time."""
        await self.sleep(self.random.choice((0, 0, 1, 20, 300)))
        return found

    async def sleep(self, delay: int) -> None:
        await asyncio.sleep(delay / 1_000)

    def run(self) -> None:
        """Live until nothing is left to happen."""
        with stopwatch(Random(self.random.random())), capture_logs():
            self.loop.call_soon(self._begin)
            try:
                self.loop.live()
                checks.at_rest(self)
            finally:
                self._leave()
                self.loop.close()

    def _begin(self) -> None:
        if self._workers:
            self.fleet = Fleet(self)
        self._start()
        self._plan_clients()
        if self.fleet is not None:
            self.fleet.plan()

    # --- life and death -----------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        return self.partition._engine

    def _start(self) -> None:
        """A server starts."""
        self.life += 1
        self.store = FlakyStore(self._path, "none")
        self.store.world = self
        partition = self.partition = Partition(self._make_engine, self.store, self.clock)
        partition.configure = self._configure
        partition.on_turn = self._turned
        self.gateways = Watched(partition, Provider(self))
        drivers: dict[str, Driver] = {"http": App(self)}
        if self.fleet is not None:
            drivers["wss"] = self.fleet
        self.dispatcher = Dispatcher(partition, drivers, self.gateways, self._ids)
        partition.performer = self.dispatcher
        partition.recover()
        self.log(f"{'':>12}  life {self.life}: {len(self.engine._core.runs)} runs")

    def _die(self) -> None:
        """The process is gone, with all that it had in memory, and another one starts."""
        self.log(f"{'':>12}  DEATH")
        self._leave()
        for asked in list(self._asked):
            asked.cancel()
        if self.fleet is not None:
            self.fleet.crashed()
        self._start()

    def _leave(self) -> None:
        partition = self.partition
        partition._closed = True
        partition.on_turn = None
        partition.performer = None
        if partition._timer is not None:
            partition._timer.cancel()
        self.dispatcher.forget()
        for task in list(self.gateways._tasks):
            task.cancel()
        self.store.close()

    def fault(self) -> str:
        """What goes wrong with a commit."""
        if self.random.random() >= self.faults:
            return ""
        fault = self.random.choice(("fail", "unknown", "late", "before", "after"))
        self.log(f"{'':>12}  FAULT {fault}")
        return fault

    def sync(self, error: StoreError | None) -> asyncio.Future[None]:
        """The disk takes its time; inputs collect meanwhile."""
        done: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_later(self.latency() / 1_000, _settle, done, error)
        return done

    def breaks(self, job: Job) -> bool:
        """Whether the answer to a call breaks the engine: once for a run."""
        broken = self.ledger.broken
        if job.run_id in broken or self.random.random() >= self.faults / 20:
            return False
        self.log(f"{'':>12}  DEFECT")
        broken.add(job.run_id)
        return True

    def _make_engine(self, epoch: int) -> Engine:
        engine = FragileEngine(self._ids, self.random.randrange, self.settings, epoch)
        engine.world = self
        return engine

    def twin(self) -> Engine:
        """Return an engine with what a reload would give."""
        engine = self._make_engine(self.store.epoch)
        turns.recover(engine, self.store.read(), self._configure, self.now)
        return engine

    def _configure(self, engine: Engine, now: int) -> None:
        engine.configure(self.functions, now)
        if self.fleet is not None:
            engine.set_capacity(APP, self.fleet.roster.units(APP), now)

    def _turned(self, _: Changes) -> None:
        """A turn is durable; once its effects began, all must be where it belongs."""
        self.turns += 1
        assert self.turns < MOST_TURNS, "does not come to rest"
        self.loop.call_soon(self._look, self.partition)

    def _look(self, partition: Partition) -> None:
        engine = partition._engine
        at_work = partition._busy or engine.pending or engine._core.changes.effects or engine.cancelling
        if partition is self.partition and partition.trouble is None and not at_work and not engine.fanning_out:
            checks.after_turn(self)

    def ask(self, question: Callable[[], Awaitable[Any]], done: Callable[[Any], object], refused: Refused) -> None:
        """A client asks something of the server, which may refuse it, or die before it answers."""
        asked = asyncio.ensure_future(self._asking(question))
        self._asked.add(asked)

        def answered(asked: asyncio.Future[Any]) -> None:
            self._asked.discard(asked)
            error = None if asked.cancelled() else asked.exception()
            if asked.cancelled() or isinstance(error, StoreError | NotAliveError | CheckpointError | DefectError):
                refused(error)
            elif error is not None:
                raise error
            else:
                done(asked.result())

        asked.add_done_callback(answered)

    async def _asking(self, question: Callable[[], Awaitable[Any]]) -> Any:
        return await question()

    # --- clients ------------------------------------------------------------------------------------------------------

    def _plan_clients(self) -> None:
        random = self.random
        for number in range(random.randint(2, 5)):
            data = {"k": random.randint(0, 1), "p": random.randint(-5, 5)}
            id = f"id-{number}" if random.random() < 0.5 else ""
            delay = random.choice((0, 0, 10, random.randrange(DAY)))
            self._send_at(delay, f"go/{random.randint(0, 1)}", data, id)
        for _ in range(random.randint(0, 6)):
            name = random.choice(("w/1", "w/2", "stop"))
            self._send_at(self.sometime(), name, {"k": random.randint(0, 1)})
        for _ in range(random.randint(0, 6)):
            self.later(self.sometime(), "signal", self._signal)
        if random.random() < 0.2:
            self.later(random.randrange(DAY), "cancel over the API", self._cancel)
        if random.random() < 0.4:
            self.later(random.randrange(HOUR), "endpoint", self._endpoint)
        if random.random() < 0.3:
            jump = random.choice((2 * HOUR, 20 * MINUTE, -10 * MINUTE, -3 * HOUR))
            self.later(random.randrange(DAY), f"clock jumps by {jump}", lambda: self._jump(jump))
        if random.random() < 0.3:
            self._plan_wrong_clock()
        if random.random() < 0.3:
            self.later(random.randrange(HOUR), "a function is paused", self._pause)
        self.later(2 * DAY, "the cron function is removed", self._remove_cron)

    def _plan_wrong_clock(self) -> None:
        """An hour ahead for five seconds, or back; the server may be started again meanwhile, or just after it."""
        by, start = self.random.choice((HOUR, HOUR, DAY, -HOUR)), self.sometime()
        self.later(start, f"clock is wrong by {by}", lambda: self._jump(by))
        self.later(start + 5 * SECOND, "clock is right again", lambda: self._jump(-by))
        for delay in self.random.choice(((), (SECOND,), (5 * SECOND,), (SECOND, 6 * SECOND))):
            self.later(start + delay, "the server is killed", self._kill)

    def _kill(self) -> None:
        raise Crash

    def sometime(self) -> int:
        return self.random.choice(
            (self.random.randrange(MINUTE), self.random.randrange(HOUR), self.random.randrange(DAY))
        )

    def _send_at(self, delay: int, name: str, data: dict[str, int], id: str = "") -> None:
        self.later(delay, f"event {name} {data} {id}", lambda: self._send(name, data, id))

    def _send(self, name: str, data: dict[str, int], id: str) -> None:
        body = json.dumps({"name": name, "data": data, **({"id": id} if id else {})}).encode()
        intake = read_events(body, content_type="application/json", now_ms=self.now, new_id=self._ids.next)
        (event,) = intake.events
        again = partial(self._send_at, SECOND, name, data, id)  # a client that was told nothing tries again
        accepted = self.ledger.accepted.add
        self.ask(
            lambda: self.partition.intake.take([event]), lambda _: accepted(event.id), lambda _: again()
        )  # fmt: skip

    def _signal(self) -> None:
        names = sorted(self.engine._core.waits.signals)
        if not names:
            return
        name = self.random.choice(names)
        self.ask(
            lambda: self.partition.submit(lambda engine, now: engine.on_signal(name, b'{"n":1}', now)),
            lambda found: self.log(f"{'':>12}  signal {name} -> {found}"), lambda _: None,
        )  # fmt: skip

    def _cancel(self) -> None:
        runs = sorted(self.engine._core.runs)
        if not runs:
            return
        run_id = self.random.choice(runs)
        cancel = partial(
            self.partition.submit_run, run_id, lambda engine, run, now: engine.cancel(run, "api", now)
        )  # fmt: skip
        self.ask(cancel, lambda _: self.ledger.cancelled.add(run_id), lambda _: None)

    def _pause(self) -> None:
        """New runs of a function wait until it is resumed. One with timeouts would lose them by that."""
        slugs = sorted(f.slug for f in self.functions if f.config.timeouts is None and not f.slug.endswith("endpoint"))
        slug = self.random.choice(slugs)
        function_id = next(f.id for f in self.functions if f.slug == slug)
        self.ask(
            lambda: self.partition.submit(lambda engine, now: engine.pause(function_id, Mode.QUEUE, now)),
            lambda _: None, lambda _: None,
        )  # fmt: skip
        self.later(self.random.randrange(2 * HOUR), f"{slug} is resumed", lambda: self._resume(function_id))

    def _resume(self, function_id: str) -> None:
        again = partial(self.later, SECOND, "the resumption is repeated", lambda: self._resume(function_id))
        self.ask(
            lambda: self.partition.submit(lambda engine, now: engine.resume(function_id, now)),
            lambda _: None, lambda _: again(),
        )  # fmt: skip

    def _jump(self, by: int) -> None:
        self.went_back = self.went_back or by < 0
        self.clock.jump(by)

    def _remove_cron(self) -> None:
        self.functions = [f for f in self.functions if f.slug != "app-cron"]
        with contextlib.suppress(StoreError):  # a reload configures the engine anew
            self.partition.give(self._configure)

    # --- durable endpoints --------------------------------------------------------------------------------------------

    def _endpoint(self, run_id: str = "") -> None:
        now = self.now
        if run_id in self.engine._core.runs:  # it had been begun: only the answer was lost
            self._report_soon(run_id, {})
            return
        function = next(f for f in self.functions if f.slug == "app-endpoint")
        body = b'{"name":"http.request","data":{"k":0}}'
        (event,) = read_events(body, content_type="", now_ms=now, new_id=self._ids.next).events
        run_id = run_id or self._ids.next(now)
        endpoint = Endpoint(run_id, "http://app/orders", "POST", 2)

        def begin(engine: Engine, now: int) -> None:
            engine.on_event(event, now)
            engine.open_endpoint(Request(function, [event], endpoint=endpoint), now)

        again = partial(self.later, SECOND, "endpoint again", lambda: self._endpoint(run_id))
        self.ask(
            lambda: self.partition.submit(begin), lambda _: self._report_soon(run_id, {}), lambda _: again()
        )  # fmt: skip

    def _report_soon(self, run_id: str, memo: dict[str, bytes]) -> None:
        self.later(self.latency(), f"endpoint {run_id[-4:]} reports", lambda: self._report(run_id, memo))

    def _report(self, run_id: str, memo: dict[str, bytes]) -> None:
        program = next(program for program in self.programs.values() if program.slug == "app-endpoint")
        ops, goes_on = sdk.report_of_endpoint(program, memo, run_id)
        parsed = parse_ops(json.dumps(ops).encode())
        grown = {**memo, **{op["id"]: b'{"data":0}' for op in ops}}

        def refused(error: BaseException | None) -> None:
            if not isinstance(error, NotAliveError):
                self._report_soon(run_id, memo)

        self.ask(
            lambda: self.partition.submit_run(run_id, lambda engine, run, now: engine.on_report(run, parsed, now)),
            (lambda _: self._report_soon(run_id, grown)) if goes_on else (lambda _: None), refused,
        )  # fmt: skip

    def latency(self) -> int:
        return self.random.choice((1, 5, 20, 20, 300, 5_000))


def _settle(done: asyncio.Future[None], error: StoreError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
