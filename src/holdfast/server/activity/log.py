"""Happenings as entries of the log."""

from __future__ import annotations

import msgspec
import structlog

from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.activity.happening import Happening

log = structlog.get_logger(__name__)

_TIMES = ("started_at", "retry_at", "since")


def write(happening: Happening) -> None:
    """Log one, with its ids: a warning if it is trouble."""
    fields: dict[str, object] = msgspec.to_builtins(happening)
    message = fields.pop("what")
    if "event" in fields:
        fields["event_name"] = fields.pop("event")  # structlog has a use of its own for `event`
    ended = happening.time if happening.status and happening.started_at else 0
    del fields["time"]
    if ended:
        fields["duration_ms"] = ended - happening.started_at
    for name in _TIMES:
        if name in fields:
            fields[name] = format_rfc3339(getattr(happening, name), fraction=True)
    (log.warning if happening.bad else log.info)(message, **fields)
