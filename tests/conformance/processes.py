"""Processes of the conformance suites: the server, the apps; each with a free port, a log file and an end."""

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
POLL = 0.02


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """This process's environment without what steers SDKs and servers from outside."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("INNGEST_", "HOLDFAST_"))}
    return {**mine, "PYTHONUNBUFFERED": "1", **extra}


class Process:
    """A child process that answers HTTP on a port of its own; its output goes to a log file."""

    def __init__(self, command: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> None:
        self.command = command
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.env = clean_environment(env or {})
        self.child: subprocess.Popen[bytes] | None = None

    def start(self, ready: str, timeout: float = 30) -> None:
        """Start and wait until `GET ready` answers 200."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.env)
        deadline = time.monotonic() + timeout
        while not self.answers(ready):
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.command} is not up (exit code {self.child.poll()}):\n{self.tail()}")
            time.sleep(POLL)

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(self.url + path, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        child, self.child = self.child, None
        if child is None:
            return
        child.send_signal(how)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def server_process(mode: str, log: Path, *options: str) -> Process:
    """`holdfast dev` or `holdfast start` on free ports, retrying after one second."""
    port = free_port()
    command = [sys.executable, "-m", "holdfast.server.cli", mode, "--port", str(port), "--retry-interval", "1"]
    command += ["--connect-gateway-port", str(free_port()), *options]
    return Process(command, port, log)


def python_app_process(framework: str, log: Path, env: dict[str, str]) -> Process:
    """An app of the official Python SDK; of Holdfast's own with `CONFORMANCE_SDK=holdfast` in the environment."""
    port = free_port()
    script = HERE / "python_app.py"
    if os.environ.get("CONFORMANCE_SDK") == "holdfast":
        script = HERE.parent / "sdk" / "conformance_app.py"
    command = [sys.executable, str(script), framework]
    return Process(command, port, log, {"PORT": str(port), **env})


def js_app_process(log: Path, env: dict[str, str]) -> Process:
    port = free_port()
    return Process(["node", str(HERE / "js_app" / "app.mjs")], port, log, {"PORT": str(port), **env})
