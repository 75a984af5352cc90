"""Files that are taken from under a running server: nothing is acknowledged that the next start would not find."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from api.serving import Served, run_to_end
from holdfast.server.engine.changes import Changes
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import MissingError, StoreError, settled

from .harness import begun, event


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replace(path: Path) -> None:
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    copy.rename(path)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 4_096 // 2 * 4_096)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def delete_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def empty_log(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


HARMS = {
    "deleted": delete, "moved": move, "folder moved": move_folder, "replaced": replace, "cut off": cut_off,
    "emptied": empty, "log deleted": delete_log, "log emptied": empty_log,
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "main.db"


def opened(path: Path, durability: str = "full") -> SqliteStore:
    store = SqliteStore(path, durability)  # type: ignore[arg-type]
    commit(store, "r1")
    store.log.move()
    store.presence.check()
    commit(store, "r2")
    return store


def commit(store: SqliteStore, id: str) -> None:
    """Commits a run; it is durable afterwards."""

    async def main() -> None:
        await settled(store.commit(begun(id)))

    asyncio.run(main())


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("durability", ["full", "deferred"])
def test_a_commit_that_would_not_be_found_again_fails(path: Path, durability: str, harm: str) -> None:
    store = opened(path, durability)
    HARMS[harm](path)

    for write in (
        lambda: commit(store, "r3"),
        lambda: store.save_apps([], []),
        store.begin_epoch,
        lambda: store.erase([[]], 1),
    ):
        with pytest.raises(StoreError):
            write()
    assert store.presence.trouble()
    store.close()


def test_a_file_that_comes_back_is_as_good_as_before(path: Path) -> None:
    store = opened(path)
    aside = path.with_name("aside")
    path.rename(aside)
    with pytest.raises(MissingError, match="was deleted or moved"):
        store.commit(begun("r3"))
    aside.rename(path)
    store.commit(begun("r4"))
    store.close()


def test_a_database_that_shrinks_by_itself_is_whole(path: Path) -> None:
    store = opened(path)
    changes = Changes()
    changes.events = [event(f"e{n}", json=b'{"pad":"%s"}' % (b"x" * 5_000)) for n in range(1_000)]
    store.commit(changes)
    store.log.move()
    store.commit(begun("r3"))
    before = path.stat().st_size
    store._db.execute("DELETE FROM events WHERE id LIKE 'e%' AND id NOT LIKE 'e-%'")
    while store.shrink(1):
        pass
    store.log.move()
    store.commit(begun("r4"))
    store.log.move()
    store.commit(begun("r5"))
    assert path.stat().st_size < before
    empty(path)
    with pytest.raises(MissingError, match="was truncated"):
        store.commit(begun("r6"))
    store.close()


def test_a_database_behind_a_link_is_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    SqliteStore(path).close()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    store = opened(link, "deferred")
    store.sync()
    other = tmp_path / "other.db"
    shutil.copy(path, other)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(MissingError, match="was replaced"):
        commit(store, "r3")
    store.close()


def test_ephemeral_data_ends_with_its_process_anyway() -> None:
    store = SqliteStore(None, "none")
    store.path.unlink()
    store.commit(begun("r1"))
    store.close()


@pytest.mark.parametrize("harm", ["deleted", "folder moved", "emptied", "log deleted"])
def test_no_event_is_acknowledged_that_is_lost(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    with Served(folder) as server:
        server.log = tmp_path / "server.log"
        server.send("before", {})
        HARMS[harm](server.database)
        for _ in range(3):
            status, body = server.request("POST", "/e/test", b'{"name":"after"}', {"content-type": "application/json"})
            assert status == 503
        assert b"database file was moved or replaced" in body
        status, body = server.request("GET", "/ready")
        assert status == 503
        assert str(tmp_path).encode() not in body
        assert "database" in json.loads(body)["message"]
        assert server.request("GET", "/health")[0] == 200
        server.kill()


def test_a_server_goes_on_when_its_database_is_back(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        server.send("before", {})
        aside = server.database.with_name("aside")
        server.database.rename(aside)
        assert server.request("POST", "/e/test", b'{"name":"lost"}')[0] == 503
        aside.rename(server.database)
        wait(lambda: server.request("POST", "/e/test", b'{"name":"after"}')[0] == 200)
        assert server.request("GET", "/ready")[0] == 200
        server.kill()
        names = [name for (name,) in server.query("SELECT name FROM events ORDER BY n") if "/" not in name]
        assert [names[0], names[-1]] == ["before", "after"]
        assert len([line for line in server.errors() if "was deleted or moved" in line]) <= 2, server.tail()


def test_a_second_server_does_not_start_though_the_lock_file_was_deleted(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        (tmp_path / "main.db.lock").unlink()
        code, said = run_to_end("dev", "--persist", "--sqlite-dir", str(tmp_path), "--port", "0", "--no-discovery")
        assert code == 1
        assert "is in use by another Holdfast" in said
        server.send("still", {})


def wait(done: Callable[[], bool], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
