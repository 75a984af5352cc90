"""SIGTERM in `start`: calls in flight finish and count, no new ones are made, probes are told; twice is at once."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from api.serving import Served, environment
from holdfast.server.model.status import RunStatus

from .app import hashed, ran

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "abcd" * 8
KEYS = ("--signing-key", KEY, "--event-key", "test")


class SlowApp:
    """One function with two steps; each call waits to be let go."""

    def __init__(self) -> None:
        self.called = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.calls = 0
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = json.loads(self.rfile.read(int(self.headers["content-length"])))
                app.calls += 1
                app.called.release()
                app.go.acquire(timeout=30)
                done = len(call["steps"])
                body = json.dumps([ran(f"step-{done}", done)] if done < 2 else "ok").encode()
                try:
                    self.send_response(206 if done < 2 else 200)
                    self.send_header("content-type", "application/json")
                    self.send_header("x-inngest-sdk", "inngest-py:v0.5.19")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the server has hung up

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def sync(self, server: Served) -> None:
        url = f"http://127.0.0.1:{self.http.server_port}/api/inngest"
        step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{url}?fnId=slow-f&stepId=step"},
                "retries": {"attempts": 4}}  # fmt: skip
        function = {"id": "slow-f", "name": "f", "triggers": [{"event": "slow/go"}], "steps": {"step": step}}
        request = {"url": url, "deployType": "ping", "appName": "slow", "sdk": "inngest-py:v0.5.19", "v": "0.1",
                   "framework": "raw", "functions": [function]}  # fmt: skip
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        status, answer = server.request("POST", "/fn/register", json.dumps(request).encode(), headers)
        assert status == 200, answer

    def close(self) -> None:
        for _ in range(20):
            self.go.release()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def app() -> Iterator[SlowApp]:
    made = SlowApp()
    yield made
    made.close()


def calling(folder: Path, app: SlowApp, *options: str) -> Served:
    """A server that is calling the app's function."""
    server = Served(folder, *KEYS, *options, mode="start")
    server.start()
    app.sync(server)
    server.send("slow/go", {})
    assert app.called.acquire(timeout=10)
    return server


def wait_until_draining(server: Served) -> None:
    deadline = time.monotonic() + 10
    while server.request("GET", "/ready")[0] == 200:
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.01)


def steps(server: Served) -> list[tuple[object, ...]]:
    return server.query("SELECT step_id, output FROM steps ORDER BY seq")


def test_a_call_in_flight_finishes_and_its_answer_counts(tmp_path: Path, app: SlowApp) -> None:
    server = calling(tmp_path, app, "--drain-timeout", "30s")
    server.signal()
    wait_until_draining(server)
    status, body = server.request("GET", "/ready")
    assert (status, json.loads(body)) == (503, {"status": 503, "message": "draining"})
    assert server.healthy()
    server.send("slow/go", {})  # accepted, but not begun
    app.go.release()
    assert server.child is not None
    assert server.child.wait(10) == 0
    assert app.calls == 1
    assert steps(server) == [(hashed("step-0"), '{"data":0}')]
    assert server.query("SELECT count(*) FROM runs") == [(2,)]
    for _ in range(10):
        app.go.release()
    server.start()
    deadline = time.monotonic() + 10
    while server.query("SELECT count(*) FROM jobs") != [(0,)]:
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.02)
    assert server.query("SELECT DISTINCT status FROM runs") == [(RunStatus.COMPLETED,)]
    assert app.calls == 6  # two runs of three calls: none was made twice
    assert server.stop() == 0
    assert server.errors() == []


def test_connections_end_with_the_answer_while_it_drains(tmp_path: Path, app: SlowApp) -> None:
    server = calling(tmp_path, app)
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert b"connection: close" not in client.recv(4096).lower()
        server.signal()
        wait_until_draining(server)
        client.sendall(b"POST /e/test HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 12\r\n\r\n" + b'{"name":"x"}')
        answer = b""
        while data := client.recv(4096):
            answer += data
        assert b"200 OK" in answer
        assert b"connection: close" in answer.lower()
    app.go.release()
    assert server.stop() == 0


def test_the_drain_has_an_end(tmp_path: Path, app: SlowApp) -> None:
    server = calling(tmp_path, app, "--drain-timeout", "300ms")
    began = time.monotonic()
    assert server.stop() == 0
    assert 0.3 <= time.monotonic() - began < 5
    assert steps(server) == []
    assert server.query("SELECT count(*) FROM jobs") == [(1,)]


def test_a_second_signal_ends_it_at_once(tmp_path: Path, app: SlowApp) -> None:
    server = calling(tmp_path, app, "--drain-timeout", "60s")
    server.signal()
    wait_until_draining(server)
    began = time.monotonic()
    server.signal(signal.SIGINT)
    assert server.child is not None
    assert server.child.wait(5) == 0
    assert time.monotonic() - began < 2
    assert server.query("SELECT count(*) FROM jobs") == [(1,)]


def test_an_idle_server_does_not_wait(tmp_path: Path) -> None:
    server = Served(tmp_path, *KEYS, mode="start")
    server.start()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 3


def test_systemd_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        assert "NOTIFY_SOCKET" not in environment()
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        server = Served(tmp_path, *KEYS, mode="start")
        server.start()
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        assert server.stop() == 0
        manager.setblocking(False)
        heard = b""
        while not heard.startswith(b"STOPPING=1"):
            heard = manager.recv(100)
        assert heard == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=16000000"
        assert (tmp_path / "main.db").exists()
