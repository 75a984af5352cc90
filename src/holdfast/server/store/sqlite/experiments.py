"""Experiments and scores: noted as steps and metadata are written, read by function and name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.store.history import Experiment, Metric, Variant
from holdfast.server.store.sqlite.lists import LAST, id_range
from holdfast.server.store.sqlite.queries import load_queries

if TYPE_CHECKING:
    import sqlite3

    from holdfast.server.store.history import ExperimentFilter

_QUERIES: Final = load_queries("experiments")


def page(db: sqlite3.Connection, function_id: str, limit: int, after: tuple[str, str]) -> list[Experiment]:
    """A page of experiments of a function, or of all, `after` a function and a name. No metrics."""
    given = {"function": function_id, "after_function": after[0], "after": after[1], "limit": limit}
    found: list[tuple[str, str]] = db.execute(_QUERIES["page"], given).fetchall()
    return [_experiment(db, _Where(function, name), with_metrics=False) for function, name in found]


def find(db: sqlite3.Connection, where: ExperimentFilter) -> Experiment | None:
    """One experiment, of which some runs are asked for; None if no run ever had it."""
    known = _Where(where.function_id, where.name)
    if not db.execute(_QUERIES["variants"], known.parameters()).fetchone():
        return None
    window = id_range(where.since, where.until)
    return _experiment(db, _Where(where.function_id, where.name, where.variant, *window))


class _Where(msgspec.Struct, frozen=True):
    function: str
    name: str
    variant: str = ""
    low: str = ""
    high: str = LAST

    def parameters(self) -> dict[str, str]:
        return msgspec.structs.asdict(self)


def _experiment(db: sqlite3.Connection, where: _Where, *, with_metrics: bool = True) -> Experiment:
    given = where.parameters()
    variants: dict[str, Variant] = {}
    firsts: list[str] = []
    lasts: list[str] = []
    for name, runs, first, last in db.execute(_QUERIES["variants"], given):
        variants[name] = Variant(name, runs, [])
        firsts.append(first)
        lasts.append(last)
    if with_metrics:
        for variant, key, *figures in db.execute(_QUERIES["metrics"], given):
            variants[variant].metrics.append(Metric(key, *figures))
    strategy, known, weights = db.execute(_QUERIES["newest"], given).fetchone() or ("", "[]", "{}")
    return Experiment(
        where.function, where.name, strategy, list(variants.values()),
        available=msgspec.json.decode(known, type=list[str]),
        weights=msgspec.json.decode(weights, type=dict[str, float]),
        first_run=min(firsts, default=""), last_run=max(lasts, default=""),
    )  # fmt: skip
