"""Renew the table of what models cost from LiteLLM's package: `pip download --no-deps litellm`, then give its wheel.

LiteLLM publishes its price data with its code, under the MIT licence, whose notice goes into the table.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "src/holdfast/server/api/traces/prices.json"
DATA = "litellm/model_prices_and_context_window_backup.json"
SAMPLE = "sample_spec"


def main(wheel: Path) -> None:
    """Write the table: the prices of a token that is asked and of one that is answered, in US dollars, by model."""
    with zipfile.ZipFile(wheel) as package:
        models: dict[str, dict[str, Any]] = json.loads(package.read(DATA))
        licence = next(name for name in package.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        notice = package.read(licence).decode()
    prices = {name: _price(model) for name, model in sorted(models.items()) if name != SAMPLE and _is_priced(model)}
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(price, separators=(',', ':'))}" for name, price in prices.items()
    )
    head = json.dumps({"source": f"{DATA} of {wheel.name}", "license": notice})[:-1]
    TABLE.write_text(f'{head},\n"prices":{{\n{lines}\n}}}}\n', encoding="utf-8")
    print(f"{len(prices)} models")


def _is_priced(model: dict[str, Any]) -> bool:
    return all(isinstance(price, int | float) for price in _price(model))


def _price(model: dict[str, Any]) -> tuple[Any, Any]:
    return model.get("input_cost_per_token"), model.get("output_cost_per_token")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
