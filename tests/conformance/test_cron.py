"""Cron functions at the boundary of a minute (flow-control.md §1.5)."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest

from .harness import wait_until

if TYPE_CHECKING:
    from .fleet import Fleet
    from .harness import App


@pytest.fixture(scope="module", autouse=True)
def every_app(fleet: Fleet) -> None:
    """Start them all, so that they share one minute of waiting."""
    kinds = ["fastapi", "flask", *(["js", "js-plain"] if shutil.which("node") else [])]
    for kind in kinds:
        fleet.app(kind)


@pytest.mark.slow
def test_every_minute(app: App) -> None:
    wait_until(lambda: app.noted("cron"), timeout=65, message="a run each minute")
    item = app.noted("cron")[-1]
    event = item["value"]
    tick = dt.datetime.fromtimestamp(round(item["at"] / 60) * 60, dt.UTC)
    assert event["name"] == "inngest/scheduled.timer"
    assert event["id"] == tick.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert event["data"]["cron"] == "* * * * *"
    assert abs(item["at"] - tick.timestamp()) < 1
    run = app.platform.wait_run(item["run"])
    assert run.raw["cronSchedule"] == "* * * * *"
    same_minute = [other for other in app.noted("cron") if other["value"]["id"] == event["id"]]
    assert len(same_minute) == 1
