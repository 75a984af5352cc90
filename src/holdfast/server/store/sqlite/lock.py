"""One server per database file: two would each believe that all runs are theirs."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.files import make_folder, open_private
from holdfast.server.store.store import StoreError

try:
    import fcntl
except ImportError:  # pragma: no cover - no advisory locks on this system
    fcntl = None  # type: ignore[assignment]


class InUseError(StoreError):
    """Another process has the database."""


def hold(path: Path) -> int:
    """Locks a database for this process, until the descriptor that it returns is closed or the process ends.

    Raises InUseError if another process has it, StoreError for a folder or file that can't be opened.
    """
    try:
        make_folder(path.parent)
        descriptor = open_private(path.with_name(f"{path.name}.lock"))
    except OSError as error:
        raise fault(path, error) from error
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        why = "is in use by another Holdfast; stop that one, or choose another folder with --sqlite-dir"
        raise InUseError(f"the database {path} {why}") from error
    return descriptor
