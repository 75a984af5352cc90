"""The Python snippets of docs/how-to/flow-control: the official SDK takes them, and so does a sync."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast.protocol.functions import check_function, decode_registration
from holdfast.server.expressions import check

inngest = pytest.importorskip("inngest")

PAGES = Path(__file__).parents[2] / "docs" / "how-to" / "flow-control"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What each page is about, as the registration names it.
ABOUT = {
    "batching": {"batchEvents"}, "cancellation": {"cancel"}, "concurrency": {"concurrency"}, "cron": set(),
    "debounce": {"debounce"}, "priority": {"priority", "concurrency"}, "rate-limit": {"rateLimit", "idempotency"},
    "singleton": {"singleton"}, "throttle": {"throttle"}, "timeouts": {"timeouts", "concurrency"},
}  # fmt: skip
BASICS = {"id", "name", "steps", "triggers"}


def configs(page: str) -> list[dict[str, Any]]:
    """The registrations of a page's functions."""
    client = inngest.Inngest(app_id="shop", is_production=False)
    names: dict[str, Any] = {"client": client, "inngest": inngest, "datetime": dt}
    for block in BLOCK.findall((PAGES / f"{page}.md").read_text()):
        exec(block, names)
    made = [value for value in names.values() if isinstance(value, inngest.Function)]
    return [function.get_config("http://app/api/inngest").main.to_dict() for function in made]


@pytest.mark.parametrize("page", sorted(ABOUT))
def test_the_snippets_of_a_page(page: str) -> None:
    registered = configs(page)
    assert registered
    used = {key for config in registered for key, value in config.items() if value is not None}
    assert used - BASICS == ABOUT[page]
    functions = decode_registration(json.dumps({"functions": registered}).encode()).functions
    assert [problem for function in functions for problem in check_function(function, check)] == []


def test_every_page_has_a_picture_and_is_listed() -> None:
    listed = (PAGES / "README.md").read_text()
    for page in PAGES.glob("*.md"):
        if page.name != "README.md":
            assert f"({page.name})" in listed, page.name
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (PAGES / link).exists(), f"{page.name}: {link}"
    for page in ABOUT:
        assert f"](img/{page}.svg)" in (PAGES / f"{page}.md").read_text(), page
