"""Signals, which only the TypeScript SDK has (execution.md §4.9)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import App


def start_waiting(app: App, function: str, signal: str, timeout: str = "30s") -> str:
    run_id = app.start(function, {"signal": signal, "timeout": timeout})
    app.platform.wait_span(run_id, "ask")
    return run_id


def new_signal() -> str:
    return f"signal-{uuid.uuid4()}"


def test_a_signal_by_rest(js_app: App) -> None:
    signal = new_signal()
    run_id = start_waiting(js_app, "signal", signal)
    http = js_app.platform.http
    response = http.post("/v1/signals", json={"signal": signal, "data": {"n": 1}})
    assert response.status_code == 200
    assert response.json()["data"] == {"run_id": run_id}
    assert js_app.platform.wait_run(run_id).output == {"signal": signal, "data": {"n": 1}}
    again = http.post("/v1/signals", json={"signal": signal, "data": {}})
    assert again.status_code == 404
    assert again.json() == {"error": "No signal found", "data": None, "status": 404}


def test_a_signal_by_a_step(js_app: App) -> None:
    signal = new_signal()
    waiter = start_waiting(js_app, "signal", signal)
    js_app.finish("send-signal", {"signal": signal})
    assert js_app.platform.wait_run(waiter).output == {"signal": signal, "data": {"n": 1}}


def test_a_signal_nobody_waits_for(js_app: App) -> None:
    assert js_app.finish("send-signal", {"signal": new_signal()}).status == "COMPLETED"


def test_timeout(js_app: App) -> None:
    assert js_app.finish("signal", {"signal": new_signal(), "timeout": "1s"}).output is None


def test_conflict_fails_the_second_run(js_app: App) -> None:
    signal = new_signal()
    first = start_waiting(js_app, "signal", signal)
    second = js_app.finish("signal", {"signal": signal}, status="FAILED", timeout=5)
    message = "Signal conflict; signal wait already exists for another run"
    assert second.output == {"error": {"error": f"Error: {message}", "name": "Error", "message": message}}
    js_app.platform.http.post("/v1/signals", json={"signal": signal, "data": None})
    assert js_app.platform.wait_run(first).output == {"signal": signal, "data": None}


def test_replace_takes_the_signal_over(js_app: App) -> None:
    signal = new_signal()
    first = start_waiting(js_app, "signal-replace", signal, "2s")
    second = start_waiting(js_app, "signal-replace", signal)
    response = js_app.platform.http.post("/v1/signals", json={"signal": signal, "data": "hello"})
    assert response.json()["data"] == {"run_id": second}
    assert js_app.platform.wait_run(second).output == {"signal": signal, "data": "hello"}
    assert js_app.platform.wait_run(first).output is None
