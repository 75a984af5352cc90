"""Copies of a database: taken while a server writes to it, put back when none does, and made small."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.files import make_folder, open_private
from holdfast.server.store.sqlite.layout import renew_events
from holdfast.server.store.sqlite.lock import lock_file
from holdfast.server.store.sqlite.migrate import check_version
from holdfast.server.store.store import StoreError

#: Pages copied between two reports of progress: 16 MiB.
_STEP_PAGES = 4_096
_PARTIAL = "holdfast-partial"
#: The end of the name of a database that is being restored.
RESTORING = "restoring"

Progress = Callable[[int, int], None]
"""Called with pages done and pages in all."""


def open_read_only(path: Path) -> sqlite3.Connection:
    """Opens a database beside a server that may be writing to it. Raises StoreError."""
    try:
        if not path.exists():
            raise StoreError(f"there is no database {path}: check --sqlite-dir")
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    except (sqlite3.Error, OSError) as error:
        raise fault(path, error) from error


def back_up(database: Path, target: Path, progress: Progress) -> int:
    """Writes what is committed now to a new file, which is whole and durable when it appears; returns its bytes.

    Commits go on meanwhile. What killed backups left in the target's folder is removed. Raises StoreError.
    """
    if target.exists():
        raise StoreError(f"{target} already exists; choose another name")
    if not target.parent.is_dir():
        raise StoreError(f"the folder {target.parent} does not exist; create it first")
    remove_stale(target.parent.glob(f"*.{_PARTIAL}"))
    with _beside(target, _PARTIAL) as partial:
        with contextlib.closing(open_read_only(database)) as source:
            _copy(source, database, partial, progress)
        _sync(partial)
        try:
            os.link(partial, target)  # fails if somebody else made it meanwhile
        except FileExistsError:
            raise StoreError(f"{target} was created meanwhile; nothing was written") from None
        except OSError:  # no links on this file system
            partial.rename(target)
        _sync(target.parent)
    return target.stat().st_size


def restore(backup: Path, database: Path, progress: Progress) -> Path | None:
    """Puts a backup in a database's place, which must be locked; returns where the old one is. Raises StoreError."""
    verify(backup)
    make_folder(database.parent)
    with _beside(database, RESTORING) as fresh:
        with contextlib.closing(open_read_only(backup)) as source:
            _copy(source, backup, fresh, progress)
        _sync(fresh)
        aside = _put_aside(database)
        fresh.replace(database)
        _sync(database.parent)
    return aside


def verify(backup: Path) -> int:
    """Looks whether a file is a whole database of a Holdfast that this one understands; tells its schema's version.

    Raises StoreError or SchemaError.
    """
    with contextlib.closing(open_read_only(backup)) as db:
        try:
            version = check_version(db)
            damage = [text for (text,) in db.execute("PRAGMA integrity_check(3)") if text != "ok"]
            known = db.execute("SELECT count(*) FROM sqlite_schema WHERE name IN ('runs', 'events', 'meta')").fetchone()
        except sqlite3.Error as error:
            raise fault(backup, error) from error
    if damage:
        raise StoreError(f"{backup} is damaged: {damage[0]}")
    if known != (3,):
        raise StoreError(f"{backup} is not a Holdfast database: its tables are missing")
    return version


def compact(database: Path) -> tuple[int, int]:
    """Rewrites a database, which must be locked, without free pages; its bytes before and after. Raises StoreError.

    Events of earlier versions are laid out as those of this one, which takes less room.
    """
    try:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            before = database.stat().st_size  # with what was in the log only
            renew_events(db)
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        raise fault(database, error) from error
    return before, database.stat().st_size


def _copy(source: sqlite3.Connection, path: Path, target: Path, progress: Progress) -> None:
    try:
        with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
            # One snapshot for all steps: without it, a commit of the server would have the copy begin anew.
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
            source.backup(
                copy, pages=_STEP_PAGES, progress=lambda _, left, total: progress(total - left, total), sleep=0
            )
            source.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode=DELETE").fetchone()  # one file, that can be moved about
    except (sqlite3.Error, OSError) as error:
        raise fault(
            target if getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL") else path, error
        ) from error


def _put_aside(database: Path) -> Path | None:
    """Gives a database another name as well; its log is moved into it, or moves along if it can't be read."""
    if not database.exists():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    aside = database.with_name(f"{database.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    number = 1
    while aside.exists():
        aside, number = database.with_name(f"{aside.name}-{number}"), number + 1
    try:
        os.link(database, aside)
    except OSError:  # no links on this file system: for a moment there is no database
        database.rename(aside)
    for suffix in ("-wal", "-shm"):
        left = Path(f"{database}{suffix}")
        if left.exists():
            left.rename(f"{aside}{suffix}")
    return aside


@contextlib.contextmanager
def _beside(path: Path, what: str) -> Generator[Path]:
    """The name of a file next to another one, that is gone in the end if it still has that name."""
    beside = path.with_name(f"{path.name}.{what}")
    with contextlib.ExitStack() as stack:
        try:
            remove_stale([beside])
            descriptor = open_private(beside, os.O_EXCL)
            stack.callback(os.close, descriptor)
            lock_file(descriptor)  # tells it from what a killed process left
            stack.callback(_remove, beside)
            yield beside
        except FileExistsError:
            raise StoreError(f"{beside} is being written by another process: wait for it") from None
        except OSError as error:
            raise fault(path, error) from error


def remove_stale(files: Iterable[Path]) -> None:
    """Remove those of these copies that nobody writes any more: those who did were killed."""
    for file in files:
        with contextlib.suppress(OSError), _opened(file) as descriptor:
            lock_file(descriptor)
            _remove(file)


@contextlib.contextmanager
def _opened(file: Path) -> Generator[int]:
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
        Path(f"{file}-journal").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
