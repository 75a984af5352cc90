"""The locks of a database: on the file itself, and on its name."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.server.store.sqlite import lock
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

_HOLD = "import sys, pathlib; from holdfast.server.store.sqlite import lock; lock.hold(pathlib.Path(sys.argv[1]))"


def taken(path: Path) -> bool:
    """Whether another process is refused."""
    done = subprocess.run([sys.executable, "-c", _HOLD, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0 or "is in use by another Holdfast" in done.stderr, done.stderr
    return done.returncode != 0


def test_a_database_is_for_one_server_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "main.db"
    held = lock.hold(path)
    assert not path.exists()
    with pytest.raises(StoreError, match="in use by another Holdfast"):
        lock.hold(path)
    held.close()
    with lock.hold(path):
        assert taken(path)
    assert not taken(path)


def test_the_lock_stays_when_its_file_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    with lock.hold(path, make=True):
        store = SqliteStore(path)
        (tmp_path / "main.db.lock").unlink()
        assert taken(path)
        store.log.move()  # opens and closes a connection: that would end a lock of the process
        assert taken(path)
        store.close()
    assert not taken(path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_lock_counts_for_every_name_of_the_file(tmp_path: Path, link: object) -> None:
    path, other = tmp_path / "main.db", tmp_path / "other.db"
    with lock.hold(path, make=True):
        link(path, other)  # type: ignore[operator]
        assert taken(other)
    assert not taken(other)


def test_the_lock_of_the_name_holds_while_the_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    with lock.hold(path, make=True):
        path.unlink()
        path.touch()
        assert taken(path)


def test_a_file_that_is_replaced_before_it_is_locked_is_not_the_one_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "main.db", list[Path]()
    real = lock.open_private

    def late(file: Path) -> int:
        descriptor = real(file)
        opened.append(file)
        if opened == [path.with_name("main.db.lock")]:
            file.unlink()
        return descriptor

    monkeypatch.setattr(lock, "open_private", late)
    with lock.hold(path, make=True):
        monkeypatch.undo()
        assert opened == [path.with_name("main.db.lock")] * 2 + [path]
        assert taken(path)


def test_locks_and_sqlite_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    with lock.hold(path, make=True):
        code = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('CREATE TABLE x (y)'); d.close()"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        db = sqlite3.connect(path)
        db.execute("DROP TABLE x")
        db.close()


def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't use the database"):
        lock.hold(tmp_path / "file" / "main.db")
