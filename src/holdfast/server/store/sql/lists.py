"""Which ranges of which indexes a list of runs or events is made of (docs/adr/0007-reading.md).

A page is merged from a few ranges, each read in the list's order from the place where the page starts: what comes or
goes meanwhile shifts and repeats nothing, and how much is stored doesn't matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.protocol.ids import MAX_ULID_MS, ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.model.totals import RUN_DIGITS
from holdfast.server.store.history import RunTime
from holdfast.server.store.sql.conditions import Conditions, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from holdfast.server.store.history import RunFilter, RunOrder, RunPosition
    from holdfast.server.store.sql.reader import Dialect, Parameter

LIVE: Final = "r.status IN (0, 5)"
"""The condition of the index of live runs."""

_MOST_RANGES: Final = 200
_MAX_ENTROPY: Final = 2**80 - 1
ENDED_STATUSES: Final = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
_LIVE: Final = (RunStatus.RUNNING, RunStatus.SCHEDULED)
LAST: Final = "Z" * 26
"""No id comes after it."""
_NEVER: Final = 2**62
_NO_TIME: Final = "CAST(0 AS BIGINT)"


class Facets(NamedTuple):
    """The statuses and functions that a list of runs holds; `functions` is None for any."""

    live: tuple[RunStatus, ...]
    ended: tuple[RunStatus, ...]
    functions: tuple[str, ...] | None

    @classmethod
    def of(cls, where: RunFilter, functions: tuple[str, ...] | None) -> Facets:
        """Read a filter; `functions` are those that it means, by themselves or by their apps."""
        wanted = where.statuses or tuple(RunStatus)
        live = tuple(status for status in _LIVE if status in wanted) if where.time is not RunTime.ENDED else ()
        return cls(live, tuple(status for status in ENDED_STATUSES if status in wanted), functions)

    @property
    def statuses(self) -> tuple[RunStatus, ...]:
        """All of them."""
        return (*self.live, *self.ended)


class Bounds(NamedTuple):
    """Between which ids, and which values of the order's time, all ended runs of a list are (by the totals)."""

    low: str = ""
    high: str = LAST
    first: int = 0
    last: int = _NEVER


class _Level(NamedTuple):
    expression: str
    descending: bool
    time: RunTime | None  # None: the id


class RunList:
    """A list of runs in an order: its ranges. Rows of a range are the order's times, then the id."""

    def __init__(
        self, dialect: Dialect, where: RunFilter, order: Sequence[RunOrder], facets: Facets,
        after: RunPosition | None = None,
    ) -> None:  # fmt: skip
        self._dialect = dialect
        self._where = where
        self._facets = facets
        self._after = after
        self.levels = tuple(_levels(dialect, order))
        self._time = self.levels[0].time

    def bounds(self) -> Query | None:
        """Asks for `Bounds`, if the list's window is of another time than its order. No row of NULLs: it is empty."""
        where = self._where
        if where.time is (self._time or RunTime.QUEUED) or not self._facets.ended:
            return None
        found = Conditions(self._dialect)
        if where.time is RunTime.QUEUED:
            if where.since <= 0 and where.until is None:
                return None
            found.add("t.bucket >= ?", first_id(where.since)[:RUN_DIGITS])
            if where.until is not None:
                found.add("t.bucket <= ?", last_id(where.until)[:RUN_DIGITS])
        else:
            found.add(f"t.last_{where.time} >= ?", where.since)
            if where.until is not None:
                found.add(f"t.first_{where.time} <= ?", where.until)
        found.add_choice("t.status", map(int, self._facets.ended))
        if self._facets.functions is not None:
            found.add_choice("t.function_id", self._facets.functions)
        time = self._time or RunTime.STARTED
        text = (
            f"SELECT min(t.bucket), max(t.bucket) || '{LAST}', coalesce(min(t.first_{time}), 1),"  # noqa: S608
            f" coalesce(max(t.last_{time}), 1) FROM run_totals t WHERE {found.text}"
        )
        return Query(text, tuple(found.parameters))

    def few(self, bounds: Bounds, most: int) -> Iterator[Query]:
        """How many ended runs there are in the list's facets and ids: at most `most` in each answer."""
        for index, found in self._facet_ranges():
            found.add("r.id BETWEEN ? AND ?", *self._ids(bounds))
            text = f"SELECT count(*) FROM (SELECT 1 FROM runs r{self._by(index)} WHERE {found.text} LIMIT ?) few"  # noqa: S608
            yield Query(text, (*found.parameters, most))

    def ranges(self, bounds: Bounds, limit: int, *, few: bool = False) -> Iterator[Query]:
        """The ranges to merge; `few` says that the ended runs may be sorted."""
        if self._where.deferred:
            yield self._deferred(limit)
            return
        if self._facets.live:
            found = Conditions(self._dialect)
            found.add(LIVE)
            if len(self._facets.live) == 1:
                found.add("+r.status = ?", int(self._facets.live[0]))
            self._add_functions(found)
            yield self._range(f"runs r{self._by('runs_live')}", found, limit, live=True)
        if self._time is None or few:
            ids = Bounds(bounds.low, bounds.high)
            for index, found in self._facet_ranges():
                yield self._range(f"runs r{self._by(index)}", found, limit, ids)
        elif self._facets.ended:
            # Runs that have no such time are not within the bounds: they come first, or last.
            for between in (bounds._replace(first=0, last=0), bounds._replace(first=max(bounds.first, 1))):
                yield self._by_time(self._time, between, limit)

    def _by_time(self, time: RunTime, bounds: Bounds, limit: int) -> Query:
        found = Conditions(self._dialect)
        found.add(self._dialect.ended)
        if len(self._facets.ended) < len(ENDED_STATUSES):
            found.add_choice("r.status", map(int, self._facets.ended))
        self._add_functions(found)
        return self._range(f"runs r{self._by(f'runs_by_{time}')}", found, limit, bounds)

    def _facet_ranges(self) -> Iterator[tuple[str, Conditions]]:
        """The ranges of ids in which ended runs are of one status, and of one function if those are few."""
        statuses, functions = self._facets.ended, self._facets.functions
        if functions is None or len(functions) * len(statuses) > _MOST_RANGES:
            for status in statuses:
                found = Conditions(self._dialect)
                found.add(f"{self._dialect.ended} AND r.status = ?", int(status))
                self._add_functions(found)
                yield "runs_by_status", found
            return
        for function in functions:
            for status in statuses:
                found = Conditions(self._dialect)
                found.add(f"{self._dialect.ended} AND r.function_id = ? AND r.status = ?", function, int(status))
                yield "runs_by_function", found

    def _deferred(self, limit: int) -> Query:
        found = Conditions(self._dialect)
        found.add_choice("r.status", map(int, self._facets.statuses))
        self._add_functions(found)
        return self._range("deferred_runs d JOIN runs r ON r.id = d.run_id", found, limit, column="d.run_id")

    def _by(self, index: str) -> str:
        return self._dialect.by_index(index)

    def _add_functions(self, found: Conditions) -> None:
        if self._facets.functions is not None:
            found.add_choice("r.function_id", self._facets.functions)

    def _ids(self, bounds: Bounds) -> tuple[str, str]:
        if self._where.time is not RunTime.QUEUED:
            return bounds.low, bounds.high
        return id_range(self._where.since, self._where.until)

    def _range(  # a range of an index: what it is of, and between what
        self,
        source: str,
        found: Conditions,
        limit: int,
        bounds: Bounds | None = None,
        *,
        live: bool = False,
        column: str = "r.id",
    ) -> Query:
        levels = [level if level.time else level._replace(expression=column) for level in self.levels]
        if live:  # what has not ended has no end to read
            levels = [level._replace(expression=_NO_TIME) if level.time is RunTime.ENDED else level for level in levels]
        self._limit(found, bounds or Bounds(), column, keyed=levels[0].expression != _NO_TIME)
        add_hidden(found, self._where)
        if self._after is not None:
            _add_place(found, levels, self._after)
        columns = ", ".join([*(level.expression for level in levels if level.time), column])
        ways = [(level.expression, "DESC" if level.descending else "ASC") for level in levels]
        order = ", ".join(f"{expression} {way}" for expression, way in ways if expression != _NO_TIME)
        text = f"SELECT {columns} FROM {source} WHERE {found.text} ORDER BY {order} LIMIT ?"  # noqa: S608
        return Query(text, (*found.parameters, limit))

    def _limit(self, found: Conditions, bounds: Bounds, column: str, *, keyed: bool) -> None:
        """Window, bounds and place as one range of ids and one of each time: a seek goes by one bound of each end."""
        low, high = bounds.low, bounds.high
        times = {self._time: (bounds.first, bounds.last)} if self._time and keyed else {}
        where, after = self._where, self._after
        if where.time is RunTime.QUEUED:
            first, last = self._ids(bounds)
            low, high = max(low, first), min(high, last)
        else:
            first_ms, last_ms = times.get(where.time, (0, _NEVER))
            until = where.until if where.until is not None else _NEVER
            times[where.time] = max(first_ms, where.since, 1), min(last_ms, until)  # 0 is a time that hasn't come
        if after is not None and self._time is None:
            low, high = (low, min(high, after.id)) if self.levels[0].descending else (max(low, after.id), high)
        elif after is not None and self._time and keyed:
            first_ms, last_ms = times[self._time]
            at = after.times.get(self._time, 0)
            descending = self.levels[0].descending
            times[self._time] = (first_ms, min(last_ms, at)) if descending else (max(first_ms, at), last_ms)
        found.add(f"{column} BETWEEN ? AND ?", low, high)
        for time, (first_ms, last_ms) in times.items():
            if (first_ms, last_ms) != (0, _NEVER):
                found.add(f"{self._dialect.or_zero(f'r.{time}')} BETWEEN ? AND ?", first_ms, last_ms)

    def merge(self, rows: list[tuple[int | str, ...]], limit: int) -> list[tuple[int | str, ...]]:
        """The first of the rows of all ranges."""
        for place in reversed(range(len(self.levels))):  # sorts are stable: the last level first
            rows.sort(key=lambda row, place=place: row[place], reverse=self.levels[place].descending)  # type: ignore[misc]
        return rows[:limit]


def add_window(found: Conditions, where: RunFilter, column: str = "r.id") -> None:
    """The time range of a filter of runs."""
    if where.time is RunTime.QUEUED:
        # A run's id starts with the moment it was scheduled: the window is a range of ids.
        if where.since > 0:
            found.add(f"{column} >= ?", first_id(where.since))
        if where.until is not None:
            found.add(f"{column} <= ?", last_id(where.until))
        return
    time = found.dialect.or_zero(f"r.{where.time}")
    found.add(f"{time} >= ?", max(where.since, 1))  # 0 is a time that hasn't come
    if where.until is not None:
        found.add(f"{time} <= ?", where.until)


def add_hidden(found: Conditions, where: RunFilter) -> None:
    """Debug runs are in no list; deferred ones can be left out."""
    found.add("r.id NOT IN (SELECT run_id FROM debug_runs)")
    if where.deferred is False:
        found.add("NOT EXISTS (SELECT 1 FROM deferred_runs d WHERE d.run_id = r.id)")


def first_id(ms: int) -> str:
    """The smallest id of a moment."""
    return ulid(min(max(ms, 0), MAX_ULID_MS), 0)


def last_id(ms: int) -> str:
    """The greatest id of a moment; below all ids for a moment before the epoch."""
    return ulid(min(ms, MAX_ULID_MS), _MAX_ENTROPY) if ms >= 0 else ""


def id_range(since: int, until: int | None) -> tuple[str, str]:
    """The ids of a window of moments, both ends included: `BETWEEN` these."""
    return first_id(since), LAST if until is None else last_id(until)


def _levels(dialect: Dialect, order: Sequence[RunOrder]) -> Iterable[_Level]:
    for level in order:
        if level.time is RunTime.QUEUED:
            # Ids rise with the time of scheduling and are unique: nothing below this level can matter.
            yield _Level("r.id", level.descending, None)
            return
        yield _Level(dialect.or_zero(f"r.{level.time}"), level.descending, level.time)
    yield _Level("r.id", descending=False, time=None)


def _add_place(found: Conditions, levels: Sequence[_Level], after: RunPosition) -> None:
    """Lexicographic: equal on the first levels, strictly behind on one."""
    values = [after.id if level.time is None else after.times.get(level.time, 0) for level in levels]
    signs = ["<" if level.descending else ">" for level in levels]
    if len(levels) == 1:
        found.add(f"{levels[0].expression} <> ?", values[0])  # the range ends there
        return
    ways: list[str] = []
    parameters: list[Parameter] = []
    for place, level in enumerate(levels):
        equal = [f"{known.expression} = ?" for known in levels[:place]]
        ways.append(" AND ".join([*equal, f"{level.expression} {signs[place]} ?"]))
        parameters += values[: place + 1]
    found.add(f"({' OR '.join(f'({way})' for way in ways)})", *parameters)
