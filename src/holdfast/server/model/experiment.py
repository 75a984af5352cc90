"""What metadata tells of experiments and scores: kinds `inngest.experiment`, `inngest.score` (`http-apis.md` §10.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXPERIMENT: Final = "inngest.experiment"
SCORE: Final = "inngest.score"


class Choice(msgspec.Struct, frozen=True):
    """A variant of an experiment that a run got. Its scores name these two only; the SDK's own step tells all."""

    name: str
    variant: str
    strategy: str = msgspec.field(name="selection_strategy", default="")
    variants: list[str] = msgspec.field(name="available_variants", default=[])
    weights: dict[str, float] = msgspec.field(name="variant_weights", default={})


def read_choice(values: Mapping[str, object]) -> Choice | None:
    """The choice that an update's values tell; None if they don't."""
    try:
        choice = msgspec.convert(values, Choice)
    except msgspec.ValidationError:
        return None
    return choice if choice.name and choice.variant else None


def read_scores(values: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """The scores in an update's values, by name: truth counts 1 or 0."""
    for name, entry in values.items():
        value = cast("dict[str, object]", entry).get("value") if isinstance(entry, dict) else None
        if isinstance(value, int | float) and (number := _double(value)) is not None:
            yield name, number


def _double(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
