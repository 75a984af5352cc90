"""Events on their way into the engine: long inputs are worked off in slices, between turns of the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final

from holdfast.protocol.events import Event

if TYPE_CHECKING:
    from holdfast.server.engine.engine import Engine
    from holdfast.server.runtime.partition import Partition

#: How long the inputs of one turn of the loop may take together (seconds) before the next ones wait for another turn.
#: One that takes longer, since it can't be cut, is followed by as many turns without any as make up for it.
SLICE_S: Final = 0.004
#: Bytes of events that one turn takes of an input: they are written at once.
SLICE_BYTES: Final = 1024 * 1024


class Intake:
    """Hands events to the engine, in order. Who comes first goes first, but for what fits into the turn at hand."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._loop = asyncio.get_running_loop()
        self._senders: deque[asyncio.Future[None]] = deque()
        self._works: dict[str, deque[Callable[[], object]]] = {}
        self._spent = 0.0
        self._waking = False
        self._work_next = False
        self._released = False
        """Whether a sender was let go on and has not run yet: what it will spend is not known, so nobody else is."""

    async def turn(self) -> None:
        """Wait until this turn of the loop has time left. Return at once where it has."""
        if self._senders or self._released or self._spent >= SLICE_S:
            future: asyncio.Future[None] = self._loop.create_future()
            self._senders.append(future)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._released = False
                self._wake()
                raise
            self._released = False

    def spend(self, began: float) -> None:
        """Counts what was done since `began` (`perf_counter`), and lets the next go on if there is time left."""
        if not self._spent:
            self._loop.call_soon(self._next_turn)
        self._spent += max(perf_counter() - began, 1e-9)
        self._wake()

    def do(self, owner: str, work: Callable[[], object]) -> None:
        """Do something long in this turn of the loop if it has time left, else in the next that has.

        Owners take turns: one with a hundred works holds nobody else's up.
        """
        self._works.setdefault(owner, deque()).append(work)
        self._wake()

    async def take(self, events: Sequence[Event]) -> None:
        """Takes events; they and what they start and end are durable afterwards.

        Each event is taken as a whole, after those before it. Raises StoreError or DefectError if not all could be
        taken: those of the slices before are.
        """
        partition, rest = self._partition, iter(events)
        while True:
            await self.turn()
            last = self._slice(rest)
            await partition.committed()
            if last is None:
                return
            while partition.view.unfinished(last.id):
                await partition.committed()

    def _slice(self, rest: Iterator[Event]) -> Event | None:
        """Takes events until the turn's time is over. Returns the last one, None if nothing is left to do."""
        began = perf_counter()
        try:
            return self._partition.give(partial(self._take, rest, began))
        finally:
            self.spend(began)

    def _take(self, rest: Iterator[Event], began: float, engine: Engine, now: int) -> Event | None:
        left = SLICE_BYTES
        for event in rest:
            engine.on_event(event, now)
            left -= len(event.json)
            if left <= 0 or engine.view.unfinished(event.id) or self._spent + perf_counter() - began >= SLICE_S:
                return event
        return None

    def _next_turn(self) -> None:
        self._spent = max(0.0, self._spent - SLICE_S)
        if self._spent:
            self._loop.call_soon(self._next_turn)
        self._wake()

    def _wake(self) -> None:
        """Lets those who wait go on while the turn has time left: senders and long works take turns."""
        if self._waking:
            return
        self._waking = True
        while self._spent < SLICE_S and not self._released and (self._works or self._senders):
            self._work_next = not self._work_next
            if self._works and (self._work_next or not self._senders):
                self._do(self._next_work())
            elif self._senders:
                self._released = self._release()
        self._waking = False

    def _next_work(self) -> Callable[[], object]:
        owner = next(iter(self._works))
        works = self._works.pop(owner)
        work = works.popleft()
        if works:
            self._works[owner] = works  # behind the others
        return work

    def _release(self) -> bool:
        """Lets the first sender go on; its slice is counted before the next one's. False if its client has gone."""
        future = self._senders.popleft()
        if future.done():
            return False
        future.set_result(None)
        return True

    def _do(self, work: Callable[[], object]) -> None:
        began = perf_counter()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is nobody's who waits here
            self._loop.call_exception_handler({"message": "a long input failed", "exception": error})
        self.spend(began)
