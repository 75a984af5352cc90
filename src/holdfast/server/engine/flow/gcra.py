"""The generic cell rate algorithm, on which throttles and rate limits stand (`protocol/flow-control.md` §4.2-4.3).

One number is remembered per key: the theoretical arrival time (`tat`) of the next cell at the steady rate. All times
are nanoseconds.
"""

from __future__ import annotations

import msgspec

NS_PER_MS = 1_000_000


class Rate(msgspec.Struct, frozen=True, gc=False):
    """One every `emission`; after a pause, as many at once as fit into `tolerance`."""

    emission: int
    tolerance: int

    def free_at(self, tat: int, now: int) -> int:
        """Return when the next one is allowed: `now`, or later."""
        return max(now, tat - self.tolerance + self.emission)

    def after(self, tat: int, now: int) -> int:
        """The `tat` once one was let through at `now`."""
        return max(tat, now) + self.emission


class Gate(msgspec.Struct, frozen=True, gc=False):
    """What a run has to pass before its first call: a bucket and its rate."""

    bucket: str
    rate: Rate


def rate(limit: int, period: int, extra: int) -> Rate:
    """`limit` per `period` (ns), `extra` more at once."""
    emission = max(1, period // max(1, limit))
    return Rate(emission, emission * (max(1, limit) + extra))


def smoothed(limit: int, period: int) -> Rate:
    """As rate limits count: one per `period/limit`, a tenth of `limit` more at once."""
    emission = max(1, period // max(1, limit))
    return Rate(emission, emission * (limit // 10 + 1))
