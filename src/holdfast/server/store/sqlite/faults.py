"""What SQLite's errors mean for who runs the server: what happened to the file, and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from holdfast.server.store.store import DiskFullError, StoreError

_FULL: Final = "the disk is full; free some space, a running server recovers by itself"
_READ_ONLY: Final = "it or its folder is read-only, or belongs to another user"
_MEND: Final = "find a valid backup with `holdfast db check FILE`, and restore it with `holdfast db restore FILE`"

#: By the primary result code; the extended ones have it in their lowest byte.
_TEXTS: Final = {
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: check that its folder exists and belongs to this user",
    sqlite3.SQLITE_CORRUPT: f"it is damaged: {_MEND}",
    sqlite3.SQLITE_NOTADB: f"it is not a SQLite database, or is damaged: {_MEND}",
}


def fault(path: Path, error: Exception) -> StoreError:
    """An error of SQLite or of the system, told with its file and what to do; DiskFullError if there is no room."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}):
        return DiskFullError(f"can't write the database {path}: {_FULL}")
    text = _of_system(error) if isinstance(error, OSError) else _TEXTS.get(code, "")
    told = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return StoreError(f"can't use the database {path}: {f'{text} ({told})' if text else told}")


def _of_system(error: OSError) -> str:
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return _READ_ONLY
    return "its folder is a file" if isinstance(error, (FileExistsError, NotADirectoryError)) else ""
