"""Pages of lists: the ranges that `lists` and `event_lists` name, merged; searches, within a budget of time.

First ids alone are collected, from indexes that hold what filters ask for. Then whole rows are read: those of the page.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from holdfast.server.store.history import RunPosition
from holdfast.server.store.sql import rows
from holdfast.server.store.sql.event_lists import EventList
from holdfast.server.store.sql.lists import Bounds, Facets, RunList
from holdfast.server.store.sql.search import event_condition, run_condition
from holdfast.server.store.sql.totals import count_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.store.history import EventFilter, RunFilter, RunOrder, StoredEvent, StoredRun
    from holdfast.server.store.sql.conditions import Condition
    from holdfast.server.store.sql.reader import Reader

_FEW: Final = 2_000
"""So many runs are sooner sorted than found by a walk in their order."""

_MOST_NAMES: Final = 200
_CHUNK: Final = 400
"""So many runs or events are searched at a time."""


class RunPages:
    """Pages and counts of the runs that a filter lets through, of one state of the database."""

    def __init__(self, db: Reader, where: RunFilter, functions: tuple[str, ...] | None) -> None:
        self._db = db
        self._where = where
        self._facets = Facets.of(where, functions)

    @classmethod
    async def of(cls, db: Reader, where: RunFilter) -> RunPages:
        """Return the pages of a filter."""
        return cls(db, where, await _functions(db, where))

    async def page(self, order: Sequence[RunOrder], limit: int, after: RunPosition | None) -> list[StoredRun]:
        """A page, its search aside."""
        return await self._rows([position.id for position in await self._positions(order, limit, after)])

    async def search(
        self, order: Sequence[RunOrder], limit: int, after: RunPosition | None, budget_s: float
    ) -> tuple[list[StoredRun], RunPosition | None]:
        """A page of what a search finds, and where it stopped if its time was over before the page was full."""
        stop = time.monotonic() + budget_s
        condition = run_condition(self._db.dialect, self._where.search)
        found: list[str] = []
        while True:
            positions = await self._positions(order, _CHUNK, after)
            found += (await self._matching(positions, condition))[: limit - len(found)]
            if len(found) == limit or len(positions) < _CHUNK:
                return await self._rows(found), None
            after = positions[-1]
            if time.monotonic() > stop:
                return await self._rows(found), after

    async def count(self) -> int:
        """How many runs there are, the search aside."""
        return await count_runs(self._db, self._where, self._facets)

    async def count_found(self, order: Sequence[RunOrder], budget_s: float) -> int:
        """How many runs the search finds within its time."""
        stop = time.monotonic() + budget_s
        condition = run_condition(self._db.dialect, self._where.search)
        count, after = 0, None
        while time.monotonic() < stop:
            positions = await self._positions(order, _CHUNK, after)
            count += len(await self._matching(positions, condition))
            if len(positions) < _CHUNK:
                break
            after = positions[-1]
        return count

    async def _positions(self, order: Sequence[RunOrder], limit: int, after: RunPosition | None) -> list[RunPosition]:
        wanted = RunList(self._db.dialect, self._where, order, self._facets, after)
        bounds = Bounds()
        if (question := wanted.bounds()) is not None:
            [row] = await self._db.rows(*question)
            bounds = Bounds(*row) if row[0] is not None else Bounds(high="", last=0)
        few = wanted.levels[0].time is not None and await self._few(wanted, bounds)
        found: list[tuple[int | str, ...]] = []
        for query in wanted.ranges(bounds, limit, few=few):
            found += await self._db.rows(*query)
        times = [level.time for level in wanted.levels if level.time]
        return [
            RunPosition(str(row[-1]), {key: int(value) for key, value in zip(times, row, strict=False)})
            for row in wanted.merge(found, limit)
        ]

    async def _few(self, wanted: RunList, bounds: Bounds) -> bool:
        count = 0
        for query in wanted.few(bounds, _FEW):
            count += (await self._db.rows(*query))[0][0]
            if count >= _FEW:
                return False
        return True

    async def _matching(self, positions: list[RunPosition], condition: Condition) -> list[str]:
        query = self._db.named("history.matching_runs").replace("{condition}", condition.text)
        ids = [position.id for position in positions]
        matching = {id for (id,) in await self._db.rows(query, (ids, *condition.parameters))}
        return [id for id in ids if id in matching]

    async def _rows(self, ids: list[str]) -> list[StoredRun]:
        if not ids:
            return []
        read = {row[0]: rows.read_run(row) for row in await self._db.select("history.runs_by_id", (ids,))}
        return [read[id] for id in ids]


async def _functions(db: Reader, where: RunFilter) -> tuple[str, ...] | None:
    """The functions that a filter means, by themselves or by their apps; None for any."""
    if not where.apps:
        return tuple(dict.fromkeys(where.functions)) or None
    of_apps = await db.select("history.functions_in_apps", (where.apps,))
    return tuple(id for (id,) in of_apps if not where.functions or id in where.functions)


class EventPages:
    """Pages and counts of the events that a filter lets through, of one state of the database."""

    def __init__(self, db: Reader, where: EventFilter) -> None:
        self._db = db
        self._where = where

    async def page(self, limit: int, before: str) -> list[StoredEvent]:
        """A page, its search aside."""
        return await self._rows(await self._ids(limit, before))

    async def search(self, limit: int, before: str, budget_s: float) -> tuple[list[StoredEvent], str]:
        """A page of what a search finds, and the id where it stopped if its time was over before the page was full."""
        stop = time.monotonic() + budget_s
        condition = event_condition(self._db.dialect, self._where.search)
        found: list[str] = []
        while True:
            ids = await self._ids(_CHUNK, before)
            found += (await self._matching(ids, condition))[: limit - len(found)]
            if len(found) == limit or len(ids) < _CHUNK:
                return await self._rows(found), ""
            before = ids[-1]
            if time.monotonic() > stop:
                return await self._rows(found), before

    async def count(self) -> int:
        """How many events there are, the search aside."""
        return await EventList(self._db, self._where).total()

    async def count_found(self, budget_s: float) -> int:
        """How many events the search finds within its time."""
        stop = time.monotonic() + budget_s
        condition = event_condition(self._db.dialect, self._where.search)
        count, before = 0, ""
        while time.monotonic() < stop:
            ids = await self._ids(_CHUNK, before)
            count += len(await self._matching(ids, condition))
            if len(ids) < _CHUNK:
                break
            before = ids[-1]
        return count

    async def _ids(self, limit: int, before: str) -> list[str]:
        wanted = EventList(self._db, self._where, before)
        span = await wanted.span()
        if span is None:
            return []
        by_name = 0 < len(self._where.names) <= _MOST_NAMES or span.rare
        names = await wanted.names() if by_name else None
        found: list[str] = []
        for query in wanted.ranges(span, limit, names):
            found += [id for (id,) in await self._db.rows(*query)]
        return sorted(found, reverse=True)[:limit]

    async def _matching(self, ids: list[str], condition: Condition) -> list[str]:
        query = self._db.named("history.matching_events").replace("{condition}", condition.text)
        matching = {id for (id,) in await self._db.rows(query, (ids, *condition.parameters))}
        return [id for id in ids if id in matching]

    async def _rows(self, ids: list[str]) -> list[StoredEvent]:
        if not ids:
            return []
        found = await self._db.select("history.events_by_id", (ids,))
        read = {row[0]: rows.read_event(row) for row in found}
        return [read[id] for id in ids]
