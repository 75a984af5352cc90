"""Cursors of lists: base64 of JSON, opaque to clients. One that can't be read is the first page (`graphql.md` §7.1)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec

from holdfast.server.store.history import RunPosition, RunTime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.store.history import RunOrder, StoredRun

S = TypeVar("S", bound=msgspec.Struct)

_NAMES: Final = {RunTime.QUEUED: "queued_at", RunTime.STARTED: "started_at", RunTime.ENDED: "ended_at"}
_TIMES: Final = {name: time for time, name in _NAMES.items()}


class _Level(msgspec.Struct):
    f: str
    v: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # as SQLite has them


class _RunCursor(msgspec.Struct):
    id: str
    c: dict[str, _Level] = {}


class _IdCursor(msgspec.Struct):
    id: str = msgspec.field(name="ID")


def run_cursor(run: StoredRun, order: Sequence[RunOrder]) -> str:
    """Return where a run stands in an order."""
    return position_cursor(RunPosition.of(run), order)


def position_cursor(place: RunPosition, order: Sequence[RunOrder]) -> str:
    """Return a place in an order, of a run or not."""
    levels = {_NAMES[level.time]: _Level(_NAMES[level.time], place.times.get(level.time, 0)) for level in order}
    return _encode(_RunCursor(place.id, levels))


def read_run_cursor(text: str | None) -> RunPosition | None:
    """Return the place that a run's cursor names."""
    cursor = _decode(text, _RunCursor)
    if cursor is None:
        return None
    return RunPosition(cursor.id, {_TIMES[name]: level.v for name, level in cursor.c.items() if name in _TIMES})


def id_cursor(row_id: str) -> str:
    """Return where a row stands in a list that is ordered by id."""
    return _encode(_IdCursor(row_id))


def read_id_cursor(text: str | None) -> str:
    """Return the id that a cursor names, `""` for none."""
    cursor = _decode(text, _IdCursor)
    return cursor.id if cursor else ""


def _encode(cursor: msgspec.Struct) -> str:
    return base64.b64encode(msgspec.json.encode(cursor)).decode()


def _decode(text: str | None, kind: type[S]) -> S | None:
    try:
        return msgspec.json.decode(base64.b64decode(text, validate=True), type=kind) if text else None
    except (ValueError, RecursionError):
        return None
