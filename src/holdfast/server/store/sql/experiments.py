"""Experiments and scores: noted as steps and metadata are written, read by function and name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.server.store.history import Experiment, Metric, Variant
from holdfast.server.store.sql.lists import LAST, id_range

if TYPE_CHECKING:
    from holdfast.server.store.history import ExperimentFilter
    from holdfast.server.store.sql.reader import Reader


async def page(db: Reader, function_id: str, limit: int, after: tuple[str, str]) -> list[Experiment]:
    """A page of experiments of a function, or of all, `after` a function and a name. No metrics."""
    given = {"function": function_id, "after_function": after[0], "after": after[1], "limit": limit}
    found = await db.select("experiments.page", given)
    return [await _experiment(db, _Where(function, name), with_metrics=False) for function, name in found]


async def find(db: Reader, where: ExperimentFilter) -> Experiment | None:
    """One experiment, of which some runs are asked for; None if no run ever had it."""
    known = _Where(where.function_id, where.name)
    if not await db.select("experiments.variants", known.parameters()):
        return None
    window = id_range(where.since, where.until)
    return await _experiment(db, _Where(where.function_id, where.name, where.variant, *window))


class _Where(msgspec.Struct, frozen=True):
    function: str
    name: str
    variant: str = ""
    low: str = ""
    high: str = LAST

    def parameters(self) -> dict[str, str]:
        return msgspec.structs.asdict(self)


async def _experiment(db: Reader, where: _Where, *, with_metrics: bool = True) -> Experiment:
    given = where.parameters()
    variants: dict[str, Variant] = {}
    firsts: list[str] = []
    lasts: list[str] = []
    for name, runs, first, last in await db.select("experiments.variants", given):
        variants[name] = Variant(name, runs, [])
        firsts.append(first)
        lasts.append(last)
    if with_metrics:
        for variant, key, *figures in await db.select("experiments.metrics", given):
            variants[variant].metrics.append(Metric(key, *figures))
    told = {"function": where.function, "name": where.name}
    [(strategy, known, weights)] = await db.select("experiments.newest", told) or [("", "[]", "{}")]
    return Experiment(
        where.function, where.name, strategy, list(variants.values()),
        available=msgspec.json.decode(known, type=list[str]),
        weights=msgspec.json.decode(weights, type=dict[str, float]),
        first_run=min(firsts, default=""), last_run=max(lasts, default=""),
    )  # fmt: skip
