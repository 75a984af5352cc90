"""Flow control with the SDKs' own options: batches, debounce, limits, singletons, timeouts (flow-control.md §4)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .harness import wait_until

if TYPE_CHECKING:
    from .harness import App

SKIPPED = """
    query($id: ULID!) { eventV2(id: $id) { runs { status trace(preview: true) { skipReason skipExistingRunID } } } }
"""


def key() -> str:
    return str(uuid.uuid4())


def send_all(app: App, name: str, items: list[dict[str, object]]) -> list[str]:
    return app.platform.send_many([{"name": app.event(name), "data": data} for data in items])


def outputs(app: App, events: list[str]) -> list[object]:
    """Outputs of the runs of these events, in order; an event without a run gives none."""
    runs = [run for event in events for run in app.platform.run_ids(event)]
    return [app.platform.wait_run(run).output for run in runs]


def test_a_full_batch_then_one_that_times_out(app: App) -> None:
    events = send_all(app, "batch", [{"n": n} for n in range(3)])
    full = app.platform.wait_run(app.platform.runs_of(events[0])[0])
    assert full.output == [0, 1]
    assert full.raw["isBatch"] is True
    assert full.raw["triggerIDs"] == events[:2]
    rest = app.platform.wait_run(app.platform.runs_of(events[2])[0])
    assert rest.output == [2]


def test_debounce(app: App) -> None:
    own = key()
    events = [app.send("debounce", {"n": n, "key": own}) for n in range(3)]
    assert app.platform.wait_run(app.platform.runs_of(events[2])[0]).output == 2
    assert app.platform.run_ids(events[0]) == app.platform.run_ids(events[1]) == []


def test_rate_limit(app: App) -> None:
    own, other = key(), key()
    events = send_all(app, "rate-limit", [{"n": 0, "key": own}, {"n": 1, "key": own}, {"n": 2, "key": other}])
    app.platform.runs_of(events[2])
    assert outputs(app, events) == [0, 2]


def test_idempotency(app: App) -> None:
    own, other = key(), key()
    events = send_all(app, "idempotency", [{"n": 0, "key": own}, {"n": 1, "key": own}, {"n": 2, "key": other}])
    app.platform.runs_of(events[2])
    assert outputs(app, events) == [0, 2]


def test_throttle(app: App) -> None:
    own = key()
    events = send_all(app, "throttle", [{"n": n, "key": own} for n in range(2)])
    runs = [app.platform.runs_of(event)[0] for event in events]
    for run in runs:
        app.platform.wait_run(run)
    first, second = sorted(app.report(run)["ran"][0]["at"] for run in runs)
    assert 0.9 <= second - first <= 2.5


def test_concurrency(app: App) -> None:
    own = key()
    events = send_all(app, "concurrency", [{"n": n, "key": own} for n in range(3)])
    runs = [app.platform.runs_of(event)[0] for event in events]
    for run in runs:
        app.platform.wait_run(run)
    moves = sorted((item["at"], item["step"]) for run in runs for item in app.report(run)["ran"])
    assert [step for _, step in moves] == ["enter", "leave"] * 3


def test_priority(app: App) -> None:
    first = app.start("priority", {"n": 0, "p": 0})
    app.wait_ran(first, "body")
    low, high = send_all(app, "priority", [{"n": 1, "p": 0}, {"n": 2, "p": 120}])
    runs = [app.platform.runs_of(event)[0] for event in (low, high)]
    for run in runs:
        app.platform.wait_run(run)
    at = {run: app.report(run)["ran"][0]["at"] for run in runs}
    assert at[runs[1]] < at[runs[0]]


def test_singleton_skip(app: App) -> None:
    own = key()
    first = app.start("singleton-skip", {"n": 0, "key": own})
    app.platform.wait_span(first, "nap")
    second = app.send("singleton-skip", {"n": 1, "key": own})
    skipped = wait_until(lambda: app.platform.gql(SKIPPED, id=second)["eventV2"]["runs"])
    trace = {"skipReason": "Singleton", "skipExistingRunID": first}
    assert skipped == [{"status": "SKIPPED", "trace": trace}]
    assert app.platform.wait_run(first).output == 0
    assert app.finish("singleton-skip", {"n": 2, "key": own}).output == 2


def test_singleton_cancel(app: App) -> None:
    own = key()
    first = app.start("singleton-cancel", {"n": 0, "key": own})
    app.platform.wait_span(first, "nap")
    second = app.start("singleton-cancel", {"n": 1, "key": own})
    app.platform.wait_run(first, "CANCELLED")
    assert app.platform.wait_run(second).output == 1


def test_finish_timeout(app: App) -> None:
    run = app.once("timeout-finish", "CANCELLED")
    assert 0.9 <= run.seconds <= 3
    assert run.output is None
