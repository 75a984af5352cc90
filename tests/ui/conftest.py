"""A real server, a real app of the official SDK, and Chromium: `page` is a fresh tab of it.

Chromium is the machine's own; without one the journeys are skipped, and CI refuses that.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.serving import Served, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT_S = 60.0
#: How long a page may take to show something on a machine that does much else.
PATIENCE_MS = 30_000


class Stage:
    """A server with the showcase app, which has synced."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, name: str, **data: object) -> str:
        """Send an event; returns its id."""
        return str(self.post("/e/journey", {"name": name, "data": data})["ids"][0])

    def post(self, path: str, body: object, more: dict[str, str] | None = None) -> Any:
        headers = {"content-type": "application/json", **(more or {})}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def run_of(self, event_id: str, *, status: str = "") -> str:
        """The run that an event started, once it has this status."""
        found: list[dict[str, Any]] = []
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            found = self.get(f"/v1/events/{event_id}/runs")["data"]
            if found and (not status or found[0]["status"] == status):
                return str(found[0]["run_id"])
            time.sleep(0.1)
        raise AssertionError(f"no run of {event_id} is {status or 'there'}: {found}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("journeys need Chromium; on Debian: apt-get install chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all journeys. Those that begin with an empty server, or fill it, have one of their own."""
    with staged(tmp_path_factory.mktemp("ui")) as stage:
        yield stage


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A server with its data in a folder, and the showcase app, which has synced."""
    port = free_port()
    with Served(folder) as server:
        command = [sys.executable, "-m", "tests.ui.showcase", server.url, str(port)]
        app = subprocess.Popen(command, cwd=ROOT, env=environment())
        try:
            synced(f"http://127.0.0.1:{port}/api/inngest")
            yield Stage(server.url)
        finally:
            app.terminate()
            app.wait(10)


def synced(address: str) -> None:
    """Have the app register; it may still be starting."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, b"", method="PUT"), timeout=10) as answer:
                answer.read()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    """A tab in which every error of the page fails the test."""
    context = browser.new_context(base_url=stage.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # What the server refuses is shown by the page; the browser tells of it besides.
    page.on(
        "console",
        lambda message: (
            errors.append(message.text) if message.type == "error" and " 400 " not in message.text else None
        ),
    )
    yield page
    context.close()
    assert errors == []
