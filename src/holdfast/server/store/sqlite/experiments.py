"""Experiments and scores: noted as steps and metadata are written, read by function and name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.model.experiment import EXPERIMENT, SCORE
from holdfast.server.model.span import NULL
from holdfast.server.store.experiments import noted
from holdfast.server.store.history import Experiment, Metric, Variant
from holdfast.server.store.sqlite.lists import LAST, id_range
from holdfast.server.store.sqlite.queries import load_queries, named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from holdfast.server.engine.changes import StepRow
    from holdfast.server.store.history import ExperimentFilter

_QUERIES: Final = load_queries("experiments")
_MARKS: Final = (EXPERIMENT.encode(), SCORE.encode())


class _Update(msgspec.Struct):
    """An update as an SDK sends it with a step."""

    kind: str
    values: dict[str, object] = {}
    op: str = "merge"
    scope: str = "step"


_decode_updates = msgspec.json.Decoder(list[_Update]).decode


def note_steps(db: sqlite3.Connection, steps: Sequence[StepRow]) -> None:
    """Notes what steps that are inserted tell of experiments and scores: few do."""
    for run_id, _, step_id, _, span in steps:
        if span.metadata is NULL or not any(mark in bytes(span.metadata) for mark in _MARKS):
            continue
        try:
            updates = _decode_updates(span.metadata)
        except UNREADABLE:  # an SDK's, and not what it should be: shown nowhere either
            continue
        for update in updates:
            about = step_id if update.scope != "run" else ""
            for write in noted(run_id, about, update.kind, update.op, update.values):
                db.executemany(named(write.statement), write.rows)


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
