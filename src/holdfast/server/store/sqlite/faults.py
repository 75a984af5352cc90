"""What SQLite's errors mean for who runs the server: what happened to the file, and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from holdfast.server.store.store import DiskFullError, StoreError

_FULL: Final = "the disk is full; free space on it, a running server goes on by itself"
_READ_ONLY: Final = "it or its folder is read-only, or belongs to another user"
_MEND: Final = "look at it with `holdfast db check`, put a backup in its place with `holdfast db restore FILE`"

#: By the primary result code; the extended ones have it in their lowest byte.
_TEXTS: Final = {
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: check that its folder exists and belongs to this user",
    sqlite3.SQLITE_CORRUPT: f"it is damaged: {_MEND}",
    sqlite3.SQLITE_NOTADB: f"it is no SQLite database, or a damaged one: {_MEND}",
}


def fault(path: Path, error: Exception) -> StoreError:
    """An error of SQLite or of the system, told with its file and what to do; DiskFullError if there is no room."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}):
        return DiskFullError(f"can't write the database {path}: {_FULL}")
    text = _TEXTS.get(code, _READ_ONLY if isinstance(error, PermissionError) else "")
    return StoreError(f"can't use the database {path}: {f'{text} ({error})' if text else error}")
