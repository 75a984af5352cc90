"""What metadata tells of experiments and scores: kinds `inngest.experiment`, `inngest.score` (`http-apis.md` §10.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, cast

import msgspec

from holdfast.protocol.rawjson import UNREADABLE

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


class ChoiceNoted(msgspec.Struct, frozen=True):
    """A run got a variant of an experiment."""

    run_id: str
    choice: Choice


class ScoreNoted(msgspec.Struct, frozen=True):
    """A run, or a step of it, was scored. `step_id` is hashed, and empty for the run."""

    run_id: str
    step_id: str
    name: str
    value: float


class ScoresDropped(msgspec.Struct, frozen=True):
    """Scores of a run, or of a step of it, count no more: that of a name, or all (None)."""

    run_id: str
    step_id: str
    name: str | None = None


Noted = ChoiceNoted | ScoreNoted | ScoresDropped
"""What an update of metadata tells of experiments and scores."""


class _Update(msgspec.Struct):
    """An update as an SDK sends it with a step."""

    kind: str
    values: dict[str, object] = {}
    op: str = "merge"
    scope: str = "step"


_decode_updates = msgspec.json.Decoder(list[_Update]).decode
_MARKS: Final = (EXPERIMENT.encode(), SCORE.encode())


def noted(run_id: str, step_id: str, kind: str, op: str, values: Mapping[str, object]) -> Iterator[Noted]:
    """Yield what an update of metadata tells, in order; `step_id` is hashed, and empty for the run."""
    if kind == EXPERIMENT and op != "delete":
        choice = read_choice(values)
        if choice is not None:
            yield ChoiceNoted(run_id, choice)
    elif kind == SCORE and op == "delete":
        yield from (ScoresDropped(run_id, step_id, name) for name in values)
    elif kind == SCORE:
        if op == "set":
            yield ScoresDropped(run_id, step_id)
        yield from (ScoreNoted(run_id, step_id, name, value) for name, value in read_scores(values))


def noted_in_step(run_id: str, step_id: str, metadata: bytes) -> Iterator[Noted]:
    """Yield what the metadata (JSON) that an SDK sent with a step tells; most tell nothing."""
    if not any(mark in metadata for mark in _MARKS):
        return
    try:
        updates = _decode_updates(metadata)
    except UNREADABLE:  # an SDK's, and not what it should be: shown nowhere either
        return
    for update in updates:
        about = step_id if update.scope != "run" else ""
        yield from noted(run_id, about, update.kind, update.op, update.values)


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
