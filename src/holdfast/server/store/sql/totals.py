"""How many runs a filter lets through: ended ones by the totals that commits keep, the ends of the window by an index.

Runs that have not ended are counted one by one, in an index.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from holdfast.server.model.totals import RUN_DIGITS
from holdfast.server.store.history import RunTime
from holdfast.server.store.sql.conditions import Conditions
from holdfast.server.store.sql.lists import LAST, LIVE, add_window, id_range

if TYPE_CHECKING:
    from holdfast.server.store.history import RunFilter
    from holdfast.server.store.sql.lists import Facets
    from holdfast.server.store.sql.reader import Dialect, Reader

_NEVER: Final = 2**62


async def count_runs(db: Reader, where: RunFilter, facets: Facets) -> int:
    """How many runs a filter lets through, its search aside."""
    if where.deferred:
        return await _deferred(db, where, facets)
    total = await _live(db, where, facets)
    if facets.ended:
        total += await _ended(db, where, facets)
    return total - await _deferred(db, where, facets) if where.deferred is False else total


async def _live(db: Reader, where: RunFilter, facets: Facets) -> int:
    if not facets.live:
        return 0
    found = Conditions(db.dialect)
    found.add(LIVE)
    if len(facets.live) == 1:
        found.add("+r.status = ?", int(facets.live[0]))
    _add_functions(found, facets, "r")
    return await _count(db, "runs_live", where, found)


async def _ended(db: Reader, where: RunFilter, facets: Facets) -> int:
    if where.time is not RunTime.QUEUED:
        return await _ended_by_time(db, where, facets)
    low, high = id_range(where.since, where.until)
    if high < low:
        return 0
    found = Conditions(db.dialect)
    found.add("t.bucket > ? AND t.bucket < ?", low[:RUN_DIGITS] if where.since > 0 else "", high[:RUN_DIGITS])
    _add_facets(found, facets)
    query = db.named("history.run_total").replace("{condition}", found.text)
    total = await _number(db, query, found)
    ends = {low[:RUN_DIGITS]} if where.since > 0 else set[str]()
    if where.until is not None:
        ends.add(high[:RUN_DIGITS])
    for bucket in ends:
        edge = _ended_runs(db.dialect, facets)
        edge.add("r.id BETWEEN ? AND ?", max(low, bucket), min(high, bucket + LAST))
        total += await _count(db, _index(facets), where, edge, windowed=True)
    return total


async def _ended_by_time(db: Reader, where: RunFilter, facets: Facets) -> int:
    """By another time than that in ids: buckets that lie within the window are summed, the others' runs looked at.

    What a bucket holds of the time may be less than what its totals say, so that more is looked at than need be.
    """
    since, until = max(where.since, 1), where.until if where.until is not None else _NEVER
    found = Conditions(db.dialect)
    _add_facets(found, facets)
    query = db.named("history.run_buckets").replace("{time}", where.time).replace("{condition}", found.text)
    total = 0
    whole: list[str] = []
    early, late = _Edge(), _Edge()
    for bucket, n, first, last in await db.rows(query, (*found.parameters, since, until)):
        if first >= since and last <= until:
            whole.append(bucket)
            total += n
        else:
            (early if first < since else late).add(bucket, max(first, since), min(last, until))
    # What has no such time is part of a bucket, but in no window.
    total -= await _within(db, where, facets, _Edge(whole, 0, 0))
    return total + sum([await _within(db, where, facets, edge) for edge in (early, late)])


@dataclass
class _Edge:
    """Buckets that a window cuts through, and between which times (ms) their runs have to be counted."""

    buckets: list[str] = field(default_factory=list[str])
    first: int = _NEVER
    last: int = 0

    def add(self, bucket: str, first: int, last: int) -> None:
        self.buckets.append(bucket)
        self.first, self.last = min(self.first, first), max(self.last, last)


async def _within(db: Reader, where: RunFilter, facets: Facets, edge: _Edge) -> int:
    if not edge.buckets:
        return 0
    found = _ended_runs(db.dialect, facets)
    found.add(f"{db.dialect.or_zero(f'r.{where.time}')} BETWEEN ? AND ?", edge.first, edge.last)
    found.add_choice(f"substr(r.id, 1, {RUN_DIGITS})", edge.buckets)
    return await _count(db, f"runs_by_{where.time}", where, found, windowed=True)


async def _deferred(db: Reader, where: RunFilter, facets: Facets) -> int:
    found = Conditions(db.dialect)
    found.add_choice("r.status", map(int, (*facets.live, *facets.ended)))
    _add_functions(found, facets, "r")
    add_window(found, where, "d.run_id")
    found.add("r.id NOT IN (SELECT run_id FROM debug_runs)")
    query = db.named("history.deferred_count").replace("{condition}", found.text)
    return await _number(db, query, found)


async def _count(db: Reader, index: str, where: RunFilter, found: Conditions, *, windowed: bool = False) -> int:
    if not windowed:
        add_window(found, where)
    found.add("r.id NOT IN (SELECT run_id FROM debug_runs)")
    query = (
        db.named("history.run_count").replace("{index}", db.dialect.by_index(index)).replace("{condition}", found.text)
    )
    return await _number(db, query, found)


async def _number(db: Reader, query: str, found: Conditions) -> int:
    return int((await db.rows(query, found.parameters))[0][0])


def _index(facets: Facets) -> str:
    return "runs_by_function" if facets.functions is not None else "runs_by_status"


def _ended_runs(dialect: Dialect, facets: Facets) -> Conditions:
    found = Conditions(dialect)
    found.add(dialect.ended)
    found.add(f"r.status IN ({', '.join(str(int(status)) for status in facets.ended)})")
    _add_functions(found, facets, "r")
    return found


def _add_facets(found: Conditions, facets: Facets) -> None:
    found.add_choice("t.status", map(int, facets.ended))
    _add_functions(found, facets, "t")


def _add_functions(found: Conditions, facets: Facets, table: str) -> None:
    if facets.functions is not None:
        found.add_choice(f"{table}.function_id", facets.functions)
