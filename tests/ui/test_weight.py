"""What a page costs, by what no machine changes: bytes, files, requests, rows. For times: `benchmarks/ui.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.api.serving import Served

import holdfast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from .conftest import Stage

pytestmark = pytest.mark.timeout(120)

ASSETS = Path(holdfast.__file__).parent / "_ui" / "assets"


def test_the_first_page_is_light_and_asks_for_no_file_late(page: Page, stage: Stage) -> None:
    """JS and CSS within 100 KB gzipped; the page itself names every file that its first rows need."""
    stage.run_of(stage.send("shop/page.viewed"), status="Completed")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto("/runs")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert answer is not None
    files = {url.rpartition("/assets/")[2] for url in asked if "/assets/" in url}
    named = set(re.findall(r"/assets/([\w.-]+)", answer.text()))
    code = {name for name in files if name.endswith((".js", ".css"))}
    assert code
    assert code <= named
    assert sum((ASSETS / f"{name}.gz").stat().st_size for name in code) <= 100_000
    assert len(code) <= 12


def test_rows_are_asked_for_once_and_before_all_else(page: Page, stage: Stage) -> None:
    """The first question to the server is that for the rows; it is not asked twice for one list."""
    stage.run_of(stage.send("shop/page.viewed"), status="Completed")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if request.url.endswith("/gql") else None)
    page.goto("/runs")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    assert "query Runs(" in asked[0]
    page.wait_for_load_state("networkidle")
    # Once before the page follows what changes, and once after, for what it may have missed.
    assert sum("query Runs(" in text for text in asked) <= 2


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server on which nothing happens."""
    with Served(tmp_path_factory.mktemp("idle")) as server:
        yield server.url


@pytest.mark.parametrize("path", ["/runs", "/functions", "/events"])
def test_a_minute_in_which_nothing_happens_costs_no_request(browser: Browser, idle: str, path: str) -> None:
    context = browser.new_context(base_url=idle)
    page = context.new_page()
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    for _ in range(10):  # until what the page asks for when it opens has been asked
        before = len(asked)
        page.wait_for_timeout(300)
        page.clock.run_for(2_000)
        if len(asked) == before:
            break
    asked.clear()
    page.clock.run_for(60_000)
    page.evaluate("fetch('/health')")  # what was asked before is seen when this is
    context.close()
    assert [url for url in asked if not url.endswith("/health")] == []


def test_a_long_list_is_drawn_only_where_it_is_seen(page: Page, stage: Stage) -> None:
    sent = stage.post("/e/journey", [{"name": "shop/page.viewed", "data": {}}] * 300)["ids"]
    for event_id in sent[::50]:
        stage.run_of(event_id, status="Completed")
    page.goto("/runs?function=shop-count-view")
    table = page.get_by_role("table", name="Runs")
    expect(table.locator("[data-key]").nth(20)).to_be_visible()
    first = table.locator("[data-key]").first.get_attribute("data-key")
    for _ in range(8):
        table.evaluate("it => it.scrollTo(0, it.scrollHeight)")
        expect(table.locator("[data-key]").last).to_be_visible()
    expect(table).to_have_attribute("aria-rowcount", re.compile(r"2[0-9][1-9]|2[1-9]0|3\d\d"))
    assert table.locator("[data-key]").count() < 60
    assert table.locator("[data-key]").first.get_attribute("data-key") != first
