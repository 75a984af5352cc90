"""Steps whose request the server itself makes: AI inference and fetch (execution.md §4.10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .raw import ANSWER

if TYPE_CHECKING:
    from .harness import App
    from .raw import Endpoint

AI = {
    "input_tokens": 3, "operation_name": "", "output_tokens": 1, "provider": "openai-chat", "request_model": "gpt-test",
    "response_model": "gpt-test", "total_tokens": 4,
}  # fmt: skip
HTTP = {
    "method": "POST", "path": "/v1/chat/completions", "request_content_type": "application/json",
    "response_content_type": "application/json", "response_size": len(json.dumps(ANSWER)), "response_status": 200,
}  # fmt: skip


def test_inference(app: App, upstream: Endpoint) -> None:
    seen = len(upstream.requests)
    run = app.finish("ai-infer")
    assert run.output == ANSWER
    (request,) = upstream.requests[seen:]
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {"model": "gpt-test", "messages": [{"role": "user", "content": "hi"}]}
    assert app.platform.step_output(run.id, "ask") == ANSWER
    assert {"Content-Type", "Authorization", "Host", "Content-Length"} <= set(request.names)
    told = {
        entry["kind"]: (entry["scope"], entry["values"])
        for span in app.platform.spans(run.id) if span["name"] == "ask"
        for entry in span["metadata"]
    }  # fmt: skip
    assert told["inngest.ai"] == ("step_attempt", AI)  # as recorded of the reference, with another upstream
    size = len(request.body)
    assert told["inngest.http"] == ("step_attempt", {**HTTP, "domain": request.headers["host"], "request_size": size})


def test_inference_that_fails(app: App, upstream: Endpoint) -> None:
    seen = len(upstream.requests)
    run = app.finish("ai-infer-fails")
    message = "Error making AI request: unsuccessful status code: 529"
    assert run.output == {"name": "AIGatewayError", "message": message}
    assert len(upstream.requests) - seen == 2


def test_a_wrapped_call(js_app: App) -> None:
    run = js_app.finish("ai-wrap")
    assert run.output == {"twice": 8}
    (span,) = {span["stepType"] for span in js_app.platform.spans(run.id) if span["name"] == "wrapped"}
    assert span == "step.ai.wrap"


def test_fetch(js_app: App, upstream: Endpoint) -> None:
    seen = len(upstream.requests)
    run = js_app.finish("fetch")
    echo = {"method": "POST", "path": "/echo", "query": {"x": "1"}, "body": '{"a":1}'}
    assert run.output == {"status": 200, "body": echo, "missing": 404}
    posted, missing = upstream.requests[seen:]
    assert posted.headers["x-mine"] == "1"
    assert "X-Mine" in posted.names
    assert (missing.method, missing.path) == ("GET", "/missing")


def test_fetch_of_nothing(js_app: App) -> None:
    run = js_app.finish("fetch-fails")
    assert run.output["name"] == "GatewayError"
    assert run.output["message"].startswith("Error making gateway request: ")
