"""The disk under a server: little room is told before there is none, and so is a file that was taken away."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

#: Seconds between two looks.
INTERVAL_S = 60.0
#: Little room is less than this many bytes, and less than this share of the disk: a small disk may be nearly full.
LOW_BYTES = 1024 * 1024 * 1024
LOW_SHARE = 0.1

_GONE = (
    "the database file was deleted or replaced under the running server: what it accepts is lost when it stops. "
    "Stop it, and put a backup in place with `holdfast db restore FILE`"
)


class Disk:
    """Looks at the database's file and its disk once a minute. `free`, `low` and `gone` are plain, for metrics."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = path.stat().st_ino
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0
        """Bytes of the database and its log."""
        self.free = 0
        """Bytes that are free on its disk."""
        self.low = False
        self.gone = False

    def start(self) -> None:
        """Begins to look."""
        self.look()
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self.start)

    def close(self) -> None:
        """Stops."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Looks once, and logs what is new."""
        was_low, was_gone = self.low, self.gone
        self._look()
        if self.gone and not was_gone:
            log.error(_GONE, database=str(self._path))
        if self.low and not was_low:
            log.warning("little room on the disk", database=str(self._path), free_mib=self.free // 2**20)
        elif was_low and not self.low:
            log.info("there is room on the disk again", free_mib=self.free // 2**20)

    def _look(self) -> None:
        try:
            found = self._path.stat()
        except OSError:
            self.gone = True
            return
        self.gone = found.st_ino != self._inode
        self.size = found.st_size
        with contextlib.suppress(OSError):
            self.size += Path(f"{self._path}-wal").stat().st_size
        disk = os.statvfs(self._path.parent)
        self.free = disk.f_bavail * disk.f_frsize
        self.low = self.free < min(LOW_BYTES, disk.f_blocks * disk.f_frsize * LOW_SHARE)
