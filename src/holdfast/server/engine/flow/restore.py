"""Flow-control records, back from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.events import Event
from holdfast.server.engine import clock, fanout
from holdfast.server.engine.flow import batch, cancellations, debounce, pausing, rate_limit, throttle
from holdfast.server.model.cancellation import BulkCancellation

if TYPE_CHECKING:
    from holdfast.server.engine.core import Core

_pending = msgspec.json.Decoder(debounce.Pending).decode
_filling = msgspec.json.Decoder(batch.Filling).decode
_rest = msgspec.json.Decoder(fanout.Rest).decode
_cancellation = msgspec.json.Decoder(BulkCancellation).decode


def needed_events(kind: str, record: bytes) -> list[str]:
    """Return the ids of the events that a record needs besides those of its batch."""
    if kind == debounce.KIND:
        return [_pending(record).event_id]
    return [_rest(record).event_id] if kind == fanout.KIND else []


def batch_of(kind: str, record: bytes) -> str:
    """The batch that a record is about, if it is about one."""
    return _filling(record).batch_id if kind == batch.KIND else ""


def record(core: Core, kind: str, key: str, raw: bytes, events: dict[str, Event]) -> None:
    """Put a record back where it was; `events` are those that it needs, by id, in order."""
    timers = core.queue.timers
    if kind == rate_limit.KIND:
        core.rate_limits.clocks.restore(key, msgspec.json.decode(raw, type=int))
    elif kind == throttle.KIND:
        core.throttles.clocks.restore(key, msgspec.json.decode(raw, type=int))
    elif kind == pausing.KIND:
        core.pausing.modes[key] = pausing.Mode(msgspec.json.decode(raw, type=str))
    elif kind == cancellations.KIND:
        core.bulk.restore(_cancellation(raw), core.now)
    elif kind == debounce.KIND:
        pending = clock.pending(core, _pending(raw))
        if pending.event_id in events:
            core.debounces.restore(key, pending, events[pending.event_id], timers)
    elif kind == fanout.KIND and key in events:
        core.fanouts[key] = fanout.restored(core, _rest(raw), events[key])
    elif kind == batch.KIND:
        core.batches.restore(key, clock.filling(core, _filling(raw)), list(events.values()), timers)
