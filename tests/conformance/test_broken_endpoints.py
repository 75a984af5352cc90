"""Apps that answer as no SDK would: what the run says and how often it was tried (execution.md §3)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from .raw import SDK, Answer, Endpoint, Listener, Request, function_config, register, sdk, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .harness import Platform, Run

HTML = b"<html><body>Hello</body></html>"
STEP = {"op": "StepRun", "id": "a" * 40, "name": "one", "displayName": "one", "data": 1}


def html(status: int) -> Answer:
    return Answer(status, HTML, {"content-type": "text/html"})


def envelope(status: int, body: object, **more: object) -> Answer:
    inner = {"status": status, "headers": {"x-inngest-sdk": "raw:v1"}, "body": json.dumps(body), **more}
    return Answer(201, b"   " + json.dumps(inner).encode(), SDK)


def after_steps(request: Request, first: Answer, then: Answer) -> Answer:
    return then if request.json["steps"] else first


def slow(_: Request) -> Answer:
    time.sleep(1.2)
    return sdk(200, "late")


def until_second_call(request: Request, then: Answer) -> Answer | None:
    return then if request.attempt else None


READING = "error reading generator opcode response"
REDIRECT = {"location": "/target"}
ANSWERS: dict[str, Callable[[Request], Answer | None]] = {
    "html500": lambda _: html(500),
    "html200": lambda _: html(200),
    "json200": lambda _: Answer(200, {"not": "an sdk"}, {"content-type": "application/json"}),
    "empty200": lambda _: Answer(200),
    "sdk-text": lambda _: sdk(200, b"plain text"),
    "sdk-empty": lambda _: sdk(200, b""),
    "sdk-404": lambda _: sdk(404, {"message": "no such function"}),
    "sdk-500-text": lambda _: sdk(500, b"oh no"),
    "sdk-no-retry-200": lambda _: sdk(200, {"a": 1}, x_inngest_no_retry="true"),
    "206-html": lambda _: Answer(206, HTML, SDK),
    "206-empty": lambda _: sdk(206, b""),
    "206-null-op": lambda _: sdk(206, [None]),
    "206-unknown-op": lambda _: sdk(206, [{"op": "Nonsense", "id": "a"}]),
    "206-no-error": lambda _: sdk(206, [{"op": "StepError", "id": "a" * 40}]),
    "206-too-many": lambda _: sdk(206, [{"op": "StepPlanned", "id": f"{n:040}", "name": "s"} for n in range(1001)]),
    "206-object": lambda request: after_steps(request, sdk(206, STEP), sdk(200, "one op, no list")),
    "redirect": lambda request: sdk(200, "redirected") if request.path == "/target" else Answer(307, b"", REDIRECT),
    "stream": lambda request: after_steps(request, envelope(206, [STEP]), envelope(200, "streamed")),
    "stream-error": lambda _: envelope(200, None, error="it broke"),
    "stream-bad": lambda _: Answer(201, b"   {not json", SDK),
    "closes": lambda _: None,
    "closes-once": lambda request: until_second_call(request, sdk(200, "back")),
    "cut": lambda _: Answer(200, b'{"half": ', SDK, cut=True),
    "slow": slow,
    "empty-ops": lambda _: sdk(206, []),
}


def respond(request: Request) -> Answer | None:
    name = request.query.get("fnId", "broken-").removeprefix("broken-")
    return ANSWERS[name](request)


@pytest.fixture(scope="module")
def broken(platform: Platform) -> Iterator[Endpoint]:
    """All of them as functions of one app, with one retry each."""
    with serving(respond) as endpoint:
        url = f"{endpoint.url}/call"
        functions = [function_config("broken", name, url, retries=1) for name in ANSWERS]
        refused = function_config("broken", "refused", "http://127.0.0.1:1/call", retries=1)
        register(platform, "broken", url, [*functions, refused])
        yield endpoint


def finish(platform: Platform, name: str, status: str = "FAILED") -> Run:
    event = platform.send(f"broken/{name}")
    return platform.wait_run(platform.runs_of(event)[0], status)


def wrapped(message: str) -> dict[str, Any]:
    """The output of an attempt that the server itself calls failed."""
    return {"error": {"error": message, "name": "Error", "message": message}}


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("html200", HTML.decode()),
        ("json200", {"not": "an sdk"}),
        ("empty200", "The response did not come from an Inngest SDK"),
        ("sdk-404", {"message": "no such function"}),
        ("sdk-500-text", "oh no"),
        ("206-html", wrapped(f"{READING}: expected JSON object or array")),
        (
            "206-unknown-op",
            wrapped(f"{READING}: Nonsense does not belong to Opcode values"),
        ),
        ("closes", wrapped("Unable to reach SDK URL")),
        ("refused", wrapped("Unable to reach SDK URL")),
        (
            "cut",
            wrapped("Your server reset the connection while we were reading the reply: Unexpected ending response"),
        ),
    ],
)
def test_failed_and_tried_twice(platform: Platform, broken: Endpoint, name: str, output: object) -> None:
    run = finish(platform, name)
    assert run.output == output
    if name != "refused":
        assert [request.attempt for request in broken.of_run(run.id)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("206-empty", "no response data"),
        ("206-null-op", "opcode cannot be null"),
        ("206-no-error", "OpcodeStepError received without Error field set"),
        ("stream-bad", "error parsing stream: "),
        ("stream-error", "it broke"),
    ],
)
def test_failed_with_words(platform: Platform, broken: Endpoint, listener: Listener, name: str, part: str) -> None:
    run = finish(platform, name)
    error = listener.wait(run.id, "finished", "failed")["failed"]["data"]["error"]
    assert part in error["error"]
    assert [request.attempt for request in broken.of_run(run.id)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "error", "alone"),
    [
        ("refused", wrapped("Unable to reach SDK URL")["error"], None),
        ("206-html", wrapped(f"{READING}: expected JSON object or array")["error"], None),
        ("sdk-404", {"message": "no such function"}, None),
        ("json200", {"not": "an sdk"}, None),
        ("html200", HTML.decode(), {"data": HTML.decode()}),
        ("sdk-500-text", "oh no", {"data": "oh no"}),
    ],
)
def test_an_error_over_rest(platform: Platform, broken: Endpoint, name: str, error: object, alone: object) -> None:
    """As recorded of the reference: the bare error for the run, `error` around it among the runs of its event."""
    event = platform.send(f"broken/{name}")
    run = platform.wait_run(platform.runs_of(event)[0], "FAILED")
    found = platform.http.get(f"/api/v2/runs/{run.id}?includeOutput=true").json()["data"]
    assert found["output"] == (alone or error)
    (listed,) = platform.http.get(f"/api/v2/events/{event}/runs?includeOutput=true").json()["data"]
    assert listed["output"] == {"error": error}
    query = "query($id: ID!) { functionRun(query: {functionRunId: $id}) { history { type attempt } } }"
    history = platform.gql(query, id=run.id)["functionRun"]["history"]
    assert history[-1] == {"type": "FunctionFailed", "attempt": 1}
    assert broken.requests


def test_an_empty_answer_is_a_result(platform: Platform, broken: Endpoint) -> None:
    run = finish(platform, "sdk-empty", "COMPLETED")
    assert run.raw["output"] == "null"
    assert broken.of_run(run.id)


def test_an_error_before_the_sdk(platform: Platform, broken: Endpoint, listener: Listener) -> None:
    run = finish(platform, "html500")
    message = "Your server returned HTTP 500 before the SDK responded."
    stack = run.output.pop("stack")
    assert run.output == {"error": message, "name": "Server returned a fatal error", "message": message}
    assert stack.endswith(f"Upstream response (text/html):\n{HTML.decode()}")
    assert len(broken.of_run(run.id)) == 2
    error = listener.wait(run.id, "finished", "failed")["failed"]["data"]["error"]
    assert (error["name"], error["message"]) == ("Server returned a fatal error", message)


def test_html_is_kept_as_the_message(platform: Platform, broken: Endpoint, listener: Listener) -> None:
    run = finish(platform, "html200")
    data = listener.wait(run.id, "finished", "failed")["failed"]["data"]
    error = "The response did not come from an Inngest SDK"
    assert data["error"] == {"error": error, "message": HTML.decode(), "name": "Error"}
    assert data["result"] == HTML.decode()
    assert broken.of_run(run.id)


def test_no_retry_makes_a_200_an_error(platform: Platform, broken: Endpoint) -> None:
    run = finish(platform, "sdk-no-retry-200")
    assert run.output == {"a": 1}
    assert len(broken.of_run(run.id)) == 1


def test_too_many_ops(platform: Platform, broken: Endpoint) -> None:
    run = finish(platform, "206-too-many")
    error = run.output["error"]
    assert error["name"] == "InngestErrFunctionOverflowed"
    assert error["message"] == "The function run exceeded the step limit of 1000 steps."
    assert error["error"] == f"{error['name']}: {error['message']}"
    assert len(broken.of_run(run.id)) == 1


@pytest.mark.parametrize(
    ("name", "output", "calls"),
    [
        ("sdk-text", "plain text", 1),
        ("sdk-empty", None, 1),
        ("206-object", "one op, no list", 2),
        ("stream", "streamed", 2),
        ("closes-once", "back", 2),
        ("slow", "late", 1),
        ("redirect", "redirected", 2),
    ],
)
def test_completed_all_the_same(platform: Platform, broken: Endpoint, name: str, output: object, calls: int) -> None:
    run = finish(platform, name, "COMPLETED")
    assert run.output == output
    assert len(broken.of_run(run.id)) == calls


def test_a_redirect_keeps_the_call(platform: Platform, broken: Endpoint) -> None:
    run = finish(platform, "redirect", "COMPLETED")
    first, second = broken.of_run(run.id)
    assert (first.path, second.path) == ("/call", "/target")
    assert (second.method, second.body) == ("POST", first.body)
    assert second.query["fnId"] == "broken-redirect"


def test_no_ops_call_again(platform: Platform, broken: Endpoint) -> None:
    """An empty list is answered with another call, for as long as it goes on."""
    event = platform.send("broken/empty-ops")
    run_id = platform.runs_of(event)[0]
    time.sleep(0.5)
    run = platform.run(run_id)
    assert run
    assert run.status == "RUNNING"
    assert len(broken.of_run(run_id)) > 1
    platform.http.delete(f"/v1/runs/{run_id}")
    platform.wait_run(run_id, "CANCELLED")
