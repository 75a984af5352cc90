"""Pages of lists: the ranges that `lists` and `event_lists` name, merged; searches, within a budget of time.

First ids alone are collected, from indexes that hold what filters ask for. Then whole rows are read: those of the page.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from holdfast.server.store.history import RunPosition
from holdfast.server.store.sql import rows
from holdfast.server.store.sqlite.event_lists import EventList
from holdfast.server.store.sqlite.lists import Bounds, Facets, RunList
from holdfast.server.store.sqlite.queries import load_queries
from holdfast.server.store.sqlite.search import event_condition, run_condition
from holdfast.server.store.sqlite.totals import count_runs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from holdfast.server.store.history import EventFilter, RunFilter, RunOrder, StoredEvent, StoredRun
    from holdfast.server.store.sqlite.search import Condition

_QUERIES: Final = load_queries("history")
_FEW: Final = 2_000
"""So many runs are sooner sorted than found by a walk in their order."""

_MOST_NAMES: Final = 200
_CHUNK: Final = 400
"""So many runs or events are searched at a time."""


class RunPages:
    """Pages and counts of the runs that a filter lets through, over one connection."""

    def __init__(self, connection: sqlite3.Connection, where: RunFilter) -> None:
        self._connection = connection
        self._where = where
        self._facets = Facets.of(where, self._functions())

    def page(self, order: Sequence[RunOrder], limit: int, after: RunPosition | None) -> list[StoredRun]:
        """A page, its search aside."""
        return self._rows([position.id for position in self._positions(order, limit, after)])

    def search(
        self, order: Sequence[RunOrder], limit: int, after: RunPosition | None, budget_s: float
    ) -> tuple[list[StoredRun], RunPosition | None]:
        """A page of what a search finds, and where it stopped if its time was over before the page was full."""
        stop = time.monotonic() + budget_s
        condition = run_condition(self._where.search)
        found: list[str] = []
        while True:
            positions = self._positions(order, _CHUNK, after)
            found += self._matching(positions, condition)[: limit - len(found)]
            if len(found) == limit or len(positions) < _CHUNK:
                return self._rows(found), None
            after = positions[-1]
            if time.monotonic() > stop:
                return self._rows(found), after

    def count(self) -> int:
        """How many runs there are, the search aside."""
        return count_runs(self._connection, self._where, self._facets)

    def count_found(self, order: Sequence[RunOrder], budget_s: float) -> int:
        """How many runs the search finds within its time."""
        stop = time.monotonic() + budget_s
        condition = run_condition(self._where.search)
        count, after = 0, None
        while time.monotonic() < stop:
            positions = self._positions(order, _CHUNK, after)
            count += len(self._matching(positions, condition))
            if len(positions) < _CHUNK:
                break
            after = positions[-1]
        return count

    def _functions(self) -> tuple[str, ...] | None:
        """The functions that the filter means, by themselves or by their apps; None for any."""
        where = self._where
        if not where.apps:
            return tuple(dict.fromkeys(where.functions)) or None
        of_apps = self._connection.execute(_QUERIES["functions_in_apps"], (json.dumps(where.apps),))
        return tuple(id for (id,) in of_apps if not where.functions or id in where.functions)

    def _positions(self, order: Sequence[RunOrder], limit: int, after: RunPosition | None) -> list[RunPosition]:
        wanted = RunList(self._where, order, self._facets, after)
        bounds = Bounds()
        if (question := wanted.bounds()) is not None:
            row = self._connection.execute(*question).fetchone()
            bounds = Bounds(*row) if row[0] is not None else Bounds(high="", last=0)
        few = wanted.levels[0].time is not None and self._few(wanted, bounds)
        found: list[tuple[int | str, ...]] = []
        for query in wanted.ranges(bounds, limit, few=few):
            found += self._connection.execute(*query)
        times = [level.time for level in wanted.levels if level.time]
        return [
            RunPosition(str(row[-1]), {key: int(value) for key, value in zip(times, row, strict=False)})
            for row in wanted.merge(found, limit)
        ]

    def _few(self, wanted: RunList, bounds: Bounds) -> bool:
        count = 0
        for query in wanted.few(bounds, _FEW):
            count += self._connection.execute(*query).fetchone()[0]
            if count >= _FEW:
                return False
        return True

    def _matching(self, positions: list[RunPosition], condition: Condition) -> list[str]:
        query = _QUERIES["matching_runs"].replace("{condition}", condition.text)
        ids = [position.id for position in positions]
        matching = {id for (id,) in self._connection.execute(query, (json.dumps(ids), *condition.parameters))}
        return [id for id in ids if id in matching]

    def _rows(self, ids: list[str]) -> list[StoredRun]:
        if not ids:
            return []
        read = {
            row[0]: rows.read_run(row) for row in self._connection.execute(_QUERIES["runs_by_id"], (json.dumps(ids),))
        }
        return [read[id] for id in ids]


class EventPages:
    """Pages and counts of the events that a filter lets through, over one connection."""

    def __init__(self, connection: sqlite3.Connection, where: EventFilter) -> None:
        self._connection = connection
        self._where = where

    def page(self, limit: int, before: str) -> list[StoredEvent]:
        """A page, its search aside."""
        return self._rows(self._ids(limit, before))

    def search(self, limit: int, before: str, budget_s: float) -> tuple[list[StoredEvent], str]:
        """A page of what a search finds, and the id where it stopped if its time was over before the page was full."""
        stop = time.monotonic() + budget_s
        condition = event_condition(self._where.search)
        found: list[str] = []
        while True:
            ids = self._ids(_CHUNK, before)
            found += self._matching(ids, condition)[: limit - len(found)]
            if len(found) == limit or len(ids) < _CHUNK:
                return self._rows(found), ""
            before = ids[-1]
            if time.monotonic() > stop:
                return self._rows(found), before

    def count(self) -> int:
        """How many events there are, the search aside."""
        return EventList(self._where).total(self._connection)

    def count_found(self, budget_s: float) -> int:
        """How many events the search finds within its time."""
        stop = time.monotonic() + budget_s
        condition = event_condition(self._where.search)
        count, before = 0, ""
        while time.monotonic() < stop:
            ids = self._ids(_CHUNK, before)
            count += len(self._matching(ids, condition))
            if len(ids) < _CHUNK:
                break
            before = ids[-1]
        return count

    def _ids(self, limit: int, before: str) -> list[str]:
        wanted = EventList(self._where, before)
        span = wanted.span(self._connection)
        if span is None:
            return []
        by_name = 0 < len(self._where.names) <= _MOST_NAMES or span.rare
        names = wanted.names(self._connection) if by_name else None
        found: list[str] = []
        for query in wanted.ranges(span, limit, names):
            found += [id for (id,) in self._connection.execute(*query)]
        return sorted(found, reverse=True)[:limit]

    def _matching(self, ids: list[str], condition: Condition) -> list[str]:
        query = _QUERIES["matching_events"].replace("{condition}", condition.text)
        matching = {id for (id,) in self._connection.execute(query, (json.dumps(ids), *condition.parameters))}
        return [id for id in ids if id in matching]

    def _rows(self, ids: list[str]) -> list[StoredEvent]:
        if not ids:
            return []
        found = self._connection.execute(_QUERIES["events_by_id"], (json.dumps(ids),))
        read = {row[0]: rows.read_event(row) for row in found}
        return [read[id] for id in ids]
