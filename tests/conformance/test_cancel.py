"""Cancellation: by event, REST and GraphQL, while asleep and while a call is under way (flow-control.md §9)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .harness import GraphQLError

if TYPE_CHECKING:
    from .harness import App
    from .raw import Listener

CANCEL = "mutation($runID: ULID!) { cancelRun(runID: $runID) { id status } }"


def start_sleeping(app: App, number: object) -> str:
    run_id = app.start("cancellable", {"id": number})
    app.wait_ran(run_id, "before")
    return run_id


def test_by_event(app: App, listener: Listener) -> None:
    run_id = start_sleeping(app, 1)
    app.send("cancel", {"id": 2})
    time.sleep(0.2)
    run = app.platform.run(run_id)
    assert run
    assert run.status == "RUNNING"
    app.send("cancel", {"id": 1})
    assert app.platform.wait_run(run_id, "CANCELLED").output is None
    heard = listener.wait(run_id, "finished", "cancelled")
    cancelled = heard["cancelled"]
    assert cancelled["id"] == run_id
    data = cancelled["data"]
    assert (data["function_id"], data["run_id"]) == (app.slug("cancellable"), run_id)
    assert data["event"]["data"] == {"id": 1}
    assert data["_inngest"]["status"] == "Cancelled"
    assert not {"error", "result"} & data.keys()
    assert app.ran(run_id) == [("before", 0)]


def test_one_event_cancels_all_that_match(app: App) -> None:
    runs = [start_sleeping(app, "same") for _ in range(4)]
    app.send("cancel", {"id": "same"})
    for run_id in runs:
        app.platform.wait_run(run_id, "CANCELLED")


def test_an_older_event_does_not_cancel(any_app: App) -> None:
    any_app.send("cancel", {"id": "older"})
    run_id = start_sleeping(any_app, "older")
    run = any_app.platform.run(run_id)
    assert run
    assert run.status == "RUNNING"
    any_app.send("cancel", {"id": "older"})
    any_app.platform.wait_run(run_id, "CANCELLED")


def test_by_rest_twice(app: App) -> None:
    run_id = start_sleeping(app, 3)
    http = app.platform.http
    for _ in range(2):
        response = http.delete(f"/v1/runs/{run_id}")
        assert (response.status_code, response.content) == (200, b"")
    app.platform.wait_run(run_id, "CANCELLED")


def test_by_rest_unknown(any_app: App) -> None:
    http = any_app.platform.http
    assert http.delete("/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 404
    assert http.delete("/v1/runs/nonsense").status_code == 400


def test_by_graphql(app: App) -> None:
    run_id = start_sleeping(app, 4)
    answer = app.platform.gql(CANCEL, runID=run_id)["cancelRun"]
    assert answer == {"id": run_id, "status": "CANCELLED"}
    app.platform.wait_run(run_id, "CANCELLED")


def test_an_ended_run_cannot_be_cancelled(any_app: App) -> None:
    run = any_app.finish("no-step")
    with pytest.raises(GraphQLError, match="cannot cancel an ended run"):
        any_app.platform.gql(CANCEL, runID=run.id)


def test_during_a_call(app: App) -> None:
    """The call under way ends on its own; nothing of it counts and nothing follows."""
    run_id = app.start("slow-step")
    app.wait_ran(run_id, "slow")
    app.platform.http.delete(f"/v1/runs/{run_id}")
    app.platform.wait_run(run_id, "CANCELLED", timeout=2)
    app.wait_ran(run_id, "slow done")
    time.sleep(0.3)
    assert app.platform.wait_run(run_id, "CANCELLED").output is None
    if not app.checkpoints:  # a checkpointing SDK drives on until its next check-in
        assert "next" not in [step for step, _ in app.ran(run_id)]
    assert len(app.calls(run_id)) == 1
