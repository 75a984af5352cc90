"""Invoking functions from steps, and sending events from them (execution.md §4.6, §4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .harness import wait_until

if TYPE_CHECKING:
    from .harness import App
    from .raw import Listener


def test_the_childs_result(app: App) -> None:
    run = app.finish("invoke-ok")
    assert run.output == {"double": 42}
    assert app.platform.step_output(run.id, "call") == 42
    span = next(span for span in app.platform.spans(run.id) if span["name"] == "call")
    info = span["stepInfo"]
    assert info["functionID"] == app.slug("child-ok")
    assert info["returnEventID"]
    assert info["timedOut"] in {False, None}
    child = app.platform.wait_run(info["runID"])
    assert child.output == 42
    assert app.ran(child.id) == [("double", 0)]


def test_the_childs_event_knows_its_parent(app: App, listener: Listener) -> None:
    run = app.finish("invoke-ok")
    span = next(span for span in app.platform.spans(run.id) if span["name"] == "call")
    finished = listener.wait(span["stepInfo"]["runID"], "finished")["finished"]["data"]
    correlation = f"{run.id}.{span['stepID']}"
    assert finished["correlation_id"] == correlation
    assert finished["result"] == 42
    invoked = finished["event"]
    assert invoked["name"] == "inngest/function.invoked"
    assert invoked["data"]["n"] == 21
    internal = invoked["data"]["_inngest"]
    assert internal["fn_id"] == app.slug("child-ok")
    assert internal["correlation_id"] == correlation


def test_null_comes_back_as_null(app: App) -> None:
    assert app.finish("invoke-null").output == [None]


def test_the_childs_error(app: App) -> None:
    run = app.finish("invoke-child-fails", status="FAILED")
    assert (run.output["message"], run.output["name"]) == ("child failed", app.error_name)
    assert len(app.calls(run.id)) == 2


def test_the_childs_error_can_be_caught(app: App) -> None:
    assert app.finish("invoke-child-caught").output == "caught child failed"


def test_timeout(app: App) -> None:
    run = app.once("invoke-timeout", "FAILED")
    assert run.output["name"] == "InngestInvokeTimeoutError"
    assert run.output["message"] == "Timed out waiting for invoked function to complete"
    span = next(span for span in app.platform.spans(run.id) if span["name"] == "call")
    assert span["stepInfo"]["timedOut"] is True
    # the child goes on to its end
    assert app.platform.wait_run(span["stepInfo"]["runID"]).output == "late"


def test_unknown_function(app: App) -> None:
    run = app.finish("invoke-unknown", status="FAILED", timeout=5)
    assert run.output["message"] == f"could not find function with ID: {app.slug('no-such-function')}"


def test_send_event_from_a_step(app: App) -> None:
    run = app.finish("send-event")
    ids = run.output["ids"]
    received = [app.platform.runs_of(event)[0] for event in ids]
    outputs = [app.platform.wait_run(run_id).output for run_id in received]
    assert outputs == [{"n": 1, "from": run.id}, {"n": 2, "from": run.id}]


def test_an_event_sent_by_a_step_is_sent_once(app: App) -> None:
    run = app.finish("send-event")
    wait_until(lambda: len(received(app, run.id)) == 2)
    assert sorted(received(app, run.id)) == [1, 2]


def received(app: App, run_id: str) -> list[int]:
    return [item["value"]["n"] for item in app.noted("receiver") if item["value"]["from"] == run_id]
