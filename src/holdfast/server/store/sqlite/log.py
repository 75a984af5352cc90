"""The write-ahead log: a thread moves it into the database while commits go on; slow disks sync beside the loop."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

#: Pages of the log after which it is moved.
CHECKPOINT_PAGES = 2_000
#: A disk whose median commit takes longer than this (seconds) syncs on another thread.
SLOW_COMMIT_S = 0.002
SAMPLE = 50
_EVERY = 64  # commits between two looks at the log's size
_PAGE = 4_096


class Disk:
    """How long commits wait for the disk."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=SAMPLE)
        self._commits = 0

    def slow(self, commit_s: float) -> bool:
        """Count a commit. Return whether the median of the last ones says that the disk is slow."""
        self._times.append(commit_s)
        self._commits += 1
        if self._commits % SAMPLE or sorted(self._times)[SAMPLE // 2] <= SLOW_COMMIT_S:
            return False
        median_ms = round(sorted(self._times)[SAMPLE // 2] * 1e3, 2)
        log.info("disk syncs are slow; moving them to a thread", median_ms=median_ms)
        return True


class Log:
    """The log of one database; `file` is its descriptor."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._thread: threading.Thread | None = None
        self._commits = 0
        self.synchronous = "FULL"
        """SQLite's word for when it waits for the disk."""

    @property
    def pages(self) -> int:
        """How large the log is, in pages."""
        return os.fstat(self._file).st_size // _PAGE

    @property
    def settled(self) -> bool:
        """Whether no move is under way."""
        return self._thread is None

    @property
    def unfinished(self) -> bool:
        """Whether the end of the log is still to be moved: by `finish`, off the loop, before the next commit."""
        return self._thread is not None and not self._thread.is_alive()

    def committed(self) -> None:
        """Look at the log's size after a commit, now and then."""
        self._commits += 1
        if not self._commits % _EVERY:
            self.settle()

    def settle(self) -> None:
        """Begin to move the log if it is long: a thread moves nearly all of it, the rest is left to `finish`."""
        if self._thread is None and self.pages > CHECKPOINT_PAGES:
            self._thread = threading.Thread(target=self.move, name="checkpoint", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Move the end of the log, while nothing is written: only one that was moved as a whole starts over."""
        self.move()
        self._thread = None

    def move(self) -> None:
        """Move the log into the database, on a connection of its own: made for another thread, commits go on."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout=5000")
            db.execute(f"PRAGMA synchronous={self.synchronous}")
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        """Wait for a move under way."""
        if self._thread is not None:
            self._thread.join(timeout=5)
