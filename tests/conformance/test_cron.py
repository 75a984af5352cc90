"""Cron functions at the boundary of a minute (flow-control.md §1.5)."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest

from .harness import wait_until

if TYPE_CHECKING:
    from .fleet import Fleet
    from .harness import App, Json


@pytest.fixture(scope="module", autouse=True)
def every_app(fleet: Fleet) -> None:
    """Start them all, so that they share one minute of waiting."""
    kinds = ["fastapi", "flask", *(["js", "js-plain"] if shutil.which("node") else [])]
    for kind in kinds:
        fleet.app(kind)


def ticks_of(app: App) -> list[Json]:
    """What cron runs of this app noted: two apps may share a process."""
    query = "query($id: String!) { run(runID: $id) { function { slug } } }"
    return [
        item
        for item in app.noted("cron")
        if app.platform.gql(query, id=item["run"])["run"]["function"]["slug"] == app.slug("cron")
    ]


@pytest.mark.slow
def test_every_minute(app: App) -> None:
    wait_until(lambda: ticks_of(app), timeout=65, message="a run each minute")
    item = ticks_of(app)[-1]
    event = item["value"]
    tick = dt.datetime.fromtimestamp(round(item["at"] / 60) * 60, dt.UTC)
    assert event["name"] == "inngest/scheduled.timer"
    assert event["id"] == tick.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert event["data"]["cron"] == "* * * * *"
    assert abs(item["at"] - tick.timestamp()) < 1
    run = app.platform.wait_run(item["run"])
    assert run.raw["cronSchedule"] == "* * * * *"
    same_minute = [other for other in ticks_of(app) if other["value"]["id"] == event["id"]]
    assert len(same_minute) == 1
