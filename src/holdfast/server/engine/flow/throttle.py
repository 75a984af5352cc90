"""Throttles (`protocol/flow-control.md` §4.2): runs start no faster than a rate, none is dropped, order is kept."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from holdfast.protocol.functions import Throttle
from holdfast.protocol.ids import xxh36
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow.alarms import Alarms
from holdfast.server.engine.flow.clocks import Clocks
from holdfast.server.engine.flow.gcra import NS_PER_MS, Gate, rate
from holdfast.server.engine.queue import Entry, Timers

KIND = "throttle"


def throttle_prefix(config: Throttle) -> str:
    """Return how the buckets of a throttle's key expression begin: runs that were keyed by another one pass freely."""
    return f"{xxh36(config.key)}:" if config.key else ":"


def gate(config: Throttle, bucket: str) -> Gate:
    """Return the gate of a throttled function's bucket."""
    return Gate(bucket, rate(config.limit, config.period_ns, config.burst))


class Throttles:
    """Who waits for each bucket, by score."""

    __slots__ = ("_waiting", "alarms", "clocks")

    def __init__(self) -> None:
        self.clocks = Clocks(KIND)
        self.alarms = Alarms(KIND)
        self._waiting: dict[str, list[tuple[int, int, Entry]]] = {}

    def admit(self, entry: Entry, passing: Gate, timers: Timers, changes: Changes, now: int) -> bool:
        """Let an entry pass at `now` (ms), or have it wait for its turn."""
        bucket, at = passing.bucket, now * NS_PER_MS
        waiting = self._waiting.get(bucket)
        if (entry.turn or not waiting) and self.clocks.free_at(bucket, passing.rate, at) <= at:
            self.clocks.count(bucket, passing.rate, changes, at)
            return True
        entry.turn = False
        if not waiting:
            waiting = self._waiting[bucket] = []
        heappush(waiting, (entry.score, entry.order, entry))
        self.settle(bucket, timers, now)
        return False

    def pop(self, bucket: str, now: int) -> Entry | None:
        """Take the first that waits for a bucket, if one may pass at `now` (ms); it is counted once it is admitted."""
        waiting = self._waiting.get(bucket)
        if not waiting or self.free_at(_gate(waiting), now) > now:
            return None
        entry = heappop(waiting)[2]
        entry.turn = True
        return entry

    def settle(self, bucket: str, timers: Timers, now: int) -> None:
        """Have the bucket looked at again for who still waits."""
        waiting = self._waiting.get(bucket)
        if waiting:
            self.alarms.set(bucket, self.free_at(_gate(waiting), now), timers)
        else:
            self._waiting.pop(bucket, None)

    def settle_all(self, timers: Timers, now: int) -> None:
        """Have all buckets looked at again, for a clock that went back."""
        for bucket in list(self._waiting):
            self.settle(bucket, timers, now)

    def withdraw(self, function_id: str, timers: Timers) -> list[Entry]:
        """Take out what waits of a function, whose throttle changed."""
        mine = [b for b, waiting in self._waiting.items() if waiting and waiting[0][2].function_id == function_id]
        for bucket in mine:
            self.alarms.clear(bucket, timers)
        return [entry for bucket in mine for _, _, entry in self._waiting.pop(bucket)]

    def queues(self) -> Iterator[list[Entry]]:
        """Yield who waits for each bucket, in order, for who asks."""
        for waiting in self._waiting.values():
            yield [entry for _, _, entry in sorted(waiting, key=lambda item: item[:2])]

    def waiting_for(self, prefix: str) -> Iterator[tuple[str, list[Entry]]]:
        """Yield the buckets whose names begin so, with who waits for each, in order."""
        for bucket, waiting in self._waiting.items():
            if bucket.startswith(prefix):
                yield bucket, [entry for _, _, entry in sorted(waiting, key=lambda item: item[:2])]

    def free_at(self, passing: Gate, now: int) -> int:
        """Return when the next may pass, ms."""
        return -(-self.clocks.free_at(passing.bucket, passing.rate, now * NS_PER_MS) // NS_PER_MS)

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._waiting.values()))


def _gate(waiting: list[tuple[int, int, Entry]]) -> Gate:
    passing = waiting[0][2].gate
    assert passing is not None
    return passing
