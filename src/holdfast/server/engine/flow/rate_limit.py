"""Rate limits, which also are `idempotency` (`protocol/flow-control.md` §4.3): events beyond them start nothing."""

from __future__ import annotations

from holdfast.protocol.functions import RateLimit
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow import keys
from holdfast.server.engine.flow.clocks import Clocks
from holdfast.server.engine.flow.gcra import NS_PER_MS, smoothed
from holdfast.server.expressions import Activation

KIND = "rate"


class RateLimits:
    """How far each function, or each value of its key, has used its limit up."""

    __slots__ = ("clocks",)

    def __init__(self) -> None:
        self.clocks = Clocks(KIND)

    def admit(self, config: RateLimit, function_id: str, activation: Activation, changes: Changes, now: int) -> bool:
        """Return whether an event may start the function at `now` (ms); count it if so."""
        value = keys.value(config.key, activation) if config.key else ""
        if not config.period_ns or value in {keys.NONE, keys.INVALID}:
            return True
        bucket = keys.bucket_of(function_id, value) if config.key else function_id
        rate, at = smoothed(config.limit, config.period_ns), now * NS_PER_MS
        if self.clocks.free_at(bucket, rate, at) > at:
            return False
        self.clocks.count(bucket, rate, changes, at)
        return True
