"""`holdfast start`: keys on every side, and runs that survive `kill -9` (http-apis.md §15.2, execution.md §6)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from .fleet import Fleet
from .harness import App, Platform, wait_until
from .processes import Process, free_port, js_app_process, python_app_process, server_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .raw import Endpoint

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
OTHER_KEY = "ff" * 32
EVENT_KEY = "0123456789abcdef"
HASHED = hashlib.sha256(bytes.fromhex(KEY)).hexdigest()
KINDS = [pytest.param("flask", marks=pytest.mark.sdk_python), pytest.param("js", marks=pytest.mark.sdk_js)]


def start_server(folder: Path, key: str = KEY, *more: str) -> Process:
    options = ["--signing-key", key, "--event-key", EVENT_KEY, "--sqlite-dir", str(folder / "data"), *more]
    process = server_process("start", folder / "server.log", *options)
    process.start("/health")
    return process


@contextlib.contextmanager
def deployment(
    url: str, upstream: Endpoint, folder: Path, signing_key: str = KEY, fallback: str = ""
) -> Iterator[Fleet]:
    platform = Platform(url, EVENT_KEY, HASHED)
    keys = {"SIGNING_KEY": signing_key, "EVENT_KEY": EVENT_KEY}
    if fallback:
        keys["INNGEST_SIGNING_KEY_FALLBACK"] = fallback
    fleet = Fleet(platform, upstream.url, folder, keys)
    try:
        yield fleet
    finally:
        fleet.stop()
        platform.close()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, upstream: Endpoint) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("start")
    server = start_server(folder)
    with deployment(server.url, upstream, folder) as fleet:
        yield fleet
    server.stop()


@pytest.fixture(params=KINDS)
def signed_app(request: pytest.FixtureRequest, start: Fleet) -> App:
    if request.param == "js":
        request.getfixturevalue("node_app")
    return start.app(request.param)


def test_calls_are_signed(signed_app: App) -> None:
    run = signed_app.finish("two-steps")
    assert run.output == {"a": 1, "b": {"sum": 2}}
    for call in signed_app.calls(run.id):
        stamp, signature = (part.split("=", 1)[1] for part in call["headers"]["x-inngest-signature"].split("&"))
        assert abs(int(stamp) - time.time()) < 60
        assert len(signature) == 64


def test_the_state_is_fetched_with_the_key(signed_app: App) -> None:
    assert signed_app.finish("large-state", timeout=30).output == 4_400_000


def test_values_are_signed_as_they_are_sent(signed_app: App) -> None:
    assert signed_app.finish("values").output[2] == [0, -1, 1.5, 1e21, 9007199254740991, True, False]


def test_large_integers_and_floats_reach_apps_as_they_were_sent(signed_app: App) -> None:
    """Both SDKs check the canonical form of what they receive, which rounds: the original may be sent."""
    shown = signed_app.finish("exact-numbers", {"id": 1145678901234567890}).output
    if signed_app.is_python:
        assert shown == ["1145678901234567890", "1145678901234567890", "1.0"]
    else:  # JavaScript rounds by itself
        assert shown == ["1145678901234568000"]


def test_a_retry_is_signed_too(signed_app: App) -> None:
    assert signed_app.finish("step-retry").output["after"] == 0


@pytest.mark.sdk_python
def test_an_app_with_another_key_refuses(start: Fleet, upstream: Endpoint, tmp_path: Path) -> None:
    """Its registration is not let in; one that slipped in gets calls it can't verify."""
    with deployment(start.platform.url, upstream, tmp_path, OTHER_KEY) as fleet:
        process = fleet.process("flask")
        url = f"{process.url}/api/inngest"
        refused = httpx.put(url, timeout=10)
        assert "Authentication failed" in refused.text or refused.status_code >= 400
        body = {"v": "0.1", "url": url, "sdk": "py:v0.5.19", "framework": "flask", "appName": "stranger"}
        runtime = {"type": "http", "url": f"{url}?fnId=flask-no-step&stepId=step"}
        steps = {"step": {"id": "step", "name": "step", "runtime": runtime, "retries": {"attempts": 0}}}
        function = {"id": "stranger-fn", "name": "fn", "triggers": [{"event": "stranger/fn"}], "steps": steps}
        assert start.platform.http.post("/fn/register", json={**body, "functions": [function]}).status_code == 200
        run = start.platform.wait_run(start.platform.runs_of(start.platform.send("stranger/fn"))[0], "FAILED")
        assert run.output["name"] == "Server returned a fatal error"
        assert run.output["message"] == "Your server returned HTTP 401 before the SDK responded."


def test_event_keys(start: Fleet) -> None:
    http = start.platform.http
    assert http.post(f"/e/{EVENT_KEY}", json={"name": "nobody/listens"}).status_code == 200
    refused = http.post("/e/wrong", json={"name": "nobody/listens"})
    assert refused.status_code == 401
    assert refused.json() == {"status": 401, "message": "", "error": "Event key not found"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/fn/register"),
        ("GET", "/v1/events"),
        ("GET", "/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("DELETE", "/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("GET", "/v0/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/actions"),
        ("POST", "/v1/checkpoint/01ARZ3NDEKTSV4RRFFQ69G5FAV/async"),
    ],
)
def test_the_signing_key_guards(start: Fleet, method: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}):
        response = httpx.request(method, start.platform.url + path, headers=headers, timeout=10)
        assert response.status_code == 401, path
    for key in (HASHED, KEY, f"signkey-prod-{HASHED}"):
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.request(method, start.platform.url + path, headers=headers, timeout=10).status_code != 401, path


def test_the_kind_of_server(start: Fleet) -> None:
    assert start.platform.http.get("/health").headers["x-inngest-server-kind"] == "cloud"
    assert start.platform.http.get("/dev").status_code == 404


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "signing-key is required"),
        (["--signing-key", "abc", "--event-key", "e"], "signing-key must be hex string with even number of chars"),
        (["--signing-key", "zz", "--event-key", "e"], "signing-key must be valid hex string"),
        (["--signing-key", "abcd"], "at least one event-key is required"),
    ],
)
def test_keys_are_required(tmp_path: Path, options: list[str], error: str) -> None:
    process = server_process("start", tmp_path / "server.log", "--sqlite-dir", str(tmp_path), *options)
    with pytest.raises(AssertionError):
        process.start("/health")
    assert process.child
    assert process.child.returncode == 1
    assert error in process.tail()


@pytest.mark.sdk_python
def test_kill_and_start_again(tmp_path: Path, upstream: Endpoint) -> None:
    """One run asleep, one waiting, one in a retry's delay, one to come: a power cut loses none of them."""
    server = start_server(tmp_path)
    with deployment(server.url, upstream, tmp_path) as fleet:
        app, platform = fleet.app("flask"), fleet.platform
        asleep = app.start("sleep", {"ms": 3000})
        waiting = app.start("wait", {"id": "restart"})
        ahead = app.start("echo", {"n": 1}, ts=int((time.time() + 4) * 1000))
        done = app.finish("two-steps")
        retrying = app.start("step-retry")
        platform.wait_span(asleep, "nap")
        platform.wait_span(waiting, "answer")
        app.wait_ran(retrying, "flaky")
        server.kill()
        server.start("/health")
        run = wait_until(lambda: platform.run(done.id))
        assert (run.status, run.output) == ("COMPLETED", done.output)
        assert platform.wait_run(asleep).output == "awake"
        assert app.ran(asleep) == [("before", 0), ("after", 0)]
        app.send("answer", {"id": "restart"})
        assert platform.wait_run(waiting).output["data"] == {"id": "restart"}
        assert platform.wait_run(retrying).output["flaky"] == "third time lucky"
        assert platform.wait_run(ahead).output["data"] == {"n": 1}
        # functions are known without another sync
        assert app.finish("no-step").output["hello"] == "world"
    server.stop()


@pytest.mark.sdk_python
def test_kill_during_a_call(tmp_path: Path, upstream: Endpoint) -> None:
    """A step under way at the power cut runs again; what was done before does not."""
    server = start_server(tmp_path)
    with deployment(server.url, upstream, tmp_path) as fleet:
        app = fleet.app("flask")
        fleet.platform.gql("{ apps { id } }")  # the first question of all takes longer than the step
        run_id = app.start("slow-step")
        app.wait_ran(run_id, "slow")
        server.kill()
        server.start("/health")
        assert fleet.platform.wait_run(run_id, timeout=70).output == ["slow", 1]
        steps = [step for step, _ in app.ran(run_id)]
        assert steps.count("slow") == 2
        assert steps.count("next") == 1
    server.stop()


@pytest.mark.sdk_python
def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    first = start_server(tmp_path)
    second = server_process("start", tmp_path / "second.log", "--signing-key", KEY, "--event-key", EVENT_KEY)
    at = second.command.index("--port") + 1
    second.command[at] = str(first.port)
    second.command += ["--sqlite-dir", str(tmp_path / "second")]
    second.url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(AssertionError):
        second.start("/health", timeout=10)
    assert str(first.port) in second.tail()
    assert "in use" in second.tail()
    second.stop()
    first.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_an_app_that_cannot_reach_the_server_syncs_in_band(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The signed answer to the server's ping carries the functions (execution.md §1.7)."""
    nowhere = {"SERVER_URL": f"http://127.0.0.1:{free_port()}", "SIGNING_KEY": KEY, "EVENT_KEY": EVENT_KEY}
    if kind == "js":
        request.getfixturevalue("node_app")
    make = js_app_process if kind == "js" else functools.partial(python_app_process, "flask")
    app = make(tmp_path / "app.log", nowhere)
    app.start("/calls")
    path = "/api/inngest"
    options = ["--signing-key", KEY, "--event-key", EVENT_KEY, "--sqlite-dir", str(tmp_path), "-u", app.url + path]
    server = server_process("start", tmp_path / "server.log", *options)
    server.start("/health")
    platform = Platform(server.url, EVENT_KEY, HASHED)
    try:
        found = wait_until(lambda: platform.gql("{ apps { name error functionCount } }")["apps"][0]["functionCount"])
        assert found > 30
        assert [a["error"] for a in platform.gql("{ apps { name error } }")["apps"]] == [None]
    finally:
        platform.close()
        server.stop()
        app.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_rotated_without_downtime(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, upstream: Endpoint
) -> None:
    """As docs/how-to/access.md says: apps get the new key as fallback, the server rotates, the old key is retired.

    A run that sleeps over the rotation is called with the new key afterwards, and fetches its large state.
    """
    if kind == "js":
        request.getfixturevalue("node_app")
    server = start_server(tmp_path)
    with deployment(server.url, upstream, tmp_path, KEY, OTHER_KEY) as fleet:
        app, http = fleet.app(kind), fleet.platform.http
        asleep = app.start("sleep", {"ms": 2500})
        fleet.platform.wait_span(asleep, "nap")
        rotated = http.post("/v0/access/keys/signing/rotate", json={"key": OTHER_KEY})
        assert rotated.status_code == 201, rotated.text
        assert app.finish("two-steps").output == {"a": 1, "b": {"sum": 2}}
        assert app.finish("large-state", timeout=30).output == 4_400_000  # fetched with the old key
        app.sync()
        assert fleet.platform.wait_run(asleep).output == "awake"
        hashed = {"authorization": f"Bearer {hashlib.sha256(bytes.fromhex(OTHER_KEY)).hexdigest()}"}
        assert http.delete("/v0/access/keys/signing/fallback", headers=hashed).status_code == 204
        assert http.get("/v1/events").status_code == 401
        assert http.get("/v1/events", headers=hashed).status_code == 200
    server.stop()
    server.start("/health")  # the configuration still has the old key: the rotation counts
    assert httpx.get(f"{server.url}/v1/events", headers=hashed, timeout=10).status_code == 200
    assert (
        httpx.get(f"{server.url}/v1/events", headers={"authorization": f"Bearer {KEY}"}, timeout=10).status_code == 401
    )
    server.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_the_fallback_of_the_configuration(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, upstream: Endpoint
) -> None:
    """A server with a new key and the old one as fallback serves an app that has them the other way round."""
    if kind == "js":
        request.getfixturevalue("node_app")
    server = start_server(tmp_path, OTHER_KEY, "--signing-key-fallback", KEY)
    with deployment(server.url, upstream, tmp_path, KEY, OTHER_KEY) as fleet:
        app = fleet.app(kind)
        assert app.finish("two-steps").output == {"a": 1, "b": {"sum": 2}}
        assert app.finish("large-state", timeout=30).output == 4_400_000
    server.stop()


def test_graphql_pages_and_metrics_want_a_login(start: Fleet) -> None:
    """Where the reference leaves them open (docs/explanation/deviations.md)."""
    for path in ("/", "/v0/gql", "/metrics", "/debug", "/mcp"):
        refused = httpx.get(start.platform.url + path, timeout=10)
        assert refused.status_code == 401, path
        page = httpx.get(start.platform.url + path, timeout=10, headers={"accept": "text/html"})
        assert page.status_code == 303, path
        assert page.headers["location"].startswith("/login"), path
    assert start.platform.http.get("/").status_code == 200
