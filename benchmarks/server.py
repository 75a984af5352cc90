"""The measured server: a process of its own over an SQLite file, watched from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`holdfast dev --persist`, or `start`, in `folder`: SQLite file, synchronous=FULL."""

    def __init__(self, folder: Path, *options: str, mode: str = "dev") -> None:
        self.folder = folder
        own = ["--persist", "--no-discovery", "--no-poll"] if mode == "dev" else []
        self._options = [mode, *own, *options]
        self.port = _free_port()
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts; returns the seconds from exec to the first answer."""
        command = [
            sys.executable, "-m", "holdfast.server.cli", *self._options,
            "--host", "127.0.0.1", "--port", str(self.port), "--sqlite-dir", str(self.folder), "--json",
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)  # Ctrl-C is ours
        self.pid = self._process.pid
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "server.log").read_text())
            time.sleep(0.002)
        return time.perf_counter() - began

    def stop(self) -> None:
        """Ends the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    # --- from outside -----------------------------------------------------------------------------------------------

    def cpu_s(self) -> float:
        """CPU time of all threads so far, in seconds, as the scheduler counted it."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((t / "schedstat").read_text().split()[0]) for t in threads) / 1e9

    def rss_mib(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
