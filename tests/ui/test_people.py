"""Journeys of people: the first start, login and roles, a connection that is lost."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.api.serving import Served, environment, free_port

from .conftest import ROOT, Stage, synced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(240)

KEY = "signkey-test-" + "ab" * 32
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that wants a login, with a user of each role."""
    folder = tmp_path_factory.mktemp("guarded")
    options = ["--signing-key", KEY, "--event-key", "abcd1234abcd", "--connect-gateway-port", str(free_port())]
    with Served(folder, *options, mode="start") as server:
        for role in ("viewer", "operator", "admin"):
            command = [sys.executable, "-m", "holdfast.server.cli", "users", "add", role, "--role", role]
            subprocess.run(
                [*command, "--url", server.url, "--token", KEY, "--password-stdin"],
                input=PASSWORD.encode(), check=True, env=environment(), timeout=60,
            )  # fmt: skip
        yield server.url


def log_in(page: Page, url: str, name: str, password: str = PASSWORD) -> None:
    page.goto(f"{url}/apps")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_each_role_sees_what_it_may_do(browser: Browser, guarded: str, role: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    log_in(page, guarded, role, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    log_in(page, guarded, role)
    expect(page).to_have_url(f"{guarded}/apps")  # where the way led before the login
    page.goto(f"{guarded}/events")
    send = page.get_by_role("button", name="Send event")
    if role == "viewer":
        expect(send).to_have_attribute("aria-disabled", "true")
        expect(send).to_have_attribute("title", "This needs the role operator; you are viewer")
    else:
        expect(send).not_to_have_attribute("aria-disabled", "true")
    page.goto(f"{guarded}/sources")
    if role == "admin":
        expect(page.get_by_role("heading", name="There are no webhooks")).to_be_visible()
    else:
        expect(page.get_by_text("admin").first).to_be_visible()
        expect(page.get_by_role("button", name="Create a webhook")).to_have_count(0)
    page.get_by_role("button", name=f"Account of {role}").click()
    page.get_by_role("menuitem", name="Log out").click()
    expect(page).to_have_url(re.compile("/login"))
    context.close()


def test_the_first_start(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    port = free_port()
    with Served(tmp_path) as server:
        page.goto(f"{server.url}/apps")
        expect(page.get_by_role("heading", name="Connect your first app")).to_be_visible()
        page.get_by_role("tab", name="TypeScript").click()
        expect(page.get_by_role("tabpanel")).to_contain_text("inngest")
        app = subprocess.Popen(
            [sys.executable, "-m", "tests.ui.showcase", server.url, str(port)], cwd=ROOT, env=environment()
        )
        try:
            synced(f"http://127.0.0.1:{port}/api/inngest")
            expect(page.get_by_role("heading", name="Connect your first app")).to_have_count(0)  # by itself
            expect(page.get_by_text("shop").first).to_be_visible()
        finally:
            app.terminate()
            app.wait(10)
    page.context.close()


def test_a_lost_connection_is_shown_and_heals(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_context().new_page()
    server = Served(tmp_path)
    server.start()
    try:
        page.goto(f"{server.url}/events")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        server.stop()
        expect(page.get_by_role("alert")).to_contain_text("Connection lost")
        server.start()
        expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=30_000)
        Stage(server.url).send("shop/after.the.loss")
        expect(page.get_by_role("table", name="Events")).to_contain_text("shop/after.the.loss")
    finally:
        server.stop()
        page.context.close()
