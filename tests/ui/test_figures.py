"""Journeys through metrics, sessions, experiments and webhooks."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .conftest import Stage, staged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server of its own: each of these screens is seen empty first."""
    with staged(tmp_path_factory.mktemp("figures")) as stage:
        yield stage


def test_metrics_lead_from_all_functions_to_the_steps_of_one(page: Page, stage: Stage) -> None:
    stage.run_of(stage.send("shop/order.placed", order=1), status="Completed")
    page.goto("/performance?last=15m")
    expect(page.get_by_role("group", name=re.compile("^Throughput: newest runs"))).to_be_visible()
    expect(page.get_by_role("group", name=re.compile("^Queue lag: newest p50"))).to_be_visible()
    expect(page.locator("canvas")).to_have_count(3)
    page.get_by_role("region", name="By function").get_by_role("link", name="Fulfil order").click()
    expect(page).to_have_url(re.compile("function=shop-fulfil-order"))
    steps = page.get_by_role("region", name="By step")
    expect(steps.get_by_role("row", name=re.compile("^charge card"))).to_be_visible()
    page.goto("/performance?function=shop-nothing")
    expect(page.get_by_role("heading", name="There is no such function")).to_be_visible()


def test_a_session_and_its_runs(page: Page, stage: Stage) -> None:
    page.goto("/sessions")
    expect(page.get_by_role("heading", name="No event has named a session")).to_be_visible()
    event = {"name": "shop/question.asked", "data": {}, "meta": {"sessions": {"chat": "c/17"}}}
    run_id = stage.run_of(stage.post("/e/journey", event)["ids"][0], status="Completed")
    page.get_by_role("link", name="Session c/17").click()  # it came by itself
    expect(page.get_by_role("heading", level=1)).to_have_text("c/17")
    page.get_by_role("link", name=re.compile(run_id)).click()
    expect(page).to_have_url(re.compile(f"/runs/{run_id}"))


def test_an_experiment_with_the_scores_of_its_variants(page: Page, stage: Stage) -> None:
    page.goto("/experiments")
    expect(page.get_by_role("heading", name="No experiments yet")).to_be_visible()
    for variant, value in (("small", 1), ("large", 3)):
        run_id = stage.run_of(stage.send("shop/question.asked"), status="Completed")
        score = {"name": "stars", "value": value, "experiment": {"id": "model", "variant": variant}}
        stage.post(f"/v2/runs/{run_id}/scores", [score])
    page.reload()
    page.get_by_role("link", name="Experiment model of Answer question").click()
    table = page.get_by_role("table", name="Variants")
    expect(table.get_by_role("row", name=re.compile("^large 1 50 % 3 "))).to_be_visible()
    expect(table.get_by_role("row", name=re.compile("^small 1 50 % 1 "))).to_be_visible()
    page.get_by_role("link", name="answer-question").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Answer question")


def test_a_webhook_is_created_used_changed_and_deleted(page: Page, stage: Stage) -> None:
    page.goto("/sources")
    page.get_by_role("button", name="Create a webhook").first.click()
    dialog = page.get_by_role("dialog", name="Create a webhook")
    dialog.get_by_label("Name").fill("till")
    dialog.get_by_label("Expression").fill('{"name": ')
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(dialog.get_by_role("alert")).to_be_visible()  # the server says what is wrong with it
    dialog.get_by_label("Expression").fill('{"name": "shop/nobody.listens", "data": body}')
    dialog.get_by_role("button", name="Create", exact=True).click()
    row = page.get_by_role("table", name="Webhooks").get_by_role("row", name=re.compile("^till"))
    row.get_by_role("button", name="Show the URL of till").click()
    url = row.locator("code").first.inner_text()
    request = urllib.request.Request(url, b'{"n": 1}', {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    row.get_by_role("button", name="Edit").click()
    page.get_by_role("dialog", name="Edit till").get_by_label("Name").fill("checkout")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=re.compile("^checkout"))
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete checkout?").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="There are no webhooks")).to_be_visible()
