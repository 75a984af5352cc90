"""Debounces (`protocol/flow-control.md` §4.4): the last event of a stream starts the run, once the stream is quiet.

The maximum delay is honoured exactly, unlike in the reference, which a dense stream can hold back for ever.
"""

from __future__ import annotations

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.functions import Debounce
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow.alarms import Alarms
from holdfast.server.engine.flow.gcra import NS_PER_MS
from holdfast.server.engine.queue import Timers

KIND = "debounce"


class Pending(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A run that waits for its stream to become quiet. Times in ms."""

    function_id: str
    event_id: str
    ts: int  # of the event that it will carry
    due: int
    limit: int  # never later than this; 0 = no maximum
    cron: str = ""  # the schedule whose tick the event is


def period_ms(config: Debounce) -> int:
    """Return how long a stream must be quiet."""
    return max(1_000, (config.period_ns or 0) // NS_PER_MS)


def timeout_ms(config: Debounce) -> int:
    """Return how long an event is held back at most; 0 = no maximum."""
    return (config.timeout_ns or 0) // NS_PER_MS


class Debounces:
    """Pending debounces by bucket, with the event of each."""

    __slots__ = ("_events", "alarms", "pending")

    def __init__(self) -> None:
        self.alarms = Alarms(KIND)
        self.pending: dict[str, Pending] = {}
        self._events: dict[str, Event] = {}

    def hold(
        self, config: Debounce, bucket: str, function_id: str, event: Event, cron: str, timers: Timers,
        changes: Changes, now: int,
    ) -> None:  # fmt: skip
        """Hold an event back: a new debounce, or the newest event of one that is pending."""
        period = period_ms(config)
        known = self.pending.get(bucket)
        if known is not None and known.ts > event.ts:
            return
        limit = known.limit if known else now + timeout_ms(config) if config.timeout_ns else 0
        due = min(now + period, limit) if limit else now + period
        self._events[bucket] = event
        self.pending[bucket] = changes.flow[KIND, bucket] = Pending(function_id, event.id, event.ts, due, limit, cron)
        self.alarms.set(bucket, due, timers)

    def take(self, bucket: str, timers: Timers, changes: Changes, now: int) -> tuple[Pending, Event] | None:
        """End a debounce whose time has come, and give its event. None for one that was put off."""
        known = self.pending.get(bucket)
        if known is None:
            return None
        if known.due > now:
            self.alarms.set(bucket, known.due, timers)
            return None
        del self.pending[bucket]
        changes.flow[KIND, bucket] = None
        return known, self._events.pop(bucket)

    def bring_back(self, bucket: str, sooner: Pending, timers: Timers, changes: Changes) -> None:
        """Take a debounce's record with moments that lie nearer, for a clock that went back."""
        if sooner != self.pending[bucket]:
            self.pending[bucket] = changes.flow[KIND, bucket] = sooner
            self.alarms.set(bucket, sooner.due, timers)

    def event(self, bucket: str) -> Event:
        """Return the event that a pending debounce will start its run with."""
        return self._events[bucket]

    def restore(self, bucket: str, pending: Pending, event: Event, timers: Timers) -> None:
        """Take a debounce from the store."""
        self.pending[bucket] = pending
        self._events[bucket] = event
        self.alarms.set(bucket, pending.due, timers)
