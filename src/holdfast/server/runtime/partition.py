"""The loop around one engine: inputs in, one commit per turn of the event loop, then effects.

All inputs of a turn share a transaction. Nothing leaves the process before it is durable: callers learn of their
input's commit through `committed` or `on_commit`, calls to apps are made by the dispatcher after it. If a commit fails,
memory is ahead of the store: the partition reloads itself from the store, which is the same code as a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from holdfast.protocol.limits import EXPRESSION_WORK
from holdfast.server.clock import Clock, SystemClock, Timer
from holdfast.server.engine.changes import Changes, Effect
from holdfast.server.engine.engine import DefectError, Engine
from holdfast.server.engine.flow.restore import needed_events
from holdfast.server.engine.run import Body, Run
from holdfast.server.engine.view import View
from holdfast.server.runtime import turns
from holdfast.server.runtime.bodies import Bodies, Loading
from holdfast.server.runtime.intake import SLICE_S, Intake
from holdfast.server.runtime.quarantine import Quarantine
from holdfast.server.runtime.tally import Tally
from holdfast.server.store.store import DiskFullError, Recovered, Store, StoreError, Write, settled

log = structlog.get_logger(__name__)

T = TypeVar("T")
Callback = Callable[[StoreError | None], None]

#: A run that is parked for at least this long (ms), or larger than this (bytes), drops its body.
SOON_MS = 2_000
SMALL_BODY = 16_384

_SHOWN = 20  # ids in a log line

_SHOWN_TEXT = 300  # characters of an expression in a log line
#: How often an expression that used its budget up is logged at most; all are counted.
EXCEEDED_LOG_S = 10.0

RELOADING = "the server is reloading its state; try again"
#: The first wait before the store is read again, and the longest: each is twice the one before.
STORE_RETRY_S = 0.2
STORE_RETRY_MOST_S = 5.0


class Performer(Protocol):
    """Does what is outside: called with the effects of a turn, once that is durable."""

    def perform(self, effect: Effect) -> None:
        """Starts one effect; must not block and must not raise."""
        ...

    def abandon(self, run_id: str) -> None:
        """Stop working for a run whose end is durable."""
        ...

    def forget(self) -> None:
        """The engine was reloaded: answers to earlier calls no longer count."""
        ...


class NotAliveError(Exception):
    """The run that an input is for has ended, or never was."""


class Partition:
    """Owns an engine and its store. Everything here runs on the event loop's thread.

    There is one way in, `submit` (or `give`, for who doesn't wait for the commit), and one way to ask, `view`. Both
    raise StoreError while the state is reloaded: the engine in memory then knows of no run.
    """

    def __init__(self, make_engine: Callable[[int], Engine], store: Store, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.now = self.clock.now_ms
        """The time in ms since the epoch, for everything that is about runs."""
        self._make_engine = make_engine
        self.store = store
        self.quarantine = Quarantine()
        self._engine = self._fresh()
        self._bodies = Bodies(self)
        self.performer: Performer | None = None
        self.configure: Callable[[Engine, int], None] = lambda _engine, _now: None
        self.on_end: Callable[[list[str]], None] | None = None  # told of runs whose end is durable
        self.on_turn: Callable[[Changes], None] | None = None  # told of each durable turn, while pages are open
        self.on_activity: Callable[[Changes, View], None] | None = None  # told of each turn, after its effects
        self.records = store.records(self)
        self.commits = 0
        """How many there were: a plain number that tells a busy partition from an idle one."""
        self.tally = Tally()
        self._callbacks: list[Callback] = []
        self._writes: list[Write] = []
        self._ends: dict[str, list[asyncio.Future[None]]] = {}
        self._scheduled = False
        self._busy = False
        self._reload_due = False
        self._trouble: StoreError | None = None  # set while memory is invalid and being reloaded: the reason
        self._retry_s = STORE_RETRY_S
        self.failures = 0
        """How often memory was thrown away."""
        self._timer: Timer | None = None
        self._timer_due: int | None = None
        self._closed = False
        self._exceeded_logged = float("-inf")
        self._loop = asyncio.get_running_loop()
        self.intake = Intake(self)

    @property
    def trouble(self) -> StoreError | None:
        """Why nothing is accepted at the moment; None if all is well."""
        return self._trouble

    @property
    def settled(self) -> bool:
        """Whether memory is what was committed: no input waits for its turn's end, or for the disk."""
        return not self._busy and not self._engine.pending

    # --- questions --------------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The engine, to be asked; valid until the next `await`. Raises StoreError while the state is reloaded."""
        return self._ready().view

    def look(self) -> View | None:
        """As `view`, for reports that are wanted always: None while the state is reloaded."""
        return self._engine.view if self._trouble is None else None

    def alive(self, run_id: str) -> bool:
        """Whether a run is alive, as far as is known: none is while the state is reloaded."""
        return self._trouble is None and self._engine.view.alive(run_id)

    def check(self) -> None:
        """Raise StoreError while the state is reloaded: nothing is accepted then."""
        self._ready()

    def _ready(self) -> Engine:
        if self._trouble is not None:
            raise type(self._trouble)(str(self._trouble))
        return self._engine

    # --- inputs -----------------------------------------------------------------------------------------------------

    def give(self, input: Callable[[Engine, int], T]) -> T:
        """Gives the engine an input and the time (ms); its rows are committed at the end of this turn of the loop.

        Raises:
            StoreError: The state is being reloaded, and the input was not taken.
            DefectError: The input broke the engine; nothing of it remains.

        """
        result = input(self._ready(), self.now())
        self.changed()
        return result

    def give_run(self, run_id: str, input: Callable[[Engine, Run, int], object]) -> None:
        """As `give`, for an input about one live run. Raises NotAliveError, too.

        If the run's body has to be loaded first and the store takes its time, the input is given then, and what it
        raises is of no account.
        """
        run = self._alive(run_id)
        loading = self.load(run)
        if loading is None:
            self._give_run(run_id, input)
        else:
            loading.then(lambda: self._give_late(run_id, input))

    def _alive(self, run_id: str) -> Run:
        run = self._ready().view.run(run_id)
        if run is None:
            raise NotAliveError(run_id)
        return run

    def _give_run(self, run_id: str, input: Callable[[Engine, Run, int], T]) -> T:
        result = input(self._engine, self._alive(run_id), self.now())
        self.changed()
        return result

    def _give_late(self, run_id: str, input: Callable[[Engine, Run, int], object]) -> None:
        with contextlib.suppress(NotAliveError, DefectError, StoreError):
            self._give_run(run_id, input)

    async def submit(self, input: Callable[[Engine, int], T]) -> T:
        """As `give`; returns when the input is durable."""
        result = self.give(input)
        await self.committed()
        return result

    async def submit_run(self, run_id: str, input: Callable[[Engine, Run, int], T]) -> T:
        """As `give_run`; returns what the input does when that is durable."""
        loading = self.load(self._alive(run_id))
        if loading is None:
            result = self._give_run(run_id, input)
        else:
            result = await loading.do(lambda: self._give_run(run_id, input))
        await self.committed()
        return result

    # --- turns ------------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """An input was given to the engine: its rows are committed at the end of this turn of the loop."""
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def write(self, write: Write) -> None:
        """Add rows that no engine owns to this turn's commit; await `committed` to know them durable."""
        self._writes.append(write)
        self.changed()

    def on_commit(self, callback: Callback) -> None:
        """Calls back after the commit of all inputs so far; with the error if they were not written."""
        self._callbacks.append(callback)
        self.changed()

    async def committed(self) -> None:
        """Waits until all inputs so far are durable. Raises StoreError if they were not written."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.on_commit(lambda error: _settle(future, error))
        await future

    async def ended(self, run_id: str) -> None:
        """Waits until a run's end is durable; at once if the run is not alive. Raises StoreError."""
        if self.view.alive(run_id):
            future: asyncio.Future[None] = self._loop.create_future()
            waiting = self._ends.setdefault(run_id, [])
            waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:  # forgotten: the run may live for months
                waiting.remove(future)
                if not waiting and self._ends.get(run_id) is waiting:
                    del self._ends[run_id]
                raise

    def soon(self, callback: Callable[..., object], *args: object) -> None:
        """Calls back in the next turn."""
        self._loop.call_soon(callback, *args)

    def _turn(self) -> None:
        self._scheduled = False
        if self._busy:  # the previous turn's sync is under way: this one waits and grows
            return
        with contextlib.suppress(DefectError, StoreError):  # the reload that follows finds the cancellations again
            if self._engine.fanning_out:
                self._engine.go_on(self.now())
            if self._cancel():  # bodies are on their way: what they are for belongs to this commit
                return
        self._report_exceeded()
        changes = self._engine.take_changes()
        callbacks, self._callbacks = self._callbacks, []
        writes, self._writes = self._writes, []
        if self._trouble is not None:
            for callback in callbacks:
                callback(self._trouble)
            return
        if changes.empty and not writes:
            self._after(changes, callbacks)
            self._upkeep()
            return
        began = time.perf_counter()
        try:
            pending = self.store.commit(changes, writes)
        except StoreError as error:
            self._fail(error, callbacks, self._retry_s)
            return
        if pending is None:
            self._durable(changes, callbacks, began)
        else:
            self._off_turn(pending, lambda done: self._committed(done, changes, callbacks, began))
        took = time.perf_counter() - began
        if took > SLICE_S:
            self.intake.spend(began)

    def _committed(
        self, done: asyncio.Future[None], changes: Changes, callbacks: list[Callback], began: float
    ) -> None:  # fmt: skip
        """A commit that took its time is over; inputs have collected meanwhile, and share its fate."""
        self._busy = False
        error = done.exception()
        if error is not None and not isinstance(error, StoreError):
            error = StoreError(str(error))
        if self._trouble is not None:  # memory was thrown away meanwhile: the reload finds what this one wrote
            for callback in callbacks:
                callback(error)
            self._reload_if_due()
        elif error is not None:
            self._fail(error, [*callbacks, *self._take_callbacks()], self._retry_s)
        else:
            self._durable(changes, callbacks, began)
            self.changed()

    def _durable(self, changes: Changes, callbacks: list[Callback], began: float) -> None:
        self.commits += 1
        self.tally.turn(changes, time.perf_counter() - began, self.store.commit_s)
        self._retry_s = STORE_RETRY_S
        self._after(changes, callbacks)
        self._upkeep()

    def _upkeep(self) -> None:
        """Lets the store do what no commit may come between."""
        pending = self.store.upkeep()
        if pending is not None:
            self._off_turn(pending, self._upkept)

    def _upkept(self, done: asyncio.Future[None]) -> None:
        self._busy = False
        if (error := done.exception()) is not None:
            log.warning("the store's upkeep failed; it is tried again", error=str(error))
        self._reload_if_due()
        self.changed()

    def _off_turn(self, pending: Awaitable[None], then: Callable[[asyncio.Future[None]], None]) -> None:
        """Waits for the store. The next turn waits with it, the loop doesn't."""
        self._busy = True
        asyncio.ensure_future(pending, loop=self._loop).add_done_callback(then)

    def _after(self, changes: Changes, callbacks: list[Callback]) -> None:
        """The turn is durable: answer, act, park."""
        for callback in callbacks:
            callback(None)
        if self._ends:
            self._settle_ends([id for id in changes.runs if id in self._ends])
        self._act(changes)
        self._report(changes)
        self._park(changes)
        self._set_timer()

    def _settle_ends(self, run_ids: list[str]) -> None:
        """Tell those who wait for the ends of runs which of them have ended."""
        alive = self._engine.view.alive
        for run_id in run_ids:
            if not alive(run_id):
                for future in self._ends.pop(run_id):
                    _settle(future, None)

    def _report(self, changes: Changes) -> None:
        """Tells those who follow. A follower that fails costs its own news, and nothing of the turn."""
        try:
            if self.on_turn is not None:
                self.on_turn(changes)
            if changes.ended and self.on_end is not None:
                self.on_end([run.id for run in changes.ended])
            if self.on_activity is not None:
                self.on_activity(changes, self._engine.view)
        except Exception as error:
            log.error("a turn's activity could not be reported", exc_info=error)

    def _act(self, changes: Changes) -> None:
        """Performs what a durable turn asks for."""
        if self.performer is not None:
            for run in changes.ended:
                self.performer.abandon(run.id)
            for effect in changes.effects:
                self.performer.perform(effect)

    def _cancel(self) -> bool:
        """Cancel the runs that events of this turn cancel. Return whether the turn has to wait for their bodies."""
        engine = self._engine
        missing = turns.cancel_runs(engine, self.load, self.now())
        if missing:
            self._wait_for_bodies(missing)
            return True
        if engine.cancelling or engine.sweeping or engine.fanning_out:
            self.changed()
        return False

    def _wait_for_bodies(self, missing: list[Run]) -> None:
        """Go on with the turn when all are there; inputs collect meanwhile."""
        left = len(missing)

        def ready() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._busy = False
                self._turn()

        def failed(_: StoreError) -> None:
            self._busy = False

        self._busy = True
        for run in missing:
            loading = self._bodies.get(run)
            assert loading is not None
            loading.then(ready, failed)

    def _report_exceeded(self) -> None:
        """Counts evaluations that used their budget up, and logs one in ten seconds."""
        texts = self._engine.take_exceeded()
        if not texts:
            return
        self.tally.expressions_exceeded += len(texts)
        if self._loop.time() >= self._exceeded_logged + EXCEEDED_LOG_S:
            self._exceeded_logged = self._loop.time()
            log.warning(
                "an expression exceeded its budget for this event, and counts as not met",
                expression=texts[0][:_SHOWN_TEXT], limit=EXPRESSION_WORK, total=self.tally.expressions_exceeded,
            )  # fmt: skip

    # --- fail-stop --------------------------------------------------------------------------------------------------

    def _fresh(self) -> Engine:
        engine = self._make_engine(self.store.epoch)
        engine.on_defect = self._broken
        return engine

    def _broken(self, error: Exception) -> None:
        """An input raised: a defect of this program. The turn's other inputs are refused with it."""
        suspect = self._engine.suspect
        log.error("an input broke the engine, reloading from the store", suspect=suspect, exc_info=error)
        if self._trouble is not None:
            return
        if suspect is not None:
            self.quarantine.add(suspect)
        self._fail(StoreError(RELOADING), self._take_callbacks(), 0)

    def distrust(self, error: StoreError) -> None:
        """Read everything again: what was written beside the turns may be in the store, or not."""
        if self._trouble is None:
            self._fail(error, self._take_callbacks(), self._retry_s)

    def _take_callbacks(self) -> list[Callback]:
        """Who waits for this turn's commit, which will not come."""
        callbacks, self._callbacks = self._callbacks, []
        self._writes.clear()
        return callbacks

    def _fail(self, error: StoreError, callbacks: list[Callback], delay: float) -> None:
        """Memory can't be trusted any more: it is thrown away."""
        if delay:
            log.error("a commit failed, reloading from the store", error=str(error))
        self._trouble = error
        self.failures += 1
        for callback in callbacks:
            callback(error)
        self._bodies.forget(error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_due = None
        self._engine = self._fresh()
        if self.performer is not None:
            self.performer.forget()
        self._loop.call_later(delay, self._reload)

    def _reload_if_due(self) -> None:
        """Do the reload that waited for a commit: before its outcome is known, nothing that is read is the truth."""
        if self._reload_due:
            self._reload_due = False
            self._reload()

    def _reload(self) -> None:
        if self._closed:
            return
        if self._busy:
            self._reload_due = True
            return
        self._reloading = self._loop.create_task(self._read_again())

    async def _read_again(self) -> None:
        try:
            if isinstance(self._trouble, DiskFullError):
                self.store.probe()  # with room for one row, calls would be made whose answers can't be stored
            await settled(self.store.begin_epoch())
            self._engine = self._fresh()
            await settled(self.recover())
        except Exception as error:  # noqa: BLE001 - the store is still away: try again
            self._wait_for_store(error)
        else:
            log.info("reloaded the state")
            self._trouble = None
            self._settle_ends(list(self._ends))

    def _wait_for_store(self, error: Exception) -> None:
        """Tries again later, and says so when the reason is a new one."""
        if str(error) != str(self._trouble):
            log.error("the store can't be read; retrying", error=str(error))
        self._trouble = error if isinstance(error, StoreError) else StoreError(str(error))
        self._retry_s = min(2 * self._retry_s, STORE_RETRY_MOST_S)
        self._loop.call_later(self._retry_s, self._reload)

    # --- bodies -----------------------------------------------------------------------------------------------------

    def load(self, run: Run) -> Loading | None:
        """Bring a parked run's body back. Return None if it is there, else what tells when it is.

        Raises StoreError if it can't be read; the state is then reloaded.
        """
        if run.body is not None:
            return None
        loading = self._bodies.get(run)
        if loading is not None:
            return loading
        try:
            body = self.store.load_body(run.id)
        except StoreError as error:
            self._fail(error, self._take_callbacks(), self._retry_s)
            raise
        if not isinstance(body, Body):
            return self._bodies.begin(run, body)
        self._engine.give_body(run, body)
        return None

    async def body(self, run: Run) -> Body:
        """Return a live run's body. Raises StoreError."""
        loading = self.load(run)
        if loading is not None:
            await loading.do(lambda: None)
        assert run.body is not None
        return run.body

    def take_body(self, run: Run, body: Body) -> bool:
        """Take a body that came from the store, unless it lacks a step that was saved meanwhile; tell which."""
        self._engine.give_body(run, body)
        if len(body.steps) == run.step_count:
            return True
        run.body = None
        return False

    def _park(self, changes: Changes) -> None:
        """Drops the bodies of runs that only wait. A run's rows are committed by now, so they can be read back."""
        view = self._engine.view
        horizon = self.now() + SOON_MS
        for key in (*changes.jobs, *changes.pauses):
            run = view.run(key[0])
            if run is None or run.body is None or not run.parked:
                continue
            if run.state_size > SMALL_BODY or not any(getattr(i, "due", horizon) < horizon for i in run.open):
                run.body = None

    # --- timers -----------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        due = self._engine.next_due()
        if due == self._timer_due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_due = due
        if due is not None and not self._closed:
            self._timer = self.clock.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._timer_due = None
        try:
            more = self._engine.on_timers(self.now())
        except DefectError:
            return
        self.changed()
        if more:
            self._loop.call_soon(self._tick)

    # --- life -------------------------------------------------------------------------------------------------------

    def recover(self) -> Awaitable[None] | None:
        """Load all live state from the store and let it go on. Return None if that is done, else what to wait for."""
        recovered = self.store.recover(needed_events)
        if not isinstance(recovered, Recovered):
            return self._recover_later(recovered)
        self._adopt(recovered)
        return None

    async def _recover_later(self, pending: Awaitable[Recovered]) -> None:
        self._adopt(await pending)

    def _adopt(self, recovered: Recovered) -> None:
        stranded = turns.recover(self._engine, recovered, self.configure, self.now(), self.quarantine.held)
        if stranded:
            log.warning("runs had no open job or wait; their apps are called again", runs=stranded[:_SHOWN])
        if recovered.runs:
            log.info("runs recovered", runs=len(recovered.runs))
        self._set_timer()
        self.changed()

    async def close(self) -> None:
        """Commits what is pending and stops. Calls in flight are made again after the next start."""
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(StoreError):
            await self.committed()
        self._closed = True


def _settle(future: asyncio.Future[None], error: StoreError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
