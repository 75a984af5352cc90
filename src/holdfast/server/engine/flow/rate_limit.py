"""Rate limits, which also are `idempotency` (`protocol/flow-control.md` §4.3): events beyond them start nothing."""

from __future__ import annotations

from holdfast.protocol.functions import RateLimit
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow import keys
from holdfast.server.engine.flow.gcra import NS_PER_MS, smoothed
from holdfast.server.expressions import Activation

KIND = "rate"


class RateLimits:
    """The `tat` of each bucket that is not at rest, ns."""

    __slots__ = ("_tats",)

    def __init__(self) -> None:
        self._tats: dict[str, int] = {}

    def admit(self, config: RateLimit, function_id: str, activation: Activation, changes: Changes, now: int) -> bool:
        """Whether an event may start the function at `now` (ms); counts it if so."""
        if not config.period_ns or (config.key and keys.value(config.key, activation) in {keys.NONE, keys.INVALID}):
            return True
        bucket = keys.bucket(function_id, config.key, activation)
        rate, at = smoothed(config.limit, config.period_ns), now * NS_PER_MS
        tat = self._tats.get(bucket, at)
        if rate.free_at(tat, at) > at:
            return False
        self._tats[bucket] = tat = rate.after(tat, at)
        changes.flow[KIND, bucket] = tat
        return True

    def restore(self, bucket: str, tat: int) -> None:
        """Takes a bucket from the store."""
        self._tats[bucket] = tat

    def forget(self, changes: Changes, now: int, most: int = 2) -> None:
        """Drops up to `most` buckets that are at rest again, oldest first."""
        for bucket in [b for b, _ in zip(self._tats, range(most), strict=False)]:
            tat = self._tats.pop(bucket)
            if tat <= now * NS_PER_MS:
                changes.flow[KIND, bucket] = None
            else:
                self._tats[bucket] = tat  # to the end: looked at again when its turn comes

    def __len__(self) -> int:
        return len(self._tats)
