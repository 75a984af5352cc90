"""What people do with the UI, in a real browser against a real server and a real app."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from .conftest import Stage

pytestmark = pytest.mark.timeout(240)


def rows(page: Page, name: str) -> object:
    return page.get_by_role("table", name=name)


def test_an_event_is_sent_and_its_run_is_watched(page: Page, stage: Stage) -> None:
    page.goto("/events?send=new")
    dialog = page.get_by_role("dialog", name="Send an event")
    dialog.get_by_label("Name").fill("shop/order.placed")
    dialog.get_by_role("button", name="Send", exact=True).click()
    started = dialog.get_by_role("link", name=re.compile("Fulfil order"))
    expect(started).to_contain_text("Completed", timeout=60_000)  # pushed, while the dialog is open
    started.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fulfil order")
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline.get_by_role("button", name="charge card")).to_be_visible()


def test_a_run_appears_in_an_open_list_by_itself(page: Page, stage: Stage) -> None:
    page.goto("/runs?function=shop-export-orders")
    expect(page.get_by_text("No run fits this filter").or_(page.get_by_role("table", name="Runs"))).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    run_id = stage.run_of(stage.send("shop/export.wanted"))
    row = page.locator(f'[data-key="{run_id}"]')
    expect(row).to_contain_text("Completed", timeout=60_000)


def test_why_a_run_failed_is_found_from_the_list(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/card.charge", order=7), status="Failed")
    page.goto("/runs?status=FAILED")
    row = page.locator(f'[data-key="{run_id}"]')
    expect(row).to_contain_text("card 4242 was declined")
    row.get_by_role("link").first.click()
    error = page.get_by_role("region", name="Error")
    expect(error).to_contain_text("PaymentDeclinedError")
    expect(error).to_contain_text("ask the customer for another card")
    expect(error).to_contain_text("in decline")


def test_attempts_of_a_step_that_recovered(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/stock.changed"), status="Completed")
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name=re.compile("ask warehouse")).click()
    panel = page.get_by_role("complementary", name="Step ask warehouse")
    expect(panel).to_contain_text("3 attempts")
    expect(panel).to_contain_text("Recovered")
    expect(page).to_have_url(re.compile("step="))
    panel.get_by_role("group", name="Attempts").get_by_role("button", name="1", exact=True).click()
    expect(panel).to_contain_text("warehouse answers 503")
    page.reload()  # step and attempt are in the address
    expect(page.get_by_role("complementary", name="Step ask warehouse")).to_contain_text("warehouse answers 503")


def test_a_run_that_sleeps_says_why_and_is_cancelled(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/cart.left"), status="Running")
    page.goto(f"/runs/{run_id}")
    why = page.get_by_role("region", name="Why is this run not running?")
    expect(why).to_contain_text("three days sleeps until", timeout=60_000)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("header").get_by_text("Cancelled")).to_be_visible()
    expect(why).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_attribute("aria-disabled", "true")


def test_a_rerun_opens_the_new_run(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/order.placed", order=3), status="Completed")
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="Rerun", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Rerun", exact=True).click()
    expect(page).not_to_have_url(re.compile(run_id))
    expect(page.get_by_role("heading", level=1)).to_have_text("Fulfil order")


def test_a_rerun_from_a_step_keeps_what_was_before_it(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/order.placed", order=4), status="Completed")
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="charge card").click()
    page.get_by_role("button", name="Rerun from here").click()
    dialog = page.get_by_role("dialog", name=re.compile("Rerun from"))
    dialog.get_by_role("button", name="Rerun from here").click()
    expect(page).not_to_have_url(re.compile(run_id))
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline.get_by_role("button", name="charge card")).to_be_visible()
    expect(timeline.get_by_role("button", name="load order")).to_have_count(0)


def test_an_event_is_edited_and_sent_again(page: Page, stage: Stage) -> None:
    event_id = stage.send("shop/stock.changed", sku="A-1")
    page.goto(f"/events/{event_id}")
    page.get_by_role("button", name="Edit and send again").click()
    dialog = page.get_by_role("dialog", name="Edit and send again")
    dialog.get_by_role("textbox", name="Data").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"sku": ')
    expect(dialog.get_by_role("alert")).to_contain_text("no JSON")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"sku": "B-2"}')
    page.keyboard.press("ControlOrMeta+Enter")
    dialog.get_by_role("link", name="Open the event").click()
    expect(page).not_to_have_url(re.compile(event_id))
    expect(page.get_by_role("region", name="Event").first).to_contain_text("B-2")


def test_what_is_typed_before_the_editor_is_there_stays(page: Page, stage: Stage) -> None:
    held: list[Route] = []
    page.route("**/assets/CodeEditor-*.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    with page.expect_request("**/assets/CodeEditor-*.js"):
        page.goto("/events?send=new")
    field = page.get_by_role("textbox", name="Data")
    field.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"order": ')
    held[0].continue_()
    expect(field).to_have_class(re.compile("cm-content"))
    page.keyboard.type("12}")
    expect(field).to_have_text('{"order": 12}')


def test_filters_live_in_the_address(page: Page, stage: Stage) -> None:
    stage.run_of(stage.send("shop/broken"), status="Failed")
    page.goto("/runs")
    page.get_by_role("button", name=re.compile("^Status")).click()
    page.get_by_role("menuitemcheckbox", name="Failed").click()
    expect(page).to_have_url(re.compile("status=FAILED"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("table", name="Runs").get_by_text("Completed")).to_have_count(0)
    page.goto("/runs?function=no-such-function")
    expect(page.get_by_role("status")).to_contain_text("no-such-function")


def test_everything_by_keyboard(page: Page, stage: Stage) -> None:
    stage.run_of(stage.send("shop/reviews.collected"), status="Completed")
    page.goto("/events")
    expect(page.get_by_role("table", name="Events")).to_contain_text("shop/reviews.collected")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/runs/01"))
    page.keyboard.press("ControlOrMeta+k")
    page.get_by_role("combobox", name="Search").fill("summarise")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Summarise reviews")


def test_a_function_is_paused_resumed_and_invoked(page: Page, stage: Stage) -> None:
    page.goto("/functions/shop-send-receipt")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused, new runs wait")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Paused, new runs wait")).to_have_count(0)
    page.get_by_role("button", name="Invoke").click()
    dialog = page.get_by_role("dialog", name="Invoke Send receipt")
    dialog.get_by_role("button", name="Invoke", exact=True).click()
    expect(dialog.get_by_role("link", name=re.compile("Completed"))).to_be_visible(timeout=60_000)


def test_the_queue_of_a_function_is_seen_live(page: Page, stage: Stage) -> None:
    page.goto("/functions/shop-render-video")
    queue = page.get_by_role("region", name="Queue")
    expect(queue).to_contain_text("Nothing runs or waits right now")
    runs = [stage.run_of(stage.send("shop/video.uploaded", customer="umbrella", seconds=6)) for _ in range(3)]
    expect(queue).to_contain_text("2 waiting for a concurrency key")
    expect(queue).to_contain_text("steps, event.data.customer = umbrella")
    expect(queue).to_contain_text("1 of 1 held")
    expect(queue.get_by_role("link", name=re.compile(runs[0][-8:]))).to_be_visible()
    for run_id in runs:
        stage.post("/v0/gql", {"query": f'mutation {{ cancelRun(runID: "{run_id}") {{ id }} }}'})
    expect(queue).to_contain_text("Nothing runs or waits right now")


def test_what_flow_control_gathers_is_seen(page: Page, stage: Stage) -> None:
    page.goto("/functions/shop-index-documents")
    queue = page.get_by_role("region", name="Queue")
    for _ in range(3):
        stage.send("shop/document.changed", shelf="north")
    expect(queue).to_contain_text("Batches filling, for each event.data.shelf")
    expect(queue).to_contain_text("3 of 10 events")
    stage.send("shop/profile.edited", customer="umbrella")
    page.goto("/functions/shop-refresh-profile")
    expect(queue).to_contain_text("umbrella")
    stage.send("shop/customer.seen", customer="umbrella")
    page.goto("/functions/shop-welcome")
    expect(queue).to_contain_text("drops events; takes the next in 9 m")


def test_one_field_finds_text_and_expressions(page: Page, stage: Stage) -> None:
    run_id = stage.run_of(stage.send("shop/card.charge", order=4711, note="Gebühr"), status="Failed")
    page.goto("/runs")
    field = page.get_by_role("searchbox", name="Search runs")
    row = page.locator(f'[data-key="{run_id}"]')
    for text in ("declined insufficient", "gebühr", run_id, "event.data.order == 4711", "Charge card"):
        field.fill(text)
        field.press("Enter")
        expect(page).to_have_url(re.compile("q="))
        expect(row).to_be_visible()
    field.fill("no such text anywhere")
    field.press("Enter")
    expect(page.get_by_role("heading", name="No run fits this filter")).to_be_visible()
    page.goto("/events?q=4711")
    expect(page.get_by_role("table", name="Events")).to_contain_text("shop/card.charge")
    page.keyboard.press("ControlOrMeta+k")
    page.get_by_role("combobox", name="Search").fill("declined 4711")
    page.get_by_role(
        "option", name=re.compile("Charge card, failed PaymentDeclinedError|Charge card, failed .*declined")
    ).first.click()
    expect(page).to_have_url(re.compile("/runs/01"))


def test_what_is_unknown_says_what_to_do(page: Page, stage: Stage) -> None:
    page.goto("/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV")
    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
    page.goto("/runs/nonsense")
    expect(page.get_by_role("heading", name="This is no id of a run")).to_be_visible()
    page.goto("/no/such/page")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="Go to the runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()


def test_chosen_runs_are_rerun_together(page: Page, stage: Stage) -> None:
    for _ in range(2):
        stage.run_of(stage.send("shop/broken"), status="Failed")
    page.goto("/runs?function=shop-broken&status=FAILED")
    boxes = page.get_by_role("checkbox")
    expect(boxes.nth(1)).to_be_visible()
    boxes.nth(0).check()
    boxes.nth(1).check()
    bar = page.get_by_role("region", name="Chosen runs")
    bar.get_by_role("button", name="Rerun").click()
    bar.get_by_role("button", name="Rerun them").click()
    expect(page.get_by_text("2 runs started again")).to_be_visible()
