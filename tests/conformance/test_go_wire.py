"""How Go's SDK writes its answers, by an endpoint that writes the same bytes: there is no Go where the tests run."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.protocol.signing import hash_signing_key, sign

from .harness import Platform, wait_until
from .processes import server_process
from .raw import Answer, Endpoint, Request, function_config, register, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .processes import Process

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
SDK = {"X-Inngest-Sdk": "inngest-go:v0.15.2", "X-Inngest-Req-Version": "1", "Content-Type": "application/json"}
STEP = "a" * 40
LIMIT = 8 * 1024 * 1024
slow_step = threading.Event()


def ops(*reported: dict[str, Any]) -> Answer:
    """Write operations as Go's encoder does: a newline comes last."""
    return Answer(206, json.dumps(reported).encode() + b"\n", SDK)


def step_fails(request: Request) -> Answer:
    error = {"name": "Step failed", "message": "no", "data": None, "stack": "main.go:1"}
    if request.json["steps"]:
        return Answer(500, json.dumps({"name": "E", "message": "no", "data": None}).encode() + b"\n", SDK)
    return ops({"op": "StepError", "id": STEP, "name": "one", "displayName": "one", "data": None, "error": error})


def races(request: Request) -> Answer:
    names = {"a" * 40: "fast", "b" * 40: "slow"}
    target = request.query["stepId"]
    if target in names:
        if names[target] == "slow":
            slow_step.wait(10)
        return ops({"op": "StepRun", "id": target, "name": names[target], "data": names[target]})
    if not request.json["steps"]:
        mode = {"parallelMode": "Race"}
        return ops(*({"op": "StepPlanned", "id": id, "name": name, "opts": mode} for id, name in names.items()))
    return Answer(200, b'"' + next(iter(request.json["steps"].values()))["data"].encode() + b' won"\n', SDK)


def fails_then_waits(request: Request) -> Answer:
    if request.attempt == 0 and not request.json["steps"]:
        return Answer(500, {"name": "E", "message": "not yet"}, SDK)
    if request.json["steps"]:
        return Answer(200, b"null\n", SDK)
    opts = {"event": "go/answer", "timeout": "1h"}
    return ops({"op": "WaitForEvent", "id": STEP, "name": "go/answer", "displayName": "wait", "opts": opts})


ANSWERS = {
    "step-fails": step_fails,
    "races": races,
    "fails-then-waits": fails_then_waits,
    "too-large": lambda _: Answer(200, b" " * (LIMIT + 1), SDK),
    "plain-text": lambda _: Answer(200, b"plain text", SDK),
}


def respond(request: Request) -> Answer:
    return ANSWERS[request.query["fnId"].removeprefix("go-")](request)


@pytest.fixture(scope="module")
def app(platform: Platform) -> Iterator[Endpoint]:
    with serving(respond) as endpoint:
        functions = [function_config("go", name, f"{endpoint.url}/call", retries=1) for name in ANSWERS]
        for function in functions:
            if function["id"] in {"go-step-fails", "go-too-large"}:
                function["steps"]["step"]["retries"]["attempts"] = 0
        register(platform, "go", f"{endpoint.url}/call", functions)
        yield endpoint


def start(platform: Platform, name: str) -> str:
    return platform.runs_of(platform.send(f"go/{name}"))[0]


def test_null_members_of_a_step_s_error_go_back(platform: Platform, app: Endpoint) -> None:
    run = start(platform, "step-fails")
    platform.wait_run(run, "FAILED")
    memoised = app.of_run(run)[-1].json["steps"][STEP]
    assert memoised == {"error": {"data": None, "message": "no", "name": "Step failed", "stack": "main.go:1"}}


def test_race_is_written_with_a_capital(platform: Platform, app: Endpoint) -> None:
    try:
        run = platform.wait_run(start(platform, "races"), timeout=8)
    finally:
        slow_step.set()
    assert run.output == "fast won"
    assert app.of_run(run.id)


def test_an_answer_that_is_too_large(platform: Platform, app: Endpoint) -> None:
    run = platform.wait_run(start(platform, "too-large"), "FAILED")
    error = run.output["error"]
    assert error["name"] == "output_too_large"
    assert error["error"] == f"output_too_large: {error['message']}"
    (child,) = platform.trace(run.id, preview=False)["childrenSpans"]
    shown = platform.span_output(child["outputID"])["error"]
    assert (shown["message"], shown["stack"]) == (error["message"], error["error"])
    assert len(app.of_run(run.id)) == 1


def test_an_answer_that_is_no_json_is_the_output_itself(platform: Platform, app: Endpoint) -> None:
    run = platform.wait_run(start(platform, "plain-text"))
    assert run.raw["output"] == "plain text"
    legacy, new = (platform.trace(run.id, preview=preview) for preview in (False, True))
    assert platform.span_output(legacy["outputID"])["data"] == "plain text"
    assert platform.span_output(new["outputID"])["data"] == '"plain text"'
    assert app.of_run(run.id)


def test_a_failed_attempt_is_grouped_with_the_step_that_its_job_ended_in(platform: Platform, app: Endpoint) -> None:
    run = start(platform, "fails-then-waits")

    def waiting() -> Any:
        children = platform.trace(run, preview=False)["childrenSpans"]
        return children if children and children[0]["status"] == "WAITING" else None

    (wait,) = wait_until(waiting)
    platform.send("go/answer")
    platform.wait_run(run)
    trace = platform.trace(run, preview=False)
    ended = trace["childrenSpans"][0]
    for group, status in ((wait, "WAITING"), (ended, "COMPLETED")):
        failed, last = group["childrenSpans"]
        assert (group["name"], group["stepOp"], group["status"]) == ("wait", "WAIT_FOR_EVENT", status)
        assert [(a["name"], a["status"]) for a in (failed, last)] == [("Attempt 0", "FAILED"), ("Attempt 1", status)]
        assert (failed["stepOp"], last["stepOp"]) == (None, "WAIT_FOR_EVENT")
        assert {a["parentSpanID"] for a in (failed, last)} == {trace["spanID"]}
    assert [child["name"] for child in trace["childrenSpans"]] == ["wait", "function success"]
    assert len(app.of_run(run)) == 3


def registration(request: Request, key: str) -> Answer:
    """Answer a ping with the functions, signed without the newline at the end."""
    url = f"http://{request.headers['host']}{request.path}"
    body = json.dumps({
        "app_id": "go", "env": None, "framework": "", "functions": [function_config("go", "one", url)],
        "inspection": {}, "sdk_author": "inngest", "sdk_language": "go", "sdk_version": "0.15.2", "url": url,
    }).encode()  # fmt: skip
    headers = {"X-Inngest-Signature": sign(key, body, int(time.time())), "X-Inngest-Sync-Kind": "in_band"}
    return Answer(200, body + b"\n", {**SDK, **headers})


@contextlib.contextmanager
def started(folder: Path, key: str) -> Iterator[tuple[Process, Platform]]:
    """Run `holdfast start` with an app that signs with a key."""
    with serving(lambda request: registration(request, key)) as endpoint:
        options = ["--signing-key", KEY, "--event-key", "ab", "--sqlite-dir", str(folder), "-u", endpoint.url + "/x"]
        server = server_process("start", folder / "server.log", *options)
        server.start("/health")
        platform = Platform(server.url, "ab", hash_signing_key(KEY))
        try:
            yield server, platform
        finally:
            platform.close()
            server.stop()


def test_a_signed_sync_may_end_with_a_newline_that_is_not_signed(tmp_path: Path) -> None:
    with started(tmp_path, KEY) as (_, platform):
        apps = "{ apps { name error functionCount } }"
        found = wait_until(lambda: [a for a in platform.gql(apps)["apps"] if a["functionCount"]])
        assert found == [{"name": "go", "error": None, "functionCount": 1}]


def test_a_refused_sync_is_logged(tmp_path: Path) -> None:
    with started(tmp_path, "ff" * 32) as (server, platform):
        line = wait_until(lambda: next((x for x in server.tail().splitlines() if "app sync failed" in x), None))
        assert "its signing key and this server's differ" in line
        assert platform.gql("{ apps { error } }")["apps"] == [{"error": "unauthorized"}]
