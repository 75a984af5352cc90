"""The clocks of rate limits and throttles: one stored number per bucket, dropped once the bucket is at rest again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow.gcra import Rate


class Clocks:
    """The `tat` of each bucket that is not at rest (ns)."""

    __slots__ = ("_kind", "_order", "_tats")

    #: Buckets checked for expiry per admitted item.
    SWEEP = 2

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._tats: dict[str, int] = {}
        self._order: deque[str] = deque()

    def free_at(self, bucket: str, rate: Rate, at: int) -> int:
        """Return when a bucket lets the next one through (ns): `at`, or later."""
        return rate.free_at(self._tat(bucket, rate, at), at)

    def count(self, bucket: str, rate: Rate, changes: Changes, at: int) -> None:
        """One was let through at `at` (ns)."""
        if bucket not in self._tats:
            self._order.append(bucket)
        after = self._tats[bucket] = rate.after(self._tat(bucket, rate, at), at)
        changes.flow[self._kind, bucket] = after
        self._sweep(changes, at)

    def _tat(self, bucket: str, rate: Rate, at: int) -> int:
        """A bucket's number. One that is later than it can be was counted by a clock that was ahead: it is cut."""
        tat, most = self._tats.get(bucket, at), at + rate.tolerance
        if tat > most:
            tat = self._tats[bucket] = most
        return tat

    def tats(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the buckets whose names begin so, with the number of each."""
        return ((bucket, tat) for bucket, tat in self._tats.items() if bucket.startswith(prefix))

    def restore(self, bucket: str, tat: int) -> None:
        """Take a bucket from the store."""
        self._tats[bucket] = tat
        self._order.append(bucket)

    def _sweep(self, changes: Changes, at: int) -> None:
        for _ in range(min(self.SWEEP, len(self._order))):
            bucket = self._order.popleft()
            if self._tats[bucket] > at:
                self._order.append(bucket)
            else:
                del self._tats[bucket]
                changes.flow[self._kind, bucket] = None

    def __len__(self) -> int:
        return len(self._tats)
