"""A dev server for a test session, in a process of its own: `server.start()`, `server.stop()`.

`DEV_SERVER_PORT` is its port (8288), `DEV_SERVER_ENABLED=0` says that somebody else runs it, and `DEV_SERVER_LOGS=1`
appends what it prints to `artifacts/dev_server.log`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

__all__ = ["server"]

_LOG: Final = Path("artifacts/dev_server.log")
_READY_S: Final = 60.0


class DevServer:
    """The server of this process's tests."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Its port."""
        return int(os.environ.get("DEV_SERVER_PORT", "8288"))

    @property
    def origin(self) -> str:
        """Its URL, without a path."""
        return f"http://0.0.0.0:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers; raise RuntimeError if it runs already, or does not come up."""
        if os.environ.get("DEV_SERVER_ENABLED") == "0":
            return
        if self._process is not None:
            raise RuntimeError("the dev server is running already")
        command = [sys.executable, "-m", "holdfast", "dev", "--no-discovery", "--no-poll", "--port", str(self.port)]
        output = _log() if os.environ.get("DEV_SERVER_LOGS") == "1" else subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - our own
        deadline = time.monotonic() + _READY_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the dev server did not come up: {' '.join(command)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; raise RuntimeError if it was not started."""
        if os.environ.get("DEV_SERVER_ENABLED") == "0":
            return
        if self._process is None:
            raise RuntimeError("the dev server is not running")
        process, self._process = self._process, None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _is_ready(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).close()
        except (urllib.error.URLError, OSError):
            return False
        return True


def _log() -> int:
    _LOG.parent.mkdir(exist_ok=True)
    return os.open(_LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)


server: Final = DevServer()
