"""What is said of a run's end: lifecycle events and on-failure handlers (execution.md §4.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .harness import wait_until

if TYPE_CHECKING:
    from .harness import App
    from .raw import Listener


def test_a_completed_run_is_finished(app: App, listener: Listener) -> None:
    run = app.finish("two-steps", {"who": "me"})
    finished = listener.wait(run.id, "finished")["finished"]
    data = finished["data"]
    assert (data["function_id"], data["run_id"]) == (app.slug("two-steps"), run.id)
    assert data["result"] == {"a": 1, "b": {"sum": 2}}
    assert data["_inngest"]["status"] == "Completed"
    assert not {"error", "correlation_id"} & data.keys()
    assert data["event"]["name"] == app.event("two-steps")
    assert data["event"]["data"] == {"who": "me"}
    assert [event["data"] for event in data["events"]] == [{"who": "me"}]


def test_null_is_a_result(app: App, listener: Listener) -> None:
    data = listener.wait(app.finish("return-null").id, "finished")["finished"]["data"]
    assert data["result"] is None


def test_a_failed_run(app: App, listener: Listener) -> None:
    run = app.finish("fails-with-handler", {"n": 1}, status="FAILED")
    heard = listener.wait(run.id, "finished", "failed")
    failed = heard["failed"]
    assert failed["id"] == run.id
    data = failed["data"]
    assert (data["function_id"], data["run_id"]) == (app.slug("fails-with-handler"), run.id)
    assert data["_inngest"]["status"] == "Failed"
    assert data["event"]["data"] == {"n": 1}
    error = data["error"]
    assert (error["error"], error["name"], error["message"]) == (app.final_status, app.error_name, "function failed")
    assert "function failed" in error["stack"]
    assert data["result"]["message"] == "function failed"
    assert heard["finished"]["data"]["error"] == error
    assert heard["finished"]["id"] != run.id


def test_a_step_that_fails_for_good(app: App, listener: Listener) -> None:
    run = app.once("step-fails", "FAILED")
    error = listener.wait(run.id, "finished", "failed")["failed"]["data"]["error"]
    assert (error["error"], error["name"], error["message"]) == ("NonRetriableError", app.error_name, "always")


def test_a_cause_is_kept(app: App, listener: Listener) -> None:
    run = app.finish("invoke-unknown", status="FAILED")
    error = listener.wait(run.id, "finished", "failed")["failed"]["data"]["error"]
    message = f"could not find function with ID: {app.slug('no-such-function')}"
    assert (error["error"], error["name"], error["message"]) == ("NonRetriableError", "Error", message)


def test_the_handler_runs(app: App, listener: Listener) -> None:
    run = app.finish("fails-with-handler", {"n": 2}, status="FAILED")
    value = {"failed_run": run.id, "function": app.slug("fails-with-handler"), "origin": {"n": 2}}
    notes = wait_until(lambda: [item for item in app.noted("handler") if item["value"] == value])
    handler = app.platform.wait_run(notes[0]["run"])
    assert handler.output == "function failed"
    assert handler.raw["function"]["slug"] == app.slug("fails-with-handler-failure")
    assert [step for step, _ in app.ran(handler.id) if step == "tidy"] == ["tidy"]
    # a run that was started by a lifecycle event emits none itself
    assert listener.heard(handler.id) == {}


def test_no_handler_for_a_cancelled_run(app: App, listener: Listener) -> None:
    run_id = app.start("cancellable", {"id": "no handler"})
    app.wait_ran(run_id, "before")
    app.platform.http.delete(f"/v1/runs/{run_id}")
    assert set(listener.wait(run_id, "finished", "cancelled")) == {"finished", "cancelled"}
