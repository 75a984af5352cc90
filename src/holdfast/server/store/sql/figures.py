"""Samples of how long runs and steps waited and took, for percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.server.model.span import decode_span
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import RunTimes
from holdfast.server.store.sql.lists import id_range

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from holdfast.server.model.span import Span
    from holdfast.server.store.sql.reader import Reader
    from holdfast.server.store.sql.rows import Row

_ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


async def times(db: Reader, function_id: str, windows: Sequence[tuple[int, int]], most: int) -> list[list[RunTimes]]:
    """Return the times of up to `most` runs of each window (ms, both ends included); of all functions for ""."""
    return [await _times(db, function_id, *id_range(*window), most) for window in windows]


async def _times(db: Reader, function_id: str, low: str, high: str, most: int) -> list[RunTimes]:
    if not function_id:
        return [RunTimes(*row) for row in await db.select("figures.times", (low, high, most))]
    found: list[RunTimes] = []
    for status in _ENDED:
        rows = await db.select("figures.times_of_function", (function_id, int(status), low, high, most - len(found)))
        found.extend(RunTimes(*row) for row in rows)
    return found


async def steps(db: Reader, run_ids: Collection[str], most: int) -> list[Span]:
    """Return up to `most` saved steps of some runs, and as many attempts of steps that failed."""
    ids = list(run_ids)
    return [
        *_spans(await db.select("figures.steps", (ids, most))),
        *_spans(await db.select("figures.failures", (ids, most))),
    ]


def _spans(rows: Iterable[Row]) -> list[Span]:
    return [decode_span(span) for (span,) in rows]
