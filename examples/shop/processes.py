"""The demo's two processes, the server and the shop, and their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

HERE = Path(__file__).parent


class DemoError(Exception):
    """Something the user should read; the demo stops."""


def require_free(port: int, option: str) -> None:
    """Say plainly that a port is taken, before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"Port {port} is in use. Stop what listens there, or choose another: make demo ARGS='{option} N'"
            ) from error


class Child:
    """A process that answers HTTP; what it prints goes to a file."""

    def __init__(self, name: str, command: list[str], url: str, log: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.command = command
        self.url = url
        self.log = log
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: str) -> float:
        """Start it and wait for `GET ready`; returns the seconds that took."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=HERE, env=self.env)
        while not self.answers(ready):
            if self.process.poll() is not None:
                raise DemoError(f"The {self.name} ended at once; its last words, from {self.log}:\n{self.last_words()}")
            if time.monotonic() - began > 20:
                raise DemoError(f"The {self.name} does not answer at {self.url}; see {self.log}")
            time.sleep(0.05)
        return time.monotonic() - began

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(self.url + path, timeout=2).is_success
        except httpx.TransportError:
            return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; one that does not listen is killed."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def server(port: int, data: Path, app_port: int) -> Child:
    """`holdfast dev` with a database that outlives it, retrying after one second.

    Its port for workers is none of the two others: it starts before the app, and would take the app's.
    """
    options = ["--persist", "--sqlite-dir", str(data), "--no-discovery", "--no-poll", "--retry-interval", "1"]
    options += ["--connect-gateway-port", str(max(port, app_port) + 1)]
    command = [sys.executable, "-m", "holdfast.server.cli", "dev", "--port", str(port), *options]
    return Child("server", command, f"http://127.0.0.1:{port}", data / "server.log")


def shop(port: int, data: Path, server_url: str) -> Child:
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    return Child("shop", command, f"http://127.0.0.1:{port}", data / "shop.log", {"HOLDFAST_URL": server_url})
