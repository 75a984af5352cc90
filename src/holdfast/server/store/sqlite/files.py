"""Files that hold data and keys: made for their owner alone. Those that are there stay as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_FILE: Final = 0o600
_HEADROOM: Final = 2 * 1024 * 1024  # bytes that must be free for a server to start, or to go on after the disk was full


def make_folder(path: Path) -> None:
    """Makes a folder, if it isn't there; those above it as usual. Raises OSError."""
    path.mkdir(_FOLDER, parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Makes an empty file, if it isn't there: SQLite gives its modes to the log beside it. Raises OSError."""
    if not path.exists():
        os.close(open_private(path))


def probe(path: Path) -> None:
    """Raise OSError if the folder of a database has no room for a few commits."""
    file = path.with_name(f"{path.name}.probe")
    try:
        with file.open("wb") as written:
            written.write(bytes(_HEADROOM))
    finally:
        file.unlink(missing_ok=True)


def open_private(path: Path, flags: int = 0) -> int:
    """Opens a file to read and write, made if it isn't there; answers a descriptor. Raises OSError.

    What root makes belongs to the owner of the folder: a server that is not root could not use it otherwise.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, _FILE)
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a link of somebody else is never followed to here
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor
