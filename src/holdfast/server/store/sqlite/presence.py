"""Whether the database that is written is still the one that the next start will find.

SQLite keeps writing to files that were deleted, moved or replaced: nothing fails, and all of it is lost with the
process. So each commit looks at the names of its files before anybody is told that it is durable: two calls of
`stat` and a read of four bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from holdfast.server.store.store import MissingError

_MAGIC: Final = b"SQLite format 3\0"
#: The first bytes of a write-ahead log, but for the lowest bit, which tells the byte order of its checksums.
_LOG_MAGIC: Final = b"\x37\x7f\x06"
_HEADER: Final = 100
_LARGEST_PAGE: Final = 65_536  # does not fit into two bytes, and is written as 1

_BACK: Final = "nothing is accepted until it is back in place, or the server is restarted"
_RESTORE: Final = "stop the server, run `holdfast db check`, and restore a backup with `holdfast db restore FILE`"


class Presence:
    """The files of an open database as they were last: which they are, and how large. Close it after SQLite."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = Path(f"{path.resolve()}-wal")  # beside the file itself, if `path` is a link
        found = path.stat()
        self._file, self._size = (found.st_dev, found.st_ino), found.st_size
        self.log = os.open(self._log_path, os.O_RDONLY)
        """The descriptor of the write-ahead log."""
        opened = os.fstat(self.log)
        self._log = opened.st_dev, opened.st_ino
        self._header: int | None = None  # a descriptor of the database, once it was needed

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.log)
        if self._header is not None:
            os.close(self._header)

    def check(self) -> None:
        """Raise MissingError if the database or its log is gone, another file, or cut off."""
        found = _stat(self._path)
        if found is None:
            raise MissingError(f"the database {self._path} was deleted or moved: {_BACK}")
        if (found.st_dev, found.st_ino) != self._file:
            raise MissingError(f"the database {self._path} was replaced by another file: {_BACK}")
        if found.st_size != self._size:
            self._check_size(found.st_size)
        log = _stat(self._log_path)
        if log is None or (log.st_dev, log.st_ino) != self._log:
            raise MissingError(f"the log {self._log_path} was deleted, moved or replaced: {_RESTORE}")
        if os.pread(self.log, len(_LOG_MAGIC), 0) != _LOG_MAGIC:
            raise MissingError(f"the log {self._log_path} was truncated: {_RESTORE}")

    def trouble(self) -> str:
        """Why what is written would not be found again; empty if it would."""
        try:
            self.check()
        except MissingError as error:
            return str(error)
        return ""

    def _check_size(self, size: int) -> None:
        """A checkpoint lets the file grow, and shrink to what its first page says."""
        if size < self._size and size < self._said():
            raise MissingError(f"the database {self._path} was truncated: {_RESTORE}")
        self._size = size

    def _said(self) -> float:
        """How many bytes the first page says that the file has: no end of them if it says nothing."""
        if self._header is None:
            # Stays open: with any descriptor of the file that a process closes, it loses SQLite's locks.
            self._header = os.open(self._path, os.O_RDONLY)
        head = os.pread(self._header, _HEADER, 0)
        if len(head) < _HEADER or not head.startswith(_MAGIC):
            return float("inf")
        page = int.from_bytes(head[16:18])
        return (page if page > 1 else _LARGEST_PAGE) * int.from_bytes(head[28:32])


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - for each commit: a third faster than Path's
    except OSError:
        return None
