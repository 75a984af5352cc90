"""A dev server in a process of its own, in place of `inngest.experimental.dev_server`: no Node, no download.

`server.start()` and `server.stop()` belong into `pytest_configure` and `pytest_unconfigure`. A suite that imports the
official module uses this one if `replace_official()` is called before. Environment:

- `DEV_SERVER_PORT`: the port, 8288 by default. The gateway of Connect has the next one.
- `DEV_SERVER_LOGS=1`: the server's output is appended to `artifacts/dev_server.log`.
- `DEV_SERVER_ENABLED=0`: `start` and `stop` do nothing; somebody else runs a server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import httpx

from holdfast.testing.graphql import ENDED, FoundRun, GraphQLClient, RunStatus

__all__ = ["ENDED", "FoundRun", "GraphQLClient", "RunStatus", "replace_official", "server"]

_DEFAULT_PORT = 8288
_LOG = Path("artifacts/dev_server.log")
_START_S = 60.0
_STOP_S = 10.0
_POLL_S = 0.02


class DevServer:
    """`holdfast dev` as a child process."""

    def __init__(self) -> None:
        self.port = int(os.environ.get("DEV_SERVER_PORT") or _DEFAULT_PORT)
        self._enabled = os.environ.get("DEV_SERVER_ENABLED") != "0"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """The server's origin."""
        return f"http://0.0.0.0:{self.port}"

    @property
    def client(self) -> GraphQLClient:
        """A client that waits for runs and reads their steps."""
        return GraphQLClient(f"http://127.0.0.1:{self.port}")

    def start(self) -> None:
        """Start the server; returns when it takes workers. Raises RuntimeError if it runs already or can't start."""
        if not self._enabled:
            return
        if self._child is not None:
            raise RuntimeError("the dev server runs already")
        if self._answers():
            raise RuntimeError(f"port {self.port} is taken by another server; choose one with DEV_SERVER_PORT")
        with _output() as output:
            self._child = subprocess.Popen(  # noqa: S603 - this very interpreter
                _command(self.port), stdout=output, stderr=output, env=_environment(), start_new_session=True
            )
        self._await_start(self._child)

    def stop(self) -> None:
        """Stop the server, and wait for its end. Raises RuntimeError if it does not run."""
        if not self._enabled:
            return
        if self._child is None:
            raise RuntimeError("the dev server does not run")
        child, self._child = self._child, None
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _await_start(self, child: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _START_S
        while not self._answers():
            if child.poll() is not None or time.monotonic() > end:
                self._child = None
                child.kill()
                code = child.wait()
                raise RuntimeError(
                    f"the dev server did not start (exit code {code}); DEV_SERVER_LOGS=1 keeps its output"
                )
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        try:
            answer = httpx.post(f"http://127.0.0.1:{self.port}/v0/connect/start", timeout=2, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200


def replace_official() -> None:
    """Let `from inngest.experimental import dev_server` import this module. To be called before anybody does."""
    this = sys.modules[__name__]
    sys.modules["inngest.experimental.dev_server"] = this
    package = sys.modules.get("inngest.experimental")
    if package is not None:
        package.dev_server = this  # type: ignore[attr-defined]


def _command(port: int) -> list[str]:
    options = ["--no-discovery", "--no-poll", "--port", str(port), "--connect-gateway-port", str(port + 1)]
    return [sys.executable, "-m", "holdfast", "dev", *options]


def _environment() -> dict[str, str]:
    """Return this process's environment without what is meant for SDKs, or steers a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("INNGEST_", "HOLDFAST_"))}


def _output() -> IO[bytes]:
    if os.environ.get("DEV_SERVER_LOGS") != "1":
        return Path(os.devnull).open("ab")
    _LOG.parent.mkdir(exist_ok=True)
    return _LOG.open("ab")


server = DevServer()
