"""A server in the test's process, the plugin's fixtures, and the dev server of the official suites."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import flask
import httpx
import inngest
import pytest
from werkzeug.serving import make_server

from holdfast.testing import plugin
from holdfast.testing.clock import VirtualClock
from holdfast.testing.graphql import GraphQLClient, RunStatus
from holdfast.testing.server import LocalServer

with warnings.catch_warnings():  # of the package's own modules
    warnings.simplefilter("ignore")
    import inngest.flask

FLAGS = ["-q", "-p", "no:cacheprovider", "-p", "no:holdfast", "-p", "holdfast.testing.plugin", "-p", "no:randomly"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(origin: str) -> Iterator[inngest.Inngest]:
    """A Flask app with one function of the official SDK, registered at a server."""
    client = inngest.Inngest(app_id="shop", is_production=False, api_base_url=origin, event_api_base_url=origin)

    @client.create_function(fn_id="order", trigger=inngest.TriggerEvent(event="go"), retries=1)
    def order(ctx: inngest.ContextSync) -> str:
        ctx.step.run("pay", lambda: {"paid": 1})
        ctx.step.sleep("nap", timedelta(days=3))
        ctx.step.sleep("nap again", timedelta(days=3))
        if ctx.attempt == 0:
            raise ValueError("first try")
        return "done"

    app = flask.Flask("shop")
    inngest.flask.serve(app, client, [order])
    web = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        answer = httpx.put(f"http://127.0.0.1:{web.server_port}/api/inngest")
        assert answer.status_code == 200, answer.text
        yield client
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
        client._http_client._http_client_sync.close()  # nobody else does


def test_an_app_over_http_in_virtual_time() -> None:
    clock = VirtualClock()
    start = clock.now_ms()
    with LocalServer(clock=clock) as server, served(server.url) as client:
        (event_id,) = client.send_sync(inngest.Event(name="go", data={"id": 1}))
        (run_id,) = server.client.get_run_ids_from_event_id(event_id)
        server.advance("5d")
        assert server.client.wait_for_run_status(run_id, RunStatus.RUNNING).id == run_id
        server.advance("2d")
        found = server.client.wait_for_run_status(run_id, RunStatus.COMPLETED)
        assert (json.loads(found.output or ""), found.event["data"]) == ("done", {"id": 1})
        assert json.loads(server.client.get_step_output(run_id=run_id, step_id="pay")) == {"paid": 1}
        with pytest.raises(LookupError, match="no step 'typo', only"):
            server.client.get_step_output(run_id=run_id, step_id="typo")
        with pytest.raises(AssertionError, match="ended as COMPLETED, not FAILED"):
            server.client.wait_for_run_status(run_id, RunStatus.FAILED)
    assert clock.now_ms() - start == 7 * 86_400_000


def test_a_server_is_ready_soon_and_leaves_nothing() -> None:
    threads = set(threading.enumerate())
    times = []
    for _ in range(3):
        began = time.process_time()
        with LocalServer() as server:
            times.append(time.process_time() - began)
            assert httpx.get(f"{server.url}/health").status_code == 200
            with pytest.raises(RuntimeError, match="lives in real time"):
                server.advance("1d")
    assert min(times) <= 0.2  # CPU: the machine may be busy
    assert not {t for t in set(threading.enumerate()) - threads if t.name.startswith("holdfast")}


PLUGIN = """
import inngest
from datetime import timedelta

client = inngest.Inngest(app_id="shop", is_production=False)

@client.create_function(fn_id="order", trigger=inngest.TriggerEvent(event="go"))
async def order(ctx):
    await ctx.step.sleep("nap", timedelta(days=3))
    return 1

def test_clock(holdfast_server, clock):
    before = clock.now_ms
    clock.advance("3d")
    assert clock.now_ms == before + 3 * 86_400_000
    assert holdfast_server.url.startswith("http://127.0.0.1:")

def test_run(holdfast_run, trace_snapshot):
    run = holdfast_run(order, "go", client=client)
    assert run.ended
    trace_snapshot(run)
"""


def pytest_of(folder: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", *FLAGS, *options, "test_it.py"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.slow
def test_the_fixtures_of_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PLUGIN)
    with pytest.raises(pytest.fail.Exception, match=r"there is no snapshot .* --holdfast-update"):
        plugin._compare("trace", tmp_path / "none.txt", update=False)
    code, output = pytest_of(tmp_path, "--holdfast-update")
    assert code == 0, output
    snapshot = (tmp_path / "snapshots/test_it/test_run.txt").read_text()
    assert snapshot == "shop-order: completed\n  nap (Sleep) completed: null\n  -> 1\n"
    file = tmp_path / "snapshots/test_it/test_run.txt"
    plugin._compare(snapshot, file, update=False)
    with pytest.raises(AssertionError, match="the trace differs from"):
        plugin._compare(snapshot.replace("-> 1", "-> 2"), file, update=False)


SUITE = """
import os
from holdfast.testing import dev_server as ours
ours.replace_official()
from inngest.experimental import dev_server

def pytest_configure(config):
    dev_server.server.start()

def pytest_unconfigure(config):
    dev_server.server.stop()
"""
SUITE_TEST = """
import httpx
from inngest.experimental import dev_server
from inngest.experimental.dev_server import server

def test_it():
    assert httpx.get(f"{server.origin}/health").status_code == 200
    assert dev_server.server is server
    try:
        server.start()
    except RuntimeError as error:
        assert "runs already" in str(error)
    else:
        raise AssertionError
"""


@pytest.mark.slow
def test_a_suite_of_the_official_sdk_finds_our_dev_server(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SUITE)
    (tmp_path / "test_it.py").write_text(SUITE_TEST)
    port = free_port()
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "DEV_SERVER_PORT": str(port), "DEV_SERVER_LOGS": "1"}, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert str(port) in (tmp_path / "artifacts/dev_server.log").read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")


def test_a_dev_server_that_is_switched_off_does_nothing(tmp_path: Path) -> None:
    code = "from holdfast.testing.dev_server import server; server.start(); server.stop(); print(server.origin)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "DEV_SERVER_ENABLED": "0", "DEV_SERVER_PORT": "1234"},
    )  # fmt: skip
    assert ran.stdout == "http://0.0.0.0:1234\n"


def test_a_client_that_waits_in_vain_says_for_what() -> None:
    with LocalServer() as server:
        client = GraphQLClient(server.url)
        with pytest.raises(TimeoutError, match=r"is unknown after 0\.2 s, not COMPLETED"):
            client.wait_for_run_status("01M8QF2ZS63SKRHTN4K25FN6QP", RunStatus.COMPLETED, timeout=0.2)
        with pytest.raises(TimeoutError, match=r"started 0 runs within 0\.2 s, not 1"):
            client.get_run_ids_from_event_id("01M8QF2ZS63SKRHTN4K25FN6QP", timeout=0.2)
