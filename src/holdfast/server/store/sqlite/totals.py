"""How many runs a filter lets through: ended ones by the totals that triggers keep, the ends of the window by an index.

Runs that have not ended are counted one by one, in an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.server.store.history import RunTime
from holdfast.server.store.sqlite.lists import (
    BUCKET,
    ENDED,
    LIVE,
    Conditions,
    add_window,
    first_id,
    last_id,
)
from holdfast.server.store.sqlite.queries import load_queries

if TYPE_CHECKING:
    import sqlite3

    from holdfast.server.store.history import RunFilter
    from holdfast.server.store.sqlite.lists import Facets

_QUERIES: Final = load_queries("history")
_LAST: Final = "Z" * 26


def count_runs(connection: sqlite3.Connection, where: RunFilter, facets: Facets) -> int:
    """How many runs a filter lets through, its search aside."""
    if where.deferred:
        return _deferred(connection, where, facets)
    total = _live(connection, where, facets)
    if facets.ended:
        total += _ended(connection, where, facets)
    return total - _deferred(connection, where, facets) if where.deferred is False else total


def _live(connection: sqlite3.Connection, where: RunFilter, facets: Facets) -> int:
    if not facets.live:
        return 0
    found = Conditions()
    found.add(LIVE)
    if len(facets.live) == 1:
        found.add("+r.status = ?", int(facets.live[0]))
    _add_functions(found, facets, "r")
    return _count(connection, "runs_live", where, found)


def _ended(connection: sqlite3.Connection, where: RunFilter, facets: Facets) -> int:
    if where.time is not RunTime.QUEUED:
        found = _ended_runs(facets)
        return _count(connection, f"runs_by_{where.time}", where, found)
    low = first_id(where.since)
    high = last_id(where.until) if where.until is not None else _LAST
    if high < low:
        return 0
    found = Conditions()
    found.add("t.bucket > ? AND t.bucket < ?", low[:BUCKET] if where.since > 0 else "", high[:BUCKET])
    found.add_choice("t.status", map(int, facets.ended))
    _add_functions(found, facets, "t")
    query = _QUERIES["run_total"].replace("{condition}", found.text)
    total = int(connection.execute(query, found.parameters).fetchone()[0])
    ends = {low[:BUCKET]} if where.since > 0 else set[str]()
    if where.until is not None:
        ends.add(high[:BUCKET])
    for bucket in ends:
        edge = _ended_runs(facets)
        edge.add("r.id BETWEEN ? AND ?", max(low, bucket), min(high, bucket + _LAST))
        total += _count(connection, _index(facets), where, edge, windowed=True)
    return total


def _deferred(connection: sqlite3.Connection, where: RunFilter, facets: Facets) -> int:
    found = Conditions()
    found.add_choice("r.status", map(int, (*facets.live, *facets.ended)))
    _add_functions(found, facets, "r")
    add_window(found, where, "d.run_id")
    found.add("r.id NOT IN (SELECT run_id FROM debug_runs)")
    query = _QUERIES["deferred_count"].replace("{condition}", found.text)
    return int(connection.execute(query, found.parameters).fetchone()[0])


def _count(
    connection: sqlite3.Connection, index: str, where: RunFilter, found: Conditions, *, windowed: bool = False
) -> int:
    if not windowed:
        add_window(found, where)
    found.add("r.id NOT IN (SELECT run_id FROM debug_runs)")
    query = _QUERIES["run_count"].replace("{index}", index).replace("{condition}", found.text)
    return int(connection.execute(query, found.parameters).fetchone()[0])


def _index(facets: Facets) -> str:
    return "runs_by_function" if facets.functions is not None else "runs_by_status"


def _ended_runs(facets: Facets) -> Conditions:
    found = Conditions()
    found.add(ENDED)
    found.add(f"r.status IN ({', '.join(str(int(status)) for status in facets.ended)})")
    _add_functions(found, facets, "r")
    return found


def _add_functions(found: Conditions, facets: Facets, table: str) -> None:
    if facets.functions is not None:
        found.add_choice(f"{table}.function_id", facets.functions)
