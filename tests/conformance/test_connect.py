"""Connect: workers of the official SDKs dial in (connect.md)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from .harness import Platform, wait_until
from .processes import HERE, clean_environment, server_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .processes import Process

KINDS = [pytest.param("py", marks=pytest.mark.sdk_python), pytest.param("ts", marks=pytest.mark.sdk_js)]
OWN = pytest.param("own")
KEY = "signkey-test-" + "ab" * 32
LEASE = ("--connect-lease", "4s")


class Worker:
    """A worker process."""

    def __init__(self, kind: str, platform: Platform, log: Path, instance: str, **env: str) -> None:
        self.platform = platform
        self.app_id = f"connect-{kind}"
        self.instance = instance
        self.log = log
        command = [sys.executable, str(HERE / "connect_worker.py")]
        if kind == "ts":
            command = ["node", str(HERE / "js_app" / "connect.mjs")]
            env["NODE_OPTIONS"] = "--experimental-websocket"  # Node 20; its worker threads inherit it only from here
        if kind == "own":
            env["SDK"] = "own"
        given = {"APP_ID": self.app_id, "INSTANCE": instance, "SERVER_URL": platform.url, **env}
        with log.open("ab") as file:
            self.child = subprocess.Popen(command, stdout=file, stderr=file, env=clean_environment(given))

    def ready(self) -> Worker:
        wait_until(lambda: self.status() == 1, 30, "the worker is ready")
        return self

    def status(self) -> int | None:
        """The connection's status as listed; None once it is gone."""
        data = self.platform.http.get("/v0/connect/envs/dev/conns").json()["data"]
        found = [conn.get("status", 0) for conn in data if conn["instance_id"] == self.instance]
        return found[-1] if found else None

    def send(self, name: str, **data: Any) -> str:
        """Send a function's event; returns the id of the run that it starts."""
        event = self.platform.send(f"{self.app_id}/{name}", data)
        return self.platform.runs_of(event)[0]

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
        if self.child.poll() is None:
            self.child.send_signal(how)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise


class Crew:
    """The workers of a test, which end with it."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        self.workers: list[Worker] = []

    def worker(self, kind: str, instance: str = "one", **env: str) -> Worker:
        log = self.folder / f"{kind}-{instance}.log"
        worker = Worker(kind, self.platform, log, instance, **env)
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        for worker in self.workers:
            if worker.child.poll() is None:
                worker.child.kill()
                worker.child.wait()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server whose workers hold short leases."""
    log = tmp_path_factory.mktemp("connect") / "server.log"
    process = server_process("dev", log, "--no-discovery", "--no-poll", *LEASE)
    process.start("/health")
    yield process
    process.stop()


@pytest.fixture
def crew(gateway: Process, tmp_path: Path) -> Iterator[Crew]:
    platform = Platform(gateway.url)
    crew = Crew(platform, tmp_path)
    yield crew
    crew.stop()
    wait_until(lambda: not platform.http.get("/v0/connect/envs/dev/conns").json()["data"], 10, "workers are gone")
    platform.close()


def _kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ts":
        request.getfixturevalue("node_app")
    return str(request.param)


kind = pytest.fixture(_kind, params=KINDS, name="kind")
any_kind = pytest.fixture(_kind, params=[*KINDS, OWN], name="any_kind")


def test_functions_of_all_sorts(crew: Crew, any_kind: str) -> None:
    worker = crew.worker(any_kind).ready()
    runs = {name: worker.send(name) for name in ("two-steps", "parallel", "retried", "fails", "large")}
    ends = {"fails": "FAILED"}
    done = {name: crew.platform.wait_run(run, ends.get(name, "COMPLETED")) for name, run in runs.items()}
    assert done["two-steps"].output == {"first": 1, "second": "ééé"}
    assert done["parallel"].output == [1, 2]
    assert done["retried"].output == 1
    assert done["large"].output == 4_500_000
    assert "never" in str(done["fails"].output)


def test_the_app_and_the_worker_are_listed(crew: Crew, kind: str) -> None:
    worker = crew.worker(kind, LIMIT="7").ready()
    (conn,) = crew.platform.http.get("/v0/connect/envs/dev/conns").json()["data"]
    ((app_id, group),) = conn["synced_worker_groups"].items()
    assert conn["all_worker_groups"] == {worker.app_id: group}
    found = crew.platform.http.get(f"/v0/connect/envs/dev/groups/{group}").json()["data"]
    assert (found["synced"], found["app_id"], found["conns"]) == (True, app_id, [conn["id"]])
    assert f"{worker.app_id}-two-steps" in found["fns"]
    command = [sys.executable, "-m", "holdfast.server.cli", "workers", "--url", crew.platform.url]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, env=clean_environment({})).stdout
    assert listed.splitlines()[1].split()[:5] == ["one", "ready", "0", "of", "7"]
    assert worker.app_id in listed
    data = crew.platform.gql("""{ workerConnections(first: 5, orderBy: [{field: CONNECTED_AT, direction: DESC}],
        filter: {status: [READY]}) { totalCount edges { node { instanceId status appName appVersion maxWorkerConcurrency
        functionCount sdkLang app { method connected } } } } }""")
    assert data["workerConnections"]["totalCount"] == 1
    assert data["workerConnections"]["edges"][0]["node"] == {
        "instanceId": "one", "status": "READY", "appName": worker.app_id, "appVersion": "1.2.3",
        "maxWorkerConcurrency": 7, "functionCount": 6, "sdkLang": {"py": "py", "ts": "typescript"}[kind],
        "app": {"method": "CONNECT", "connected": True},
    }  # fmt: skip


def test_a_stopped_worker_ends_its_work_first(crew: Crew, any_kind: str) -> None:
    worker = crew.worker(any_kind).ready()
    run = worker.send("slow", seconds=3)
    wait_until(lambda: crew.platform.run(run).status == "RUNNING")
    time.sleep(0.3)
    worker.child.send_signal(signal.SIGTERM)
    wait_until(lambda: worker.status() == 2, 5, "it drains")
    later = worker.send("slow", seconds=0)
    assert crew.platform.wait_run(run).output == "one"
    assert worker.child.wait(10) == 0
    wait_until(lambda: worker.status() is None, 3, "it is gone from the list")
    assert crew.platform.run(later).status == "QUEUED"
    crew.worker(any_kind, "two").ready()
    assert crew.platform.wait_run(later).output == "two"


def test_a_lease_is_kept_as_long_as_the_worker_lives(crew: Crew, kind: str) -> None:
    worker = crew.worker(kind).ready()
    run = worker.send("slow", seconds=11)  # leases last 4 s, and 5 s of grace
    assert crew.platform.wait_run(run, timeout=30).output == "one"


def test_a_killed_worker_loses_its_call_and_no_other(crew: Crew, kind: str) -> None:
    one = crew.worker(kind).ready()
    lost = one.send("slow", seconds=60)
    wait_until(lambda: crew.platform.run(lost).status == "RUNNING")
    time.sleep(0.5)
    one.stop(signal.SIGKILL)
    waiting = one.send("slow", seconds=0)
    crew.worker(kind, "two").ready()
    assert crew.platform.wait_run(waiting).output == "two"
    run = crew.platform.wait_run(lost, "FAILED", timeout=30)
    assert "connect_worker_stopped_responding" in str(run.output)


def test_no_more_calls_than_a_worker_takes(crew: Crew, kind: str) -> None:
    worker = crew.worker(kind, LIMIT="1").ready()
    crew.worker(kind, "two", LIMIT="1").ready()
    runs = [worker.send("slow", seconds=3) for _ in range(3)]
    wait_until(lambda: crew.platform.run(runs[1]).status == "RUNNING")
    assert crew.platform.run(runs[0]).status == "RUNNING"
    assert crew.platform.run(runs[2]).status == "QUEUED"
    outputs = [crew.platform.wait_run(run).output for run in runs]
    assert set(outputs[:2]) == {"one", "two"}


@pytest.mark.sdk_python
def test_a_cancelled_run_ends_its_task(crew: Crew) -> None:
    worker = crew.worker("py").ready()
    run = worker.send("slow", seconds=60)
    wait_until(lambda: crew.platform.run(run).status == "RUNNING")
    time.sleep(0.5)
    assert crew.platform.http.delete(f"/v1/runs/{run}").is_success
    wait_until(lambda: "slow was cancelled" in worker.log.read_text(), 10, "the SDK cancels the function")


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back(any_kind: str, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    options = ("--no-discovery", "--no-poll", "--persist", "--sqlite-dir", str(tmp_path / "db"), *LEASE)
    process = server_process("dev", log, *options)
    process.start("/health")
    platform = Platform(process.url)
    crew = Crew(platform, tmp_path)
    try:
        worker = crew.worker(any_kind).ready()
        run = worker.send("slow", seconds=4)
        wait_until(lambda: platform.run(run).status == "RUNNING")
        process.kill()
        process.start("/health")
        assert platform.wait_run(run, timeout=60).output == "one"
        worker.ready()
        assert platform.wait_run(worker.send("two-steps")).status == "COMPLETED"
    finally:
        crew.stop()
        platform.close()
        process.stop()


def test_start_wants_the_signing_key(kind: str, tmp_path: Path) -> None:
    options = ("--signing-key", KEY.removeprefix("signkey-test-"), "--event-key", "events", "--sqlite-dir")
    process = server_process("start", tmp_path / "server.log", *options, str(tmp_path / "db"))
    process.start("/health")
    platform = Platform(process.url, "events", KEY.removeprefix("signkey-test-"))
    crew = Crew(platform, tmp_path)
    try:
        stranger = crew.worker(kind, "stranger", SIGNING_KEY="signkey-test-" + "cd" * 32)
        worker = crew.worker(kind, SIGNING_KEY=KEY, EVENT_KEY="events").ready()
        assert platform.wait_run(worker.send("two-steps")).status == "COMPLETED"
        assert stranger.status() is None
    finally:
        crew.stop()
        platform.close()
        process.stop()
