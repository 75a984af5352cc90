"""Sleeps and waits for events (execution.md §4.3, §4.7)."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .harness import App


def start_waiting(app: App, data: dict[str, object]) -> str:
    run_id = app.start("wait", data)
    app.platform.wait_span(run_id, "answer")
    return run_id


def test_sleep(app: App) -> None:
    run = app.finish("sleep")
    assert run.output == "awake"
    before, after = (item["at"] for item in app.report(run.id)["ran"])
    assert 0.4 <= after - before <= 2.5
    assert app.ran(run.id) == [("before", 0), ("after", 0)]


def test_a_sleeping_run_is_running(app: App) -> None:
    run_id = app.start("sleep", {"ms": 3000})
    app.platform.wait_span(run_id, "nap")
    run = app.platform.run(run_id)
    assert run
    assert (run.status, run.output, run.raw["endedAt"]) == ("RUNNING", None, None)
    assert app.platform.http.delete(f"/v1/runs/{run_id}").status_code == 200


@pytest.mark.parametrize(("seconds", "least", "most"), [(2, 1.9, 4), (0.4, 0.3, 2), (-3600, 0, 1)])
def test_sleep_until(app: App, seconds: float, least: float, most: float) -> None:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    started = time.time()
    run = app.finish("sleep-until", {"until": until.isoformat(timespec="milliseconds")})
    assert run.output == "awake"
    assert least <= time.time() - started <= most
    assert time.time() >= until.timestamp() - 0.001  # the text has whole milliseconds


def test_the_matching_event_ends_the_wait(app: App) -> None:
    run_id = start_waiting(app, {"id": 7})
    app.send("answer", {"id": 8, "text": "not mine"})
    app.send("answer", {"id": 7, "text": "yes"})
    run = app.platform.wait_run(run_id)
    assert run.output == {"name": app.event("answer"), "data": {"id": 7, "text": "yes"}}
    step = app.platform.step_output(run_id, "answer")
    assert (step["name"], step["data"]["text"]) == (app.event("answer"), "yes")


def test_one_event_ends_many_waits(app: App) -> None:
    ids = app.platform.send_many([{"name": app.event("wait"), "data": {"id": "many"}} for _ in range(5)])
    runs = [app.platform.runs_of(event)[0] for event in ids]
    for run_id in runs:
        app.platform.wait_span(run_id, "answer")
    app.send("answer", {"id": "many"})
    assert all(app.platform.wait_run(run_id).output["data"] == {"id": "many"} for run_id in runs)


def test_an_event_before_the_wait_is_missed(any_app: App) -> None:
    any_app.send("answer", {"id": "early"})
    run_id = start_waiting(any_app, {"id": "early"})
    time.sleep(0.2)
    any_app.platform.wait_span(run_id, "answer")
    any_app.send("answer", {"id": "early"})
    any_app.platform.wait_run(run_id)


def test_wait_timeout(app: App) -> None:
    run = app.once("wait-timeout")
    assert run.output is True
    assert 0.9 <= run.seconds <= 3


def test_an_expression_that_does_not_compile_fails_the_run(app: App) -> None:
    started = time.time()
    run = app.finish("wait-bad-if", status="FAILED")
    error = run.output["error"]
    assert error["name"] == "InvalidExpression"
    assert error["message"] == "Wait for event If expression failed to compile"
    assert error["error"] == "InvalidExpression: Wait for event If expression failed to compile"
    assert error["stack"].startswith("error compiling expression")
    assert time.time() - started < 2
    assert len(app.calls(run.id)) == 1
