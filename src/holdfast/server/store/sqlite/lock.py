"""One server per database: two would each believe that all runs are theirs.

Two locks are held. That of the database file itself can't be deleted apart from it, and counts for every name of the
file. That of the file `<database>.lock` counts for the name, while `db restore` puts another file in its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.files import make_folder, open_private
from holdfast.server.store.store import StoreError

try:
    import fcntl
except ImportError:  # pragma: no cover - no advisory locks on this system
    fcntl = None  # type: ignore[assignment]

#: The byte of a database that is locked: SQLite locks bytes at 2^30, and no file has this one.
_BYTE: Final = 2**62
#: Linux's locks of an open file. Those of a process would be lost whenever SQLite closes a connection.
_SET_LOCK: Final[int | None] = getattr(fcntl, "F_OFD_SETLK", None)
_TAKEN: Final = {errno.EAGAIN, errno.EACCES}


class InUseError(StoreError):
    """Another process has the database."""


class Lock:
    """The descriptors that hold the locks of a database; closed, or with the end of the process, they are free."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    def close(self) -> None:
        """Let the database go. Connections to it must be closed: SQLite's own locks end with the descriptor."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hold(path: Path, *, make: bool = False) -> Lock:
    """Lock a database for this process. Its folder is made if it isn't there; the database only if asked for.

    Raises:
        InUseError: Another process has it, under this name or another.
        StoreError: The folder or a file can't be opened.

    """
    held: list[int] = []
    with contextlib.ExitStack() as undo:
        undo.callback(Lock(held).close)
        try:
            make_folder(path.parent)
            held.append(_open_locked(path.with_name(f"{path.name}.lock"), _lock_name))
            if make or path.exists():
                held.append(_open_locked(path, lock_file))
        except BlockingIOError as error:
            why = "is in use by another Holdfast process; stop it, or choose another folder with --sqlite-dir"
            raise InUseError(f"the database {path} {why}") from error
        except OSError as error:
            raise fault(path, error) from error
        undo.pop_all()
    return Lock(held)


def lock_file(descriptor: int) -> None:
    """Lock an open file that SQLite opens, too, until the descriptor is closed.

    Does nothing where there are no such locks: then the lock of the name has to do.

    Raises:
        BlockingIOError: Somebody else has locked it.

    """
    if fcntl is None or _SET_LOCK is None:  # pragma: no cover - not on Linux
        return
    try:
        fcntl.fcntl(descriptor, _SET_LOCK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0))
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError(*error.args) from error


def _lock_name(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open_locked(path: Path, lock: Callable[[int], None]) -> int:
    """Open and lock the file that has this name; another one may get it between the two."""
    while True:
        descriptor = open_private(path)
        try:
            lock(descriptor)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
