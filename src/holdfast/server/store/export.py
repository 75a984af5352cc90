"""Exports: runs and events as JSON lines, read page by page: memory does not grow, and no snapshot is held for long."""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Raw

from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus

#: Rows of a page, and bytes after which it ends earlier: an event may have megabytes, a run with steps tens of them.
PAGE = 200
PAGE_BYTES = 256 * 1024
#: Later than any time (ms).
FOREVER = 2**62

Place = tuple[str, int]
"""Where a page ended: the id of its last row, and of events the number of the copy."""
START: Place = ("", -1)

_encode = msgspec.json.encode
_NULL = Raw(b"null")


class Wanted(msgspec.Struct, frozen=True):
    """What is exported. Times in ms since the epoch, `until` excluded; empty tuples mean any."""

    since: int = 0
    until: int = FOREVER
    functions: tuple[str, ...] = ()  # slugs; of events: those that started a run of one
    statuses: tuple[RunStatus, ...] = ()  # of runs
    names: tuple[str, ...] = ()  # of events
    internal: bool = False  # whether the server's own events are exported too
    with_steps: bool = False


class Export(Protocol):
    """Reads pages of lines, the oldest first. Raises TooSlowError."""

    async def runs(self, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
        """Return the next lines of runs, and the place of the last of them; None if that was all."""
        ...

    async def events(self, wanted: Wanted, after: Place) -> tuple[bytes, Place | None]:
        """Return the next lines of events, as `runs`."""
        ...


class StepLine(msgspec.Struct):
    """A memoised step of a run."""

    id: str  # hashed
    name: str
    op: str
    started_at: str
    ended_at: str
    output: Raw


class RunLine(msgspec.Struct, omit_defaults=True):
    """A line that tells of a run."""

    id: str
    function: str
    function_id: str
    app: str
    status: str
    scheduled_at: str
    started_at: str | None
    ended_at: str | None
    event_name: str
    event_ids: Raw
    output: Raw
    cron: str = ""
    batch_id: str = ""
    original_run_id: str = ""
    steps: list[StepLine] | None = None


class EventLine(msgspec.Struct):
    """A line that tells of an event."""

    id: str  # internal
    received_at: str
    event: Raw


def step_line(step_id: str, output: str | bytes | None, span: Span) -> StepLine:
    """Return what a line tells of a step."""
    return StepLine(step_id, span.name, span.op, show_time(span.started_at), show_time(span.ended_at), raw(output))


class Page:
    """Lines of a page, as they are added."""

    def __init__(self) -> None:
        self._lines = bytearray()
        self._rows = 0
        self.place: Place | None = None
        """The place of the last line, if there may be more."""

    @property
    def lines(self) -> bytes:
        """All of them."""
        return bytes(self._lines)

    def full(self, place: Place, row: msgspec.Struct) -> bool:
        """Add a row; tell whether that is enough."""
        self._lines += _encode(row) + b"\n"
        self._rows += 1
        if self._rows < PAGE and len(self._lines) < PAGE_BYTES:
            return False
        self.place = place
        return True


def raw(json: str | bytes | None) -> Raw:
    """Return JSON as it is in a line; `null` for none."""
    return Raw(json.encode() if isinstance(json, str) else json) if json else _NULL


def show_time(ms: int) -> str:
    """Return a moment (ms) as lines show it."""
    return format_rfc3339(ms, fraction=True)
