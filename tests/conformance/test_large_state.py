"""State above 4 MiB is fetched by the SDK instead of being sent (execution.md §2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import App


def test_the_state_is_fetched(app: App) -> None:
    run = app.finish("large-state", timeout=30)
    assert run.output == 4_400_000
    calls = app.calls(run.id)
    fetching = [call for call in calls if call["use_api"]]
    assert fetching
    assert all(call["ctx"]["use_api"] and call["steps"] == [] for call in fetching)
    assert not calls[0]["use_api"]


def test_the_state_of_an_ended_run_is_gone(any_app: App) -> None:
    run = any_app.finish("two-steps")
    for what in ("actions", "batch"):
        response = any_app.platform.http.get(f"/v0/runs/{run.id}/{what}")
        assert response.status_code == 410
        assert response.json()["error"] == f"runtime state is no longer available for runID: {run.id}"


def test_the_state_of_a_live_run(app: App) -> None:
    run_id = app.start("cancellable", {"id": "state"})
    app.platform.wait_span(run_id, "nap")
    http = app.platform.http
    actions = http.get(f"/v0/runs/{run_id}/actions").json()
    assert list(actions.values()) == [{"data": None}]
    (event,) = http.get(f"/v0/runs/{run_id}/batch").json()
    assert (event["name"], event["data"]) == (app.event("cancellable"), {"id": "state"})
    http.delete(f"/v1/runs/{run_id}")
