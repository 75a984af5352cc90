"""`/ready`, `/debug` and `holdfast healthcheck`: whom they tell what."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.serving import Served, environment, free_port

from holdfast.server.api.operators import readiness
from holdfast.server.api.operators.readiness import Readiness

KEY = "abcd" * 8


def healthcheck(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "holdfast.server.cli", "healthcheck", *options]
    done = subprocess.run(command, check=False, capture_output=True, timeout=20, env=environment(), text=True)
    return done.returncode, done.stdout + done.stderr


def reason(phase: str = "running", trouble: str = "", read=None) -> str:
    async def fine() -> None: ...

    readiness = Readiness(lambda: trouble, read or fine)
    readiness.phase = phase
    return asyncio.run(readiness.reason())


def test_what_makes_a_server_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise OSError("disk on fire")

    async def stuck() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(readiness, "PATIENCE_S", 0.01)
    assert reason() == ""
    assert reason("starting") == "starting"
    assert reason("draining", "x") == "draining"
    assert reason(trouble="the disk is full") == "the disk is full"
    assert reason(read=broken) == "the store can't be read"
    assert reason(read=stuck) == "the store does not respond"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = ("--signing-key", KEY, "--event-key", "topsecret")
    with Served(tmp_path_factory.mktemp("ready"), *keys, mode="start") as made:
        yield made


def get(server: Served, path: str) -> tuple[int, str]:
    status, body = server.request("GET", path, headers={"authorization": f"Bearer {KEY}"})
    return status, body.decode()


def test_everybody_may_probe(server: Served) -> None:
    assert server.request("GET", "/ready") == (200, b'{"status":200,"message":"OK"}\n')
    assert server.request("HEAD", "/ready")[0] == 200
    assert server.request("POST", "/ready", b"")[0] == 405


@pytest.mark.parametrize(
    "path", ["", "/engine", "/tasks", "/vars", "/memory", "/profile?seconds=0.1", "/loop?seconds=0.1"]
)
def test_debug_is_for_admins(server: Served, path: str) -> None:
    assert server.request("GET", f"/debug{path}")[0] in {401, 403}
    assert get(server, f"/debug{path}")[0] == 200


def test_metrics_want_a_credential(server: Served) -> None:
    assert server.request("GET", "/metrics")[0] == 401
    assert "holdfast_ready 1.0" in get(server, "/metrics")[1]


def test_debug_shows_no_secrets(server: Served) -> None:
    status, text = get(server, "/debug/vars")
    told = json.loads(text)
    assert status == 200
    assert told["config"]["kind"] == "cloud"
    assert told["config"]["signing_key"] == "********"
    assert KEY not in text
    assert "topsecret" not in text


def test_debug_pages(server: Served) -> None:
    engine = json.loads(get(server, "/debug/engine")[1])
    assert engine["partition"]["trouble"] is None
    assert engine["queue"] == {"workers": 100, "free": 100, "waiting": 0, "leases": 0}
    assert "MainThread" in get(server, "/debug/tasks")[1]
    assert "objects" in get(server, "/debug/memory")[1]


def test_a_profile_shows_the_loop(server: Served) -> None:
    status, text = get(server, "/debug/profile?seconds=0.2")
    assert status == 200
    assert "samples of the event loop's thread in 0.2 s" in text
    assert "holdfast.server.serve" in text
    line = get(server, "/debug/profile?seconds=0.2&format=collapsed")[1].splitlines()[0]
    assert ";" in line
    assert line.rpartition(" ")[2].isdecimal()


def test_the_longest_turns_of_the_loop_are_shown(server: Served) -> None:
    seen = json.loads(get(server, "/debug/loop?seconds=0.2")[1])
    assert seen["turns"] > 10
    longest = seen["longest_ms"]
    assert len(longest) == 10
    assert longest == sorted(longest, reverse=True)
    assert 0 < longest[0] < 200
    assert get(server, "/debug/loop?seconds=0")[0] == 400


@pytest.mark.parametrize("query", ["seconds=x", "seconds=0", "seconds=61", "seconds=nan", "format=pprof"])
def test_wrong_profiles(server: Served, query: str) -> None:
    status, text = get(server, f"/debug/profile?{query}")
    assert status == 400
    assert "seconds is a number up to 60" in text


def test_healthcheck(server: Served) -> None:
    assert healthcheck("--port", str(server.port)) == (0, "")
    code, text = healthcheck("--port", str(server.port), "-v")
    assert code == 0
    assert text.splitlines()[1].startswith("/ready 200")


def test_healthcheck_of_nobody() -> None:
    port = free_port()
    assert healthcheck("--port", str(port)) == (1, f"Error: http://127.0.0.1:{port}/health: Connection refused\n")


def test_healthcheck_of_a_server_whose_database_is_gone(tmp_path: Path) -> None:
    with Served(tmp_path) as made:
        made.database.unlink()
        code, text = healthcheck("--port", str(made.port))
        assert code == 1
        assert "/ready 503" in text
        assert "the database file was moved, replaced or truncated" in text
        assert healthcheck("--port", str(made.port), "--live") == (0, "")
