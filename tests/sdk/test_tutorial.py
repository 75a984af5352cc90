"""The tutorial's app does what the tutorial says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Runner

PAGE = Path(__file__).parent.parent.parent / "docs" / "tutorial" / "first-function.md"


def test_the_app_of_the_tutorial_runs(server: str, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    expected = re.search(r"Its output is `(.*?)`", text)
    assert code is not None
    assert expected is not None
    shop = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", shop)
    monkeypatch.setenv("INNGEST_BASE_URL", server)
    exec(code[1], vars(shop))
    runner.serve(shop.client, shop.order)
    ended = runner.run(shop.client, "shop/ordered")
    assert ended["status"] == "Completed"
    assert str(ended["output"]).replace("'", '"') == expected[1]
