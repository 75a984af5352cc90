"""Every screen in both themes against axe's rules for WCAG 2.2 AA, and what is reached by keyboard alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, Stage
from .screenshots import fill, places

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(600)

AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN = """async rules => (await axe.run(document, {runOnly: rules})).violations
  .flatMap(found => found.nodes.map(node => `${found.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`))"""


@pytest.fixture(scope="module")
def filled(stage: Stage) -> Stage:
    """The server once it has run the sample events: every state that a run can be in."""
    fill(stage)
    return stage


#: One screen of each kind: states of a run look the same to axe.
SKIPPED = (
    "run-recovered",
    "run-retried",
    "run-waiting",
    "run-backing-off",
    "run-throttled",
    "run-50",
    "run-200",
    "run-1-mb",
)


def problems(page: Page) -> list[str]:
    """What axe finds on a page, once it has come to rest."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(150)
    page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(RUN, RULES)
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_is_clean(browser: Browser, filled: Stage, theme: Any) -> None:
    context = browser.new_context(
        base_url=filled.url, viewport={"width": 1440, "height": 900}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    found: dict[str, list[str]] = {}
    for name, place in places(filled).items():
        if name.startswith(SKIPPED):
            continue
        page.goto(place)
        if bad := problems(page):
            found[name] = bad
    context.close()
    assert found == {}


def test_dialogs_and_menus_are_clean(page: Page, filled: Stage) -> None:
    page.goto("/runs")
    page.get_by_role("button", name=re.compile("^Status")).click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("ControlOrMeta+k")
    page.get_by_role("combobox", name="Search").fill("order")
    expect(page.get_by_role("option").nth(2)).to_be_visible()
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    assert problems(page) == []
    page.goto("/functions/shop-send-receipt?invoke=yes")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert problems(page) == []


def test_no_screen_scrolls_sideways_on_a_telephone(browser: Browser, filled: Stage) -> None:
    context = browser.new_context(base_url=filled.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    wide: dict[str, int] = {}
    for name, place in places(filled).items():
        page.goto(place)
        page.wait_for_load_state("networkidle")
        over = page.evaluate("document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth")
        if over > 0:
            wide[name] = over
    context.close()
    assert wide == {}


def test_what_is_pressed_is_reached_by_the_tab_key(page: Page, filled: Stage) -> None:
    page.goto("/runs")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    reached: set[str] = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")
        )
    text = " | ".join(reached)
    for wanted in ("Events", "Metrics", "Webhooks", "Search runs", "Status", "Function", "Run 01"):
        assert wanted in text, text
