"""`kill -9` of workers and of the server under load over Connect: every run ends once, with each of its steps once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.serving import Served, environment, free_port
from holdfast.server.model.status import RunStatus

from .connect_worker import STEPS

ROUNDS = 20
EVENTS = 10
SETTLE_S = 60


class Workers:
    """Worker processes by name; who is killed comes back."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self._log = log
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        command = [sys.executable, str(Path(__file__).parent / "connect_worker.py"), self._url, name]
        with self._log.open("ab") as log:
            self._children[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment())

    def kill(self, name: str) -> None:
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def stop(self) -> None:
        for name in list(self._children):
            self.kill(name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_is_doubled(tmp_path: Path) -> None:
    seed = int(os.environ.get("HOLDFAST_CHAOS_SEED") or time.time_ns() % 1_000_000)
    print(f"HOLDFAST_CHAOS_SEED={seed}")  # noqa: T201 - shown with a failure
    chance = random.Random(seed)
    options = ("--connect-lease", "4s", "--retry-interval", "1", "--connect-gateway-port", str(free_port()))
    server = Served(tmp_path, *options)
    server.start()
    workers = Workers(server.url, tmp_path / "workers.log")
    names = ("one", "two")
    for name in names:
        workers.start(name)
    sent = 0
    try:
        _wait_for(server, len(names))
        for _ in range(ROUNDS):
            for _ in range(EVENTS):
                server.send("chaos/steps", {"n": sent})
                sent += 1
            time.sleep(chance.uniform(0.05, 0.5))
            victim = chance.choice(("server", *names))
            if victim == "server":
                server.kill()
                server.start()
            else:
                workers.kill(victim)
                workers.start(victim)
        _settle(server, tmp_path)
    finally:
        workers.stop()
        server.stop()
    _check(server, sent)


def _wait_for(server: Served, workers: int) -> None:
    """Wait for the first workers: before them there is no function that an event could start."""
    deadline = time.monotonic() + SETTLE_S
    while len(json.loads(server.request("GET", "/v0/connect/envs/dev/conns")[1])["data"]) < workers:
        assert time.monotonic() < deadline, "the workers did not come"
        time.sleep(0.1)


def _settle(server: Served, folder: Path) -> None:
    deadline = time.monotonic() + SETTLE_S
    while (open_runs := server.query("SELECT count(*) FROM runs WHERE status NOT IN (?, ?)", *_ENDED)[0][0]) > 0:
        if time.monotonic() > deadline:
            workers = (folder / "workers.log").read_text()[-2_000:]
            raise AssertionError(f"{open_runs} runs go on\n{server.tail()}\n{workers}")
        time.sleep(0.1)


_ENDED = (RunStatus.COMPLETED.value, RunStatus.FAILED.value)


def _check(server: Served, sent: int) -> None:
    runs = server.query("SELECT id, status, output FROM runs WHERE event_name = 'chaos/steps'")
    assert [status for _, status, _ in runs] == [RunStatus.COMPLETED.value] * sent
    outputs = sorted(json.loads(output) for _, _, output in runs)
    assert outputs == [[n * 10 + step for step in range(STEPS)] for n in range(sent)]
    counted = server.query("SELECT run_id, count(*), count(DISTINCT step_id) FROM steps GROUP BY run_id")
    assert {(total, distinct) for _, total, distinct in counted} == {(STEPS, STEPS)}
    assert not [line for line in server.errors() if "Traceback" in line]
