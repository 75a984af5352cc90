"""What calls to models cost by their providers' price lists: an estimate, made when a trace is read.

The table is LiteLLM's public price data, cut down to what is needed (`scripts/renew_prices.py`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COST: Final = "estimated_cost"
COST_DIGITS: Final = 6


class Price(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """US dollars for each token of what is asked and of what is answered."""

    input: float
    output: float


class _Table(msgspec.Struct):
    prices: dict[str, Price]


def priced(values: dict[str, object]) -> dict[str, object]:
    """Return the values of a call to a model with `estimated_cost` in US dollars; one that was given stays."""
    tokens = [_tokens(values.get(name)) for name in ("input_tokens", "output_tokens")]
    if values.get(COST) is not None or tokens == [None, None]:
        return values
    price = price_of(_text(values, "response_model"), _text(values, "request_model"))
    if price is None:
        return values
    given, made = (count or 0 for count in tokens)
    return {**values, COST: round(given * price.input + made * price.output, COST_DIGITS)}


def price_of(response_model: str, request_model: str) -> Price | None:
    """Return the price of the first name that is in the table: as it is, then without segments at its end.

    A date or a version at the end, `-2024-08-06`, often is not in the table.
    """
    table = _table()
    models = [model for model in (response_model, request_model) if model]
    names = [*models, *(name for model in models for name in _shortened(model))]
    return next((table[name] for name in names if name in table), None)


def _shortened(model: str) -> Iterator[str]:
    while "-" in model:
        model = model.rpartition("-")[0]
        yield model


@cache
def _table() -> dict[str, Price]:
    """Read the table once, when the first call to a model is shown."""
    text = files("holdfast.server.api.traces").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(text, type=_Table).prices


def _tokens(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
