"""Samples of how long runs and steps waited and took, for percentiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from holdfast.server.model.span import decode_span
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import RunTimes
from holdfast.server.store.sqlite.lists import id_range
from holdfast.server.store.sqlite.queries import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from holdfast.server.model.span import Span

_ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


def times(
    db: sqlite3.Connection, function_id: str, windows: Sequence[tuple[int, int]], most: int
) -> list[list[RunTimes]]:
    """Return the times of up to `most` runs of each window (ms, both ends included); of all functions for ""."""
    return [_times(db, function_id, *id_range(*window), most) for window in windows]


def _times(db: sqlite3.Connection, function_id: str, low: str, high: str, most: int) -> list[RunTimes]:
    if not function_id:
        return [RunTimes(*row) for row in db.execute(named("figures.times"), (low, high, most))]
    query = named("figures.times_of_function")
    found: list[RunTimes] = []
    for status in _ENDED:
        rows = db.execute(query, (function_id, int(status), low, high, most - len(found)))
        found.extend(RunTimes(*row) for row in rows)
    return found


def steps(db: sqlite3.Connection, run_ids: Collection[str], most: int) -> list[Span]:
    """Return up to `most` saved steps of some runs, and as many attempts of steps that failed."""
    ids = json.dumps(list(run_ids))
    return [
        *_spans(db.execute(named("figures.steps"), (ids, most))),
        *_spans(db.execute(named("figures.failures"), (ids, most))),
    ]


def _spans(rows: Iterable[tuple[str | bytes]]) -> list[Span]:
    return [decode_span(span) for (span,) in rows]
