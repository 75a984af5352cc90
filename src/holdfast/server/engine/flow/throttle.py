"""Throttles (`protocol/flow-control.md` §4.2): runs start no faster than a rate, none is dropped, order is kept."""

from __future__ import annotations

from heapq import heappop, heappush

from holdfast.protocol.functions import Throttle
from holdfast.protocol.ids import xxh36
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow.gcra import NS_PER_MS, Gate, rate
from holdfast.server.engine.queue import Deadline, Entry, Timers

KIND = "throttle"


def throttle_prefix(config: Throttle) -> str:
    """How the buckets of a throttle's key expression begin: runs that were keyed by another one pass freely."""
    return f"{xxh36(config.key)}:" if config.key else ":"


def gate(config: Throttle, bucket: str) -> Gate:
    """The gate of a throttled function's bucket."""
    return Gate(bucket, rate(config.limit, config.period_ns, config.burst))


class Throttles:
    """The `tat` of each bucket (ns), and who waits for it, by score."""

    __slots__ = ("_tats", "_waiting")

    def __init__(self) -> None:
        self._tats: dict[str, int] = {}
        self._waiting: dict[str, list[tuple[int, int, Entry]]] = {}

    def admit(self, entry: Entry, passing: Gate, timers: Timers, changes: Changes, now: int) -> bool:
        """Lets an entry pass at `now` (ms), or has it wait for its turn."""
        bucket, at = passing.bucket, now * NS_PER_MS
        waiting = self._waiting.get(bucket)
        tat = self._tats.get(bucket, at)
        if (entry.turn or not waiting) and passing.rate.free_at(tat, at) <= at:
            self._count(passing, tat, changes, at)
            return True
        entry.turn = False
        if not waiting:
            waiting = self._waiting[bucket] = []
            self._set_timer(passing, tat, timers, at)
        heappush(waiting, (entry.score, entry.order, entry))
        return False

    def pop(self, bucket: str, now: int) -> Entry | None:
        """Takes the first that waits for a bucket, if one may pass at `now` (ms); it is counted once it is admitted."""
        waiting = self._waiting.get(bucket)
        if not waiting:
            return None
        passing = waiting[0][2].gate
        assert passing is not None
        at = now * NS_PER_MS
        if passing.rate.free_at(self._tats.get(bucket, at), at) > at:
            return None
        entry = heappop(waiting)[2]
        entry.turn = True
        return entry

    def settle(self, bucket: str, timers: Timers, now: int) -> None:
        """Sets the timer for who still waits, or forgets the bucket's queue."""
        waiting = self._waiting.get(bucket)
        if not waiting:
            self._waiting.pop(bucket, None)
            return
        passing = waiting[0][2].gate
        assert passing is not None
        at = now * NS_PER_MS
        self._set_timer(passing, self._tats.get(bucket, at), timers, at)

    def restore(self, bucket: str, tat: int) -> None:
        """Takes a bucket from the store."""
        self._tats[bucket] = tat

    def free_at(self, passing: Gate, now: int) -> int:
        """When the next may pass, ms."""
        at = now * NS_PER_MS
        return -(-passing.rate.free_at(self._tats.get(passing.bucket, at), at) // NS_PER_MS)

    def _count(self, passing: Gate, tat: int, changes: Changes, at: int) -> None:
        self._tats[passing.bucket] = after = passing.rate.after(tat, at)
        changes.flow[KIND, passing.bucket] = after

    def _set_timer(self, passing: Gate, tat: int, timers: Timers, at: int) -> None:
        due = -(-passing.rate.free_at(tat, at) // NS_PER_MS)
        timers.add(due, Deadline(KIND, passing.bucket, due))
