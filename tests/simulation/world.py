"""One simulated life of a server: its clients and its app around an engine and a real store, in virtual time.

The loop is that of `runtime/partition.py`: inputs, cancellations, one commit, then effects. A fault may strike at any
commit; after it, memory is thrown away and everything goes on from what the store gives back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Any

from msgspec.structs import replace

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
from holdfast.protocol.responses import Outcome, read_response, transport_failure
from holdfast.server.engine.changes import Changes, Dispatch, Perform
from holdfast.server.engine.checkpoints import CheckpointError, queue_item
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.flow.restore import needed_events
from holdfast.server.engine.gateway import Result
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Run
from holdfast.server.engine.schedule import Endpoint, Request
from holdfast.server.engine.settings import Settings
from holdfast.server.model.job import Job
from holdfast.server.model.span import Call
from holdfast.server.model.status import RunStatus
from holdfast.server.runtime import turns
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

from . import checks, sdk
from .fleet import Fleet
from .program import Author, Program, hashed

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

Action = Callable[[], None]
Ack = Callable[[], None]


class Crash(Exception):
    """The process died."""


@dataclass
class Ledger:
    """What the simulation knows of what was promised."""

    accepted: set[str] = field(default_factory=set)  # events that a client was told of
    ended: dict[str, RunStatus] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)  # runs cancelled over the API


class FlakyStore(SqliteStore):
    """Loses a commit, or the process just before or after it, when told to."""

    fault: str = ""
    crashing: bool = False

    def commit(self, changes: Changes) -> None:
        fault, self.fault = self.fault, ""
        if fault == "fail":
            raise StoreError("disk full")
        if fault == "before":
            raise Crash
        super().commit(changes)
        self.crashing = fault == "after"


class World:
    """One life of a server. With `workers`, calls go to workers over the Connect driver."""

    def __init__(
        self, seed: int, folder: Path, log: Callable[[str], None] | None = None, *, workers: bool = False
    ) -> None:
        self.random = Random(seed)
        self.log = log or (lambda _: None)
        self.time = T0  # that of the outside world
        self.skew = 0  # of the server's clock
        self.went_back = False  # the server's clock, at least once
        self.turns = 0
        self.ledger = Ledger()
        self._agenda: list[tuple[int, int, str, Action]] = []
        self._order = 0
        self._ids = UlidSource(Random(seed + 1).getrandbits)
        self._path = folder / f"{seed}.db"
        self.settings = Settings(workers=self.random.choice((1, 2, 5, 100)))
        self._acks: list[tuple[Ack, Ack]] = []
        self.exchanging: set[int] = set()  # jobs whose gateway exchange is under way, by identity
        self.slow = self.random.choice((0.0, 0.1))
        self.faults = self.random.choice((0.0, 0.02, 0.1))
        self.life = 0
        self.fleet: Fleet | None = None
        self._write_functions()
        self.store = self._open()
        self.engine = self._fresh()
        if workers:
            self.fleet = Fleet(self)
        self._recover()

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
        feature = random.choice(sorted(FEATURES)) if flow and random.random() < 0.5 else ""
        config = FunctionConfig(
            slug,
            slug,
            (trigger,),
            (Step("step", "step", "http://app/api", program.retries),),
            concurrency=Concurrency(
                steps=tuple(sorted(limits, key=lambda item: item.limit)),
                runs=(ConcurrencyLimit(random.randint(1, 2), "event.data.k"),) if feature == "runs" else (),
            ),
            cancel=() if feature == "batch" else cancel,
            priority="event.data.p" if flow and feature != "batch" and random.random() < 0.3 else "",
        )
        config = replace(config, **FEATURES.get(feature, {}))
        function = Function(f"id-{slug}", "id-endpoints" if slug == "app-endpoint" else "id-app", slug, slug, 1, config)
        self.functions.append(function)
        self.programs[function.id] = program
        self.features[function.id] = feature

    # --- the loop -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The server's clock."""
        return self.time + self.skew

    def later(self, delay: int, label: str, action: Action) -> None:
        """Something outside will happen."""
        self._order += 1
        heappush(self._agenda, (self.time + delay, self._order, label, action))

    def run(self) -> None:
        """Lives until nothing is left to happen."""
        self._plan_clients()
        if self.fleet is not None:
            self.fleet.plan()
        while (due := self._next()) is not None or self._unsettled():
            self.time = max(self.time, due or 0)
            self._turn()
            self.turns += 1
            assert self.turns < MOST_TURNS, "does not come to rest"
        checks.at_rest(self)
        self.store.close()

    def _unsettled(self) -> bool:
        core = self.engine._core
        return bool(not core.changes.empty or core.changes.effects or core.cancellations or self._acks)

    def _next(self) -> int | None:
        outside = self._agenda[0][0] if self._agenda else None
        timer = self.engine.next_due()
        inside = timer - self.skew if timer is not None else None
        return min((t for t in (outside, inside) if t is not None), default=None)

    def _turn(self) -> None:
        with self._mortal():
            self._inputs()
            self._commit()

    def _inputs(self) -> None:
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            if not self._agenda or self._agenda[0][0] > self.time:
                break
            _, _, label, action = heappop(self._agenda)
            self.log(f"{self.time - T0:>12}  {label}")
            action()
        due = self.engine.next_due()
        if due is not None and due <= self.now:
            self.engine.on_timers(self.now, most=self.random.choice((1, 3, 1_000)))

    def _commit(self) -> None:
        self._cancel_runs()
        changes = self.engine.take_changes()
        acks, self._acks = self._acks, []
        try:
            self._write(changes)
        except (Crash, StoreError):
            for _, refused in acks:
                refused()
            raise
        if self.random.random() < self.slow:  # while the disk syncs, the next turn begins
            self.time = max(self.time, self._next() or 0)
            self._inputs()
        for accepted, _ in acks:
            accepted()
        self._after(changes)

    def _cancel_runs(self) -> None:
        while self.engine.cancelling or self.engine.sweeping:
            turns.cancel_runs(self.engine, self.load, self.now)

    def _write(self, changes: Changes) -> None:
        if changes.empty:
            return
        if self.random.random() < self.faults:
            self.store.fault = self.random.choice(("fail", "before", "after"))
            self.log(f"{'':>12}  FAULT {self.store.fault}")
        self.store.commit(changes)
        checks.after_commit(self, changes)
        if self.store.crashing:
            raise Crash

    def _after(self, changes: Changes) -> None:
        runs = self.engine._core.runs
        for effect in changes.effects:
            if runs.get(effect.run.id) is effect.run and effect.run.holds(effect.job):
                self._perform(effect)
        for run_id, _ in (*changes.jobs, *changes.pauses):
            run = runs.get(run_id)
            if run is not None and run.parked and self.random.random() < 0.7:
                run.body = None
        if not self._unsettled():
            checks.after_turn(self)

    @contextmanager
    def _mortal(self) -> Iterator[None]:
        """What happens may be the end of this life."""
        try:
            yield
        except StoreError:
            if self.fleet is not None:
                self.fleet.reloaded()
            self._recover()
        except Crash:
            self.store.close()
            self.store = self._open()
            if self.fleet is not None:
                self.fleet.crashed()
            self._recover()

    # --- life and death -----------------------------------------------------------------------------------------------

    def _open(self) -> FlakyStore:
        return FlakyStore(self._path, "none")

    def _fresh(self) -> Engine:
        return Engine(self._ids, self.random.randrange, self.settings, self.store.epoch)

    def reload(self, engine: Engine) -> None:
        """Gives an engine what the store has."""
        turns.recover(engine, self.store.recover(needed_events), self._configure, self.now)

    def _configure(self, engine: Engine, now: int) -> None:
        engine.configure(self.functions, now)
        if self.fleet is not None:
            engine.set_capacity("id-app", self.fleet.roster.units("id-app"), now)

    def _recover(self) -> None:
        self.life += 1
        self._acks = []
        self.exchanging.clear()
        self.engine = self._fresh()
        self.reload(self.engine)
        self.log(f"{'':>12}  life {self.life}: {len(self.engine._core.runs)} runs")
        with self._mortal():
            self._commit()

    def load(self, run: Run) -> None:
        if run.body is None:
            self.engine.give_body(run, self.store.load_body(run.id))

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
        self.engine.on_event(event, self.now)
        self._acks.append((
            lambda: self.ledger.accepted.add(event.id),
            lambda: self._send_at(SECOND, name, data, id),  # a client that was told nothing tries again
        ))  # fmt: skip

    def _signal(self) -> None:
        names = sorted(self.engine._core.waits.signals)
        if not names:
            return
        name = self.random.choice(names)
        found = self.engine.on_signal(name, b'{"n":1}', self.now)
        self.log(f"{'':>12}  signal {name} -> {found}")

    def _cancel(self) -> None:
        runs = sorted(self.engine._core.runs)
        if not runs:
            return
        run = self.engine._core.runs[self.random.choice(runs)]
        self.load(run)
        self.engine.cancel(run, "api", self.now)
        self._acks.append((lambda: self.ledger.cancelled.add(run.id), lambda: None))

    def _pause(self) -> None:
        """New runs of a function wait until it is resumed. One with timeouts would lose them by that."""
        slugs = sorted(f.slug for f in self.functions if f.config.timeouts is None and not f.slug.endswith("endpoint"))
        slug = self.random.choice(slugs)
        function_id = next(f.id for f in self.functions if f.slug == slug)
        self.engine.pause(function_id, Mode.QUEUE, self.now)
        self.later(self.random.randrange(2 * HOUR), f"{slug} is resumed", lambda: self._resume(function_id))

    def _resume(self, function_id: str) -> None:
        self.engine.resume(function_id, self.now)
        again = partial(self.later, SECOND, "the resumption is repeated", lambda: self._resume(function_id))
        self._acks.append((lambda: None, again))

    def _jump(self, by: int) -> None:
        self.skew += by
        self.went_back = self.went_back or by < 0

    def _remove_cron(self) -> None:
        self.functions = [f for f in self.functions if f.slug != "app-cron"]
        self.engine.configure(self.functions, self.now)

    # --- durable endpoints --------------------------------------------------------------------------------------------

    def _endpoint(self, run_id: str = "") -> None:
        now = self.now
        if run_id in self.engine._core.runs:  # it had been begun: only the answer was lost
            self._report_soon(run_id, {})
            return
        function = next(f for f in self.functions if f.slug == "app-endpoint")
        body = b'{"name":"http.request","data":{"k":0}}'
        (event,) = read_events(body, content_type="", now_ms=now, new_id=self._ids.next).events
        self.engine.on_event(event, now)
        run_id = run_id or self._ids.next(now)
        endpoint = Endpoint(run_id, "http://app/orders", "POST", 2)
        self.engine.open_endpoint(Request(function, [event], endpoint=endpoint), now)
        again = lambda: self.later(SECOND, "endpoint again", lambda: self._endpoint(run_id))  # noqa: E731
        self._acks.append((lambda: self._report_soon(run_id, {}), again))

    def _report_soon(self, run_id: str, memo: dict[str, bytes]) -> None:
        self.later(self.latency(), f"endpoint {run_id[-4:]} reports", lambda: self._report(run_id, memo))

    def _report(self, run_id: str, memo: dict[str, bytes]) -> None:
        run = self.engine._core.runs.get(run_id)
        if run is None:
            return
        ops, goes_on = sdk.report_of_endpoint(self.programs[run.function_id], memo, run_id)
        self.load(run)
        self.engine.on_report(run, parse_ops(json.dumps(ops).encode()), self.now)
        grown = {**memo, **{op["id"]: b'{"data":0}' for op in ops}}
        then = (lambda: self._report_soon(run_id, grown)) if goes_on else (lambda: None)
        self._acks.append((then, lambda: self._report_soon(run_id, memo)))

    # --- the app ------------------------------------------------------------------------------------------------------

    def latency(self) -> int:
        return self.random.choice((1, 5, 20, 20, 300, 5_000))

    def _perform(self, effect: Dispatch | Perform) -> None:
        if isinstance(effect, Perform):
            self._exchange(effect)
        else:
            self._call(effect.run, effect.job)

    def _call(self, run: Run, job: Job) -> None:
        self.load(run)
        checks.at_call(self, run, job)
        assert run.body is not None
        program = self.programs[run.function_id]
        asked = sdk.Asked(
            run.id, "" if job.op else job.step, job.attempt, job.max_attempts, run.state.force_plan,
            frozenset(run.state.defers or ()), dict(run.body.steps),
        )  # fmt: skip
        self.log(f"{'':>12}  -> call {run.id[-4:]} {program.slug} {self._name(program, job.step)} #{job.attempt}")
        known = any(function.id == run.function_id for function in self.functions)
        if self.fleet is not None and known and not run.state.sync_url:
            self.fleet.call(run, job, asked)
            return
        if self.random.random() < self.faults and job.attempt + 1 < job.max_attempts:
            self._misbehave(run, job, self.latency())
            return
        delay, answer = self.play(program, job, asked)
        reply = answer()
        for _ in range(2 if self.random.random() < 0.05 else 1):  # some answers come twice
            delay += self.latency()
            self._hand_in_at(delay, run, job, reply)

    def play(self, program: Program, job: Job, asked: sdk.Asked) -> tuple[int, Callable[[], sdk.Reply]]:
        """The app does what it is asked for, and reports checkpoints. Returns when it is done, and its answer then.

        Checkpoints that were not accepted by then are part of the answer.
        """
        refused: list[sdk.Op] = []
        run_id, delay = asked.run_id, self.latency()
        script = sdk.answer(program, asked)
        ops = script.reply
        for op in script.checkpoints:
            delay += self.latency()
            if self.random.random() < 0.1 + self.faults:  # its answer is lost: the step comes in the final answer too
                ops = [op, *ops] if isinstance(ops, list) else [op]
            if self.random.random() < 0.95:
                self.later(delay, f"checkpoint {run_id[-4:]}", lambda op=op: self._checkpoint(run_id, job, op, refused))
            elif isinstance(ops, sdk.Reply) or op not in ops:
                ops = [op, *ops] if isinstance(ops, list) else [op]

        def answer() -> sdk.Reply:
            if refused:
                return sdk.reply_of(program, [*refused, *(ops if isinstance(ops, list) else ())])
            return sdk.reply_of(program, ops) if isinstance(ops, list) else ops

        return delay, answer

    def bad_reply(self) -> sdk.Reply | None:
        """An answer as an app may give that is broken; None for none."""
        headers = {"x-inngest-sdk": sdk.SDK}
        return self.random.choice((
            None,
            sdk.Reply(500, b'{"name":"Error","message":"injected"}', headers),
            sdk.Reply(502, b"<html>bad gateway</html>"),
            sdk.Reply(206, b"[{", headers),
            sdk.Reply(206, b'[{"op":"Nonsense"}]', headers),
            sdk.Reply(206, b"[]", headers),
            sdk.Reply(429, b"{}", {**headers, "retry-after": "40"}),
            sdk.Reply(200, b"not from an SDK"),
        ))  # fmt: skip

    def _misbehave(self, run: Run, job: Job, delay: int) -> None:
        bad = self.bad_reply()
        self._hand_in_at(delay, run, job, bad)
        if bad is None:  # the connection broke, but the app goes on and its answer comes much too late
            self._hand_in_at(delay + 1, run, job, sdk.Reply(200, b'"late"', {"x-inngest-sdk": sdk.SDK}))

    def _hand_in_at(self, delay: int, run: Run, job: Job, reply: sdk.Reply | None) -> None:
        label = f"answer {run.id[-4:]} {reply.status if reply else 'broken'} {reply.body[:90] if reply else b''!r}"
        self.later(delay, label, lambda: self._hand_in(run, job, reply))

    def _hand_in(self, run: Run, job: Job, reply: sdk.Reply | None) -> None:
        outcome = (
            read_response(reply.status, reply.headers, reply.body, self.now)
            if reply
            else transport_failure("Unable to reach SDK URL")
        )
        self.take(run, job, outcome)

    def take(self, run: Run, job: Job, outcome: Outcome) -> None:
        """An answer reaches the engine."""
        live = self.engine._core.runs.get(run.id)
        if live is not None:
            self.load(live)
        taken = self.engine.on_answer(job, outcome, self._record(job, outcome), self.now)
        if not taken:
            self.log(f"{'':>12}  (not taken)")

    def on_commit(self, callback: Ack) -> None:
        """Calls back once what was given to the engine is durable, and never if that failed."""
        self._acks.append((callback, lambda: None))

    def _checkpoint(self, run_id: str, job: Job, op: sdk.Op, refused: list[sdk.Op]) -> None:
        self._acks.append((lambda: None, lambda: refused.append(op)))
        run = self.engine._core.runs.get(run_id)
        if run is None:
            return
        self.load(run)
        try:
            self.engine.on_checkpoint(run, parse_ops(json.dumps([op]).encode()), queue_item(job), self.now)
        except CheckpointError as error:
            raise AssertionError("a checkpoint was refused") from error

    def _exchange(self, effect: Perform) -> None:
        job, life = effect.job, self.life
        self.exchanging.add(id(job))
        failed = self.random.random() < 0.2
        output = b'{"error":{"name":"GatewayError","message":"no"}}' if failed else b'{"data":{"status_code":200}}'

        def done() -> None:
            if life != self.life:
                return
            self.exchanging.discard(id(job))
            live = self.engine._core.runs.get(job.run_id)
            if live is not None:
                self.load(live)
            result = Result(output, failed, self._record(job, Outcome(200)))
            self.engine.on_gateway(job, effect.op, result, self.now)

        self.later(self.latency(), f"exchange {job.run_id[-4:]} {'failed' if failed else 'ok'}", done)

    def _record(self, job: Job, outcome: Outcome) -> Call:
        return Call(job.id, job.step, job.queued_at, job.due, self.now, self.now, job.attempt, outcome.status, {}, 0)

    @staticmethod
    def _name(program: Program, step: str) -> str:
        return next((n.id for n in program.nodes() if n.hash == step), step and hashed(step)[:6]) or "discovery"
