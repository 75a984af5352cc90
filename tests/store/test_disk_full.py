"""A database that can't grow or can't be read: said clearly, nothing half done, over when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from api.test_server_defects import Shell, scenario
from holdfast.server.api.common.error_bodies import unexpected
from holdfast.server.runtime.disk import Disk
from holdfast.server.store.sqlite import migrate
from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import DiskFullError, StoreError

from .harness import begun, event


def fill_up(store: SqliteStore) -> None:
    """Lets the database not grow by a page."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    (free,) = store._db.execute("PRAGMA freelist_count").fetchone()
    assert free == 0
    store._db.execute(f"PRAGMA max_page_count={pages}").fetchone()


def make_room(store: SqliteStore) -> None:
    store._db.execute("PRAGMA max_page_count=1000000").fetchone()


def big() -> Any:
    changes = begun("r-big")
    changes.events.append(event("big", json=b'{"pad":"%s"}' % (b"x" * 100_000)))
    return changes


def test_a_commit_that_does_not_fit_writes_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "main.db")
    store.commit(begun("r1"))
    fill_up(store)
    with pytest.raises(DiskFullError, match="the disk is full; free some space"):
        store.commit(big())
    assert store._db.execute("SELECT id FROM runs").fetchall() == [("r1",)]
    make_room(store)
    store.commit(big())
    assert store._db.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    store.close()


def test_the_server_refuses_while_there_is_no_room_and_goes_on_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play(shell: Shell) -> None:
        partition = shell.partition
        assert await shell.send("good") == 200
        fill_up(shell.store)
        statuses = [await post(shell, b'{"name":"big","data":{"pad":"%s"}}' % (b"x" * 200_000)) for _ in range(3)]
        assert {status for status, _ in statuses} == {503}
        assert b"disk is full" in statuses[0][1]
        assert partition.failures >= 1
        make_room(shell.store)
        async with asyncio.timeout(10):
            while await shell.send("good") != 200:  # noqa: ASYNC110 - what a sender sees
                await asyncio.sleep(0.05)
            while partition._engine._core.runs:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        assert partition.trouble is None
        rows = shell.store._db.execute("SELECT name, count(*) FROM events WHERE name IN ('good', 'big') GROUP BY name")
        assert rows.fetchall() == [("good", 2)]
        assert shell.store._db.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall() == [(1, 2)]

    scenario(tmp_path, play)
    assert capsys.readouterr().out.count("could not be stored") <= 3  # told once per try, not once per sender


def test_calls_wait_until_there_is_room_for_more_than_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        def full() -> None:
            raise DiskFullError("no room")

        real = shell.store.probe
        monkeypatch.setattr(shell.store, "probe", full)
        shell.partition._fail(DiskFullError("no room"), [], 0.01)
        calls = shell.client.calls
        await asyncio.sleep(0.1)
        assert isinstance(shell.partition.trouble, DiskFullError)
        assert await shell.send("good") == 503
        monkeypatch.setattr(shell.store, "probe", real)
        async with asyncio.timeout(10):
            while shell.partition.trouble is not None:  # noqa: ASYNC110 - a plain value
                await asyncio.sleep(0.02)
        assert shell.client.calls == calls

    scenario(tmp_path, play)


async def post(shell: Shell, body: bytes) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/e/key", "headers": [(b"content-type", b"application/json")]}
    await shell.events(scope, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], sent[1]["body"]


def test_other_routes_tell_of_a_full_disk_too() -> None:
    answer = asyncio.run(unexpected(Request({"type": "http"}), DiskFullError("x")))
    assert answer.status_code == 503
    assert b"disk is full" in bytes(answer.body)


def test_probing_for_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "main.db")
    before = sorted(tmp_path.iterdir())
    store.probe()
    assert sorted(tmp_path.iterdir()) == before

    def no_room(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", no_room)
    with pytest.raises(DiskFullError):
        store.probe()
    store.close()


def test_a_migration_that_does_not_fit_is_refused_whole_and_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "main.db"
    SqliteStore(path).close()
    scripts = migrate._scripts()
    more = "CREATE TABLE more (x); INSERT INTO more VALUES (zeroblob(4000000));"
    monkeypatch.setattr(migrate, "_scripts", lambda: [*scripts, more])
    code = (
        "import resource, signal, sys; from pathlib import Path; import holdfast.server.store.sqlite.migrate as m\n"
        f"m._scripts = (lambda old: lambda: [*old(), {more!r}])(m._scripts)\n"
        "from holdfast.server.store.sqlite.store import SqliteStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000,) * 2)\n"
        f"SqliteStore(Path({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "StoreError" in done.stderr
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(scripts),)
    db.close()
    store = SqliteStore(path)
    assert store._db.execute("SELECT count(*) FROM more").fetchone() == (1,)
    store.close()


def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    store = SqliteStore(path)
    for number in range(50):
        store.commit(begun(f"r{number}"))
    store.close()
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    with pytest.raises(StoreError, match=r"holdfast db check.*holdfast db restore"):
        SqliteStore(path).recover()
    assert str(path) not in open_files()


def open_files() -> set[str]:
    """The files that this process holds open."""
    found = set[str]()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.add(str(link.readlink()))
    return found


def test_rows_that_do_not_fit_together_are_told(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "main.db")
    store.commit(begun("r1"))
    store._db.execute("DELETE FROM runs")
    with pytest.raises(StoreError, match="are inconsistent, see `holdfast db check`"):
        store.recover()
    store.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_READONLY, "read-only, or belongs to another user"),
        (sqlite3.SQLITE_CANTOPEN, "can't be opened"),
        (sqlite3.SQLITE_CORRUPT, "it is damaged"),
        (sqlite3.SQLITE_NOTADB, "not a SQLite database"),
        (sqlite3.SQLITE_IOERR, "disk I/O"),
    ],
)
def test_each_fault_is_told_in_its_own_words(code: int, said: str) -> None:
    error = sqlite3.OperationalError("disk I/O")
    error.sqlite_errorcode = code | 1 << 8  # an extended code
    told = fault(Path("/x/main.db"), error)
    assert said in str(told)
    assert "/x/main.db" in str(told)


def test_faults_of_the_system_are_told_too() -> None:
    assert isinstance(fault(Path("/x"), OSError(errno.ENOSPC, "no space")), DiskFullError)
    assert isinstance(fault(Path("/x"), OSError(errno.EDQUOT, "quota")), DiskFullError)
    assert "another user" in str(fault(Path("/x"), PermissionError(errno.EACCES, "Permission denied")))


def test_a_file_that_is_taken_away_and_a_full_disk_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "main.db")
    disk = Disk(store.path, store.presence.trouble)
    disk.look()
    assert disk.free > 0
    assert disk.size > 0
    assert not disk.gone
    real = os.statvfs(tmp_path)
    few = os.statvfs_result((*real[:3], 1, 1, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: few)
    disk.look()
    disk.look()
    assert disk.low
    monkeypatch.undo()
    store.path.unlink()
    disk.look()
    disk.look()
    assert disk.gone
    store.close()
    logged = capsys.readouterr().out
    assert logged.count("low disk space") == 1
    assert logged.count("was deleted or moved") == 1
