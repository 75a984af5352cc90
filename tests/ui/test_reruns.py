"""Journeys of runs that are run again, many at once included, and of two runs side by side."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.api.serving import environment, free_port

from .conftest import ROOT, synced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from .conftest import Stage

pytestmark = pytest.mark.timeout(240)


def rerun_from(page: Page, step: str) -> Locator:
    """Open the dialog of a rerun from a step of the run that is shown."""
    page.get_by_role("region", name="Timeline").get_by_role("button", name=re.compile(f"^{step}")).click()
    page.get_by_role("button", name="Rerun from here").click()
    return page.get_by_role("dialog", name=re.compile(f"Rerun from .{step}"))


def write(page: Page, editor: Locator, text: str) -> None:
    """Put a text in place of an editor's, once the editor is there in place of a plain field."""
    expect(editor).to_have_class(re.compile("cm-content"))
    editor.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)


def test_a_rerun_with_an_edited_output_is_compared_with_the_original(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/order.placed", order=5), status="Completed")
    page.goto(f"/runs/{run_id}")
    dialog = rerun_from(page, "charge card")
    dialog.get_by_role("tab", name="Keep it, with another output").click()
    expect(dialog).to_contain_text("load order")
    expect(dialog).to_contain_text("charge card (with the output below)")
    write(page, dialog.get_by_role("textbox", name="Output of the step"), '{"charge": ')
    expect(dialog.get_by_role("alert")).to_contain_text("no JSON")
    write(page, dialog.get_by_role("textbox", name="Output of the step"), '{"charge": "by hand"}')
    dialog.get_by_role("button", name="Rerun after it").click()
    expect(page).not_to_have_url(re.compile(run_id))
    expect(page.locator("header").get_by_text("Completed")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="Compare with the original").click()
    steps = page.get_by_role("table", name="Steps of both runs")
    edited = steps.get_by_role("row", name=re.compile("charge card"))
    expect(edited).to_contain_text("edited")
    expect(steps.get_by_role("row", name=re.compile("load order"))).to_contain_text("kept")
    edited.get_by_role("button", name="charge card").click()
    expect(steps.get_by_role("cell", name="Output on the left")).to_contain_text("ch_3Pq")
    expect(steps.get_by_role("cell", name="Output on the right")).to_contain_text("by hand")
    page.reload()  # what is open is in the address
    expect(steps.get_by_role("cell", name="Output on the right")).to_contain_text("by hand")
    page.get_by_role("checkbox", name="Differences only").check()
    expect(steps.get_by_role("row", name=re.compile("load order"))).to_have_count(0)


def test_a_step_that_can_get_no_other_input_says_why(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/order.placed", order=6), status="Completed")
    page.goto(f"/runs/{run_id}?step=charge card")  # a step's name is a link to it, too
    page.get_by_role("button", name="Rerun from here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The Inngest SDK for Python has no way to hand another input to a step")
    expect(dialog.get_by_role("textbox")).to_have_count(0)
    expect(dialog.get_by_role("button", name="Rerun from here")).not_to_have_attribute("aria-disabled", "true")


@pytest.fixture
def greeter(stage: Stage) -> Iterator[None]:
    """An app of our own SDK, whose steps take arguments that are edited."""
    port = free_port()
    command = [sys.executable, "-m", "tests.ui.greeter", stage.url, str(port)]
    app = subprocess.Popen(command, cwd=ROOT, env=environment())
    try:
        synced(f"http://127.0.0.1:{port}/api/inngest")
        yield
    finally:
        app.terminate()
        app.wait(10)


def test_a_rerun_with_an_edited_input(page: Page, stage: Stage, greeter: None) -> None:
    run_id = stage.run_of(stage.send("greeter/guest.came", guest="Ada"), status="Completed")
    page.goto(f"/runs/{run_id}")
    expect(page.get_by_role("complementary")).to_contain_text("Hello, Ada, welcome")
    dialog = rerun_from(page, "greet")
    expect(dialog).to_contain_text("Kept: look up")
    write(page, dialog.get_by_role("textbox", name="Input of the step"), '["Grace"]')
    dialog.get_by_role("button", name="Rerun from here").click()
    expect(page).not_to_have_url(re.compile(run_id))
    expect(page.get_by_role("complementary")).to_contain_text("Hello, Grace, welcome", timeout=60_000)


def test_all_runs_of_a_filter_are_cancelled(page: Page, stage: Stage) -> None:
    count = 53  # more than a page of the list holds
    stage.post("/e/journey", [{"name": "shop/cart.left", "data": {}}] * count)
    page.goto("/runs?function=shop-remind-customer&status=RUNNING,QUEUED")
    expect(page.get_by_role("heading", name="Runs").locator("..")).to_contain_text(str(count), timeout=60_000)
    page.reload()
    page.get_by_role("checkbox").first.check()
    bar = page.get_by_role("region", name="Chosen runs")
    bar.get_by_role("button", name=re.compile("^Choose all 53 ")).click()
    bar.get_by_role("button", name="Cancel", exact=True).click()
    bar.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_text(f"{count} runs cancelled")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("heading", name="No run fits this filter")).to_be_visible()
