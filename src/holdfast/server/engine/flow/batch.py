"""Batches (`protocol/flow-control.md` §4.5): events gathered into one run. A batch that fills starts at once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.functions import Batch
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.flow.alarms import Alarms
from holdfast.server.engine.flow.gcra import NS_PER_MS
from holdfast.server.engine.queue import Timers

KIND = "batch"
MAX_BYTES = 10 * 1024 * 1024


class Filling(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A batch that takes events until `due` (ms)."""

    function_id: str
    batch_id: str
    due: int


class Full(msgspec.Struct, frozen=True, gc=False):
    """A batch whose run starts now."""

    function_id: str
    batch_id: str
    events: list[Event]


def timeout_ms(config: Batch) -> int:
    """Return how long a batch is filled at most."""
    return max(1, (config.timeout_ns or 0) // NS_PER_MS)


class Batches:
    """Batches that are being filled, by bucket, with their events."""

    __slots__ = ("_events", "_sizes", "alarms", "filling")

    def __init__(self) -> None:
        self.alarms = Alarms(KIND)
        self.filling: dict[str, Filling] = {}
        self._events: dict[str, dict[str, Event]] = {}
        self._sizes: dict[str, int] = {}

    def append(
        self, config: Batch, bucket: str, function_id: str, event: Event, new_id: Callable[[int], str],
        timers: Timers, changes: Changes, now: int,
    ) -> Full | None:  # fmt: skip
        """Add an event to its bucket's batch, once. Returns the batch if that filled it."""
        known = self.filling.get(bucket)
        if known is None:
            due = now + timeout_ms(config)
            known = self.filling[bucket] = changes.flow[KIND, bucket] = Filling(function_id, new_id(now), due)
            self._events[bucket], self._sizes[bucket] = {}, 0
            self.alarms.set(bucket, due, timers)
        events = self._events[bucket]
        if event.id in events:
            return None
        events[event.id] = event
        self._sizes[bucket] += len(event.json)
        changes.batched.append((known.batch_id, len(events), event.id))
        if len(events) >= config.max_size or self._sizes[bucket] >= MAX_BYTES:
            self.alarms.clear(bucket, timers)
            return self._close(bucket, known, changes)
        return None

    def take(self, bucket: str, timers: Timers, changes: Changes, now: int) -> Full | None:
        """End a batch whose time has come."""
        known = self.filling.get(bucket)
        if known is None:
            return None
        if known.due > now:
            self.alarms.set(bucket, known.due, timers)
            return None
        return self._close(bucket, known, changes)

    def bring_back(self, bucket: str, sooner: Filling, timers: Timers, changes: Changes) -> None:
        """Take a batch's record with a moment that lies nearer, for a clock that went back."""
        if sooner != self.filling[bucket]:
            self.filling[bucket] = changes.flow[KIND, bucket] = sooner
            self.alarms.set(bucket, sooner.due, timers)

    def restore(self, bucket: str, filling: Filling, events: list[Event], timers: Timers) -> None:
        """Take a batch from the store."""
        self.filling[bucket] = filling
        self._events[bucket] = {e.id: e for e in events}
        self._sizes[bucket] = sum(len(e.json) for e in events)
        self.alarms.set(bucket, filling.due, timers)

    def holding(self, event_id: str) -> list[str]:
        """Return the buckets whose batches hold an event."""
        return [bucket for bucket, events in self._events.items() if event_id in events]

    def first(self, bucket: str) -> Event:
        """Return the first event of a batch that is being filled."""
        return next(iter(self._events[bucket].values()))

    def size(self, bucket: str) -> int:
        """Return how many events a bucket's batch holds."""
        return len(self._events.get(bucket, ()))

    def _close(self, bucket: str, known: Filling, changes: Changes) -> Full:
        del self.filling[bucket], self._sizes[bucket]
        changes.flow[KIND, bucket] = None
        changes.unbatched.append((known.batch_id,))
        return Full(known.function_id, known.batch_id, list(self._events.pop(bucket).values()))
