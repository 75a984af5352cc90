"""Every screen in both themes against axe's rules for WCAG 2.2 AA, and what is reached by keyboard alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, Stage, staged
from .screenshots import fill, places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(600)

AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
FITS = "document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth"
#: States of a run that look as others do to axe.
SAME = ("run-recovered", "run-retried", "run-waiting", "run-backing-off", "run-throttled")
RUN = """async rules => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]})).violations
  .flatMap(found => found.nodes.map(node => `${found.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`))"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server of its own that has run the sample events: every state that a run can be in."""
    with staged(tmp_path_factory.mktemp("accessibility")) as stage:
        fill(stage)
        yield stage


def problems(page: Page, rules: list[str] = RULES) -> list[str]:
    """What axe finds on a page."""
    page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(RUN, rules)
    return found


def fitting(page: Page) -> bool:
    """Whether the screen is as wide as the window, once it has drawn itself anew."""
    for _ in range(50):  # the page's policy forbids what `wait_for_function` polls with
        if page.evaluate(FITS):
            return True
        page.wait_for_timeout(100)
    return False


def test_every_screen_is_clean_in_both_themes_and_fits_a_telephone(browser: Browser, stage: Stage) -> None:
    """One load for each screen: axe in the light, its contrasts in the dark, and then the width of a telephone."""
    context = browser.new_context(
        base_url=stage.url, viewport={"width": 1440, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    found: dict[str, object] = {}
    for name, place in places(stage).items():
        if name in SAME:
            continue
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(place)
        page.wait_for_load_state("networkidle")
        light = problems(page)
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        dark = problems(page, ["color-contrast"])
        page.set_viewport_size({"width": 390, "height": 844})
        fits = fitting(page)
        if light or dark or not fits:
            found[name] = (light, dark, fits)
    context.close()
    assert found == {}


def test_dialogs_and_menus_are_clean(page: Page, stage: Stage) -> None:
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


def test_what_is_pressed_is_reached_by_the_tab_key(page: Page, stage: Stage) -> None:
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
