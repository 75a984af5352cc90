"""Experiments: one of several variants runs, chosen once for a run and told with each of its steps."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import hashlib
import math
import random
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from holdfast.sdk.errors import NonRetriableError
from holdfast.sdk.scores import EXPERIMENT, ExperimentRef

if TYPE_CHECKING:
    from holdfast.sdk.plans import StepInfo

T = TypeVar("T")
_UNIT: Final = 1 << 32


@dataclasses.dataclass(frozen=True)
class ExperimentResult(Generic[T]):
    """What the chosen variant returned, its name, and the reference by which it is scored, also later."""

    result: T
    variant: str
    experiment_ref: ExperimentRef


@dataclasses.dataclass(frozen=True)
class Selection:
    """A way to choose a variant, made by `fixed`, `weighted`, `bucket` or `custom`."""

    strategy: str
    pick: Callable[[list[str]], str]
    weights: Mapping[str, float] | None = None

    def choose(self, names: list[str]) -> str:
        """Return the variant to run; raise NonRetriableError if it is none of those that there are."""
        if self.weights is not None and set(self.weights) != set(names):
            raise NonRetriableError(f"the weights are of {sorted(self.weights)}, the variants are {sorted(names)}")
        chosen = self.pick(names)
        if chosen not in names:
            raise NonRetriableError(f"there is no variant {chosen!r}; there are {sorted(names)}")
        return chosen


def fixed(variant: str) -> Selection:
    """Choose always the same variant."""
    _check_text(variant, "a variant")
    return Selection("fixed", lambda _: variant)


def weighted(weights: Mapping[str, float]) -> Selection:
    """Choose at random, by relative weights: `{"small": 9, "large": 1}`."""
    kept = _checked(weights)
    return Selection("weighted", lambda _: _at(random.random(), kept), kept)


def bucket(value: str, *, weights: Mapping[str, float] | None = None) -> Selection:
    """Choose by the hash of a text, such as a user's id: the same text gets the same variant, in every SDK."""
    _check_text(value, "the value of a bucket")
    kept = None if weights is None else _checked(weights)
    position = int(hashlib.sha256(value.encode()).hexdigest()[:8], 16) / _UNIT
    return Selection("bucket", lambda names: _at(position, kept or dict.fromkeys(names, 1.0)), kept)


def custom(pick: Callable[[list[str]], str]) -> Selection:
    """Choose by a function of the variants' names."""
    return Selection("custom", pick)


def check_variants(name: object, variants: object) -> None:
    """Raise ValueError unless an experiment has a name and named callables."""
    _check_text(name, "the id of an experiment")
    if not isinstance(variants, Mapping) or not variants:
        raise ValueError('variants are a dict of names and callables: {"small": lambda: ctx.step.run(...), ...}')
    if _current.get() is not None:
        raise NonRetriableError("an experiment can't be within a variant of another one")


def decide(name: str, names: list[str], select: Selection, info: StepInfo) -> dict[str, str]:
    """Choose a variant, and note on the step what was chosen among what; the result is stored."""
    chosen = select.choose(names)
    values: dict[str, Any] = {
        "name": name,
        "variant": chosen,
        "selection_strategy": select.strategy,
        "available_variants": names,
    }
    if select.weights is not None:
        values["variant_weights"] = dict(select.weights)
    info.metadata = [{"kind": EXPERIMENT, "scope": "step", "op": "merge", "values": values}]
    return {"variant": chosen, "strategy": select.strategy}


@dataclasses.dataclass
class _Variant:
    opts: dict[str, str]
    values: dict[str, str]
    has_step: bool = False


_current: contextvars.ContextVar[_Variant | None] = contextvars.ContextVar("holdfast_variant", default=None)


@contextlib.contextmanager
def running(name: str, chosen: Mapping[str, str], variants: Mapping[str, object]) -> Generator[str]:
    """Tell with each step within that it belongs to a variant. Without a step, its code would run in each call."""
    variant = chosen["variant"]
    if variant not in variants:
        raise NonRetriableError(f"this run has the variant {variant!r}, which is gone; there are {sorted(variants)}")
    strategy = chosen["strategy"]
    within = _Variant(
        {"experimentName": name, "variant": variant, "selectionStrategy": strategy},
        {"name": name, "variant": variant, "selection_strategy": strategy},
    )
    token = _current.set(within)
    try:
        yield variant
    finally:
        _current.reset(token)
    if not within.has_step:
        raise NonRetriableError(f"the variant {variant!r} must take a step: code outside of steps runs in each call")


def attribute(info: StepInfo) -> StepInfo:
    """Note on a step the variant that it belongs to, if it does: in its options and its metadata."""
    within = _current.get()
    if within is not None:
        within.has_step = True
        info.opts = {**(info.opts or {}), **within.opts}
        info.metadata = [{"kind": EXPERIMENT, "scope": "step", "op": "merge", "values": within.values}]
    return info


def _at(position: float, weights: Mapping[str, float]) -> str:
    """Return the variant whose share of the unit interval, in the order of names, holds a position."""
    total, upto = sum(weights.values()), 0.0
    for name in sorted(weights):
        upto += weights[name] / total
        if position < upto:
            return name
    return max(weights)


def _checked(weights: Mapping[str, float]) -> dict[str, float]:
    kept = dict(weights)
    if any(isinstance(each, bool) or not math.isfinite(each) or each < 0 for each in kept.values()):
        raise ValueError(f"weights are finite numbers from 0 on, not {kept}")
    if not sum(kept.values()) > 0:
        raise ValueError("one of the weights must be greater than 0")
    return kept


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is a text, not {value!r}")
