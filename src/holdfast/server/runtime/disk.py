"""The disk under a server: little room is told before there is none, and so is a file that was taken away."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

#: Seconds between two looks.
INTERVAL_S = 60.0
#: Little room is less than this many bytes, and less than this share of the disk: a small disk may be nearly full.
LOW_BYTES = 1024 * 1024 * 1024
LOW_SHARE = 0.1


class Disk:
    """Looks at the database's file and its disk once a minute. `free` and `low` are plain, for metrics.

    `missing` tells why the database is not where it was; empty if it is.
    """

    def __init__(self, path: Path, missing: Callable[[], str]) -> None:
        self._path = path
        self.missing = missing
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0
        """Bytes of the database and its log."""
        self.free = 0
        """Bytes that are free on its disk."""
        self.low = False
        self.gone = ""
        """Why the database is not where it was, as of the last look; empty if it is."""

    def start(self) -> None:
        """Begin to look."""
        self.look()
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self.start)

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Look once, and log what is new."""
        was_low, was_gone = self.low, self.gone
        self._look()
        if self.gone and not was_gone:
            log.error("the database file is gone: writes would be lost", error=self.gone)
        if self.low and not was_low:
            log.warning("low disk space", database=str(self._path), free_mib=self.free // 2**20)
        elif was_low and not self.low:
            log.info("enough disk space again", free_mib=self.free // 2**20)

    def _look(self) -> None:
        self.gone = self.missing()
        with contextlib.suppress(OSError):
            self.size = self._path.stat().st_size + Path(f"{self._path}-wal").stat().st_size
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:  # the folder was moved
            return
        self.free = disk.f_bavail * disk.f_frsize
        self.low = self.free < min(LOW_BYTES, disk.f_blocks * disk.f_frsize * LOW_SHARE)


class NoDisk(Disk):
    """Stands for the disk of a database on another machine, which looks after itself."""

    def __init__(self) -> None:
        super().__init__(Path(), str)

    def look(self) -> None:
        """Do nothing."""
