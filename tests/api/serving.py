"""A server in a process of its own: started on a free port over one folder, killed, stopped, started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

POLL_S = 0.01


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """This process's environment without what steers servers from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("INNGEST_", "HOLDFAST_"))}


def command(mode: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "holdfast.server.cli", mode, *options]


def run_to_end(mode: str, *options: str, timeout: float = 60) -> tuple[int, str]:
    """Exit code and output of a command that is expected to end by itself."""
    done = subprocess.run(
        command(mode, *options), check=False, capture_output=True, timeout=timeout, env=environment(), text=True
    )
    return done.returncode, done.stdout + done.stderr


class Served:
    """`holdfast dev --persist` over `folder`; what it logs goes to `folder`/server.log."""

    def __init__(self, folder: Path, *options: str, mode: str = "dev") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self.database = folder / "main.db"
        common = ["--host", "127.0.0.1", "--port", str(self.port), "--sqlite-dir", str(folder), "--json"]
        kept = ["--persist", "--no-discovery", "--no-poll"] if mode == "dev" else []
        self.command = command(mode, *common, *kept, *options)
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout: float = 30) -> float:
        """Start and wait until it answers; returns the seconds that took."""
        began = time.perf_counter()
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment())
        while not self.healthy():
            if self.child.poll() is not None or time.perf_counter() - began > timeout:
                code = self.child.poll()
                self.kill()
                raise AssertionError(f"server is not up (exit code {code}):\n{self.tail()}")
            time.sleep(POLL_S)
        return time.perf_counter() - began

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.child is not None
        self.child.send_signal(number)

    def stop(self, timeout: float = 10) -> int:
        """Ask it to end; returns the exit code."""
        assert self.child is not None
        if self.child.poll() is None:
            self.signal()
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def errors(self) -> list[str]:
        """Lines of the log that tell of an error or an exception."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if '"level": "error"' in line or "Traceback" in line or line.startswith("ERROR")]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(f"{self.url}{path}", body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def send(self, name: str, data: dict[str, Any], **more: object) -> list[str]:
        """Send one event; returns the ids of the answer."""
        body = json.dumps({"name": name, "data": data, **more}).encode()
        status, answer = self.request("POST", "/e/test", body, {"content-type": "application/json"})
        assert status == 200, answer
        ids: list[str] = json.loads(answer)["ids"]
        return ids

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the database, read beside the server."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()
