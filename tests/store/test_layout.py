"""The room that events take, and databases of before they took less."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.server.engine.changes import Changes
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.store.sqlite import check as checks
from holdfast.server.store.sqlite import migrate
from holdfast.server.store.sqlite.backup import compact, open_read_only
from holdfast.server.store.sqlite.store import SqliteStore

from .harness import T0, begun, event


def fill(store: SqliteStore, size: int, count: int = 1_000) -> None:
    for start in range(0, count, 50):
        changes = Changes()
        numbers = range(start, start + 50)
        changes.events = [event(f"{n:026}", json=b'{"data":"%s"}' % (b"x" * (size - 11))) for n in numbers]
        store.commit(changes)
    store.log.move()


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database as earlier versions made it, with 1,500 bytes in each event."""
    scripts = migrate._scripts()
    scripts[0] = scripts[0].replace("PRIMARY KEY (id, n)\n);", "PRIMARY KEY (id, n)\n) WITHOUT ROWID;")
    scripts[2] = scripts[2].replace("ON events (name, id, n)", "ON events (name, id)")
    monkeypatch.setattr(migrate, "_scripts", lambda: scripts)
    store = SqliteStore(tmp_path / "main.db")
    store.save_apps(
        [AppRecord("app", "app", "http://x", "serve", "py", "1", "", "", "", "", T0, None, False)],
        [FunctionRecord("fn", "app", "app-fn", "fn", 1, b"{}", T0, None)],
    )
    fill(store, 1_500)
    store.commit(begun("r1"))
    store.close()
    monkeypatch.undo()
    return tmp_path / "main.db"


@pytest.mark.parametrize(("size", "times"), [(200, 2.8), (500, 2.0), (1_000, 1.7), (1_500, 1.7), (10_000, 1.2)])
def test_events_take_little_more_room_than_their_size(tmp_path: Path, size: int, times: float) -> None:
    store = SqliteStore(tmp_path / "main.db", "none")
    store.log.move()
    before = store.path.stat().st_size
    fill(store, size)
    assert store.path.stat().st_size - before < times * 1_000 * size
    store.close()


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(open_read_only(path)) as db:
        return db.execute("SELECT * FROM events ORDER BY id, n").fetchall()


def parts(path: Path) -> set[tuple[str, str]]:
    with closing(open_read_only(path)) as db:
        return {(str(kind), str(name)) for kind, name in db.execute("SELECT type, name FROM sqlite_schema")}


def test_compacting_gives_old_events_the_room_of_new_ones(old: Path, tmp_path: Path) -> None:
    SqliteStore(tmp_path / "new.db").close()
    before = rows(old)
    was, now = compact(old)
    assert now < 0.6 * was
    assert rows(old) == before
    assert parts(old) == parts(tmp_path / "new.db")
    with closing(open_read_only(old)) as db:
        assert not [finding for finding in checks.check(db, old, full=True) if finding.count]
    again = compact(old)
    assert again[1] == now
    store = SqliteStore(old)
    store._db.execute("DELETE FROM events WHERE id LIKE '0000%'")
    assert store._db.execute("SELECT sum(n) FROM event_totals").fetchone() == (1,)
    store.close()


def test_a_database_of_before_works_as_it_is(old: Path) -> None:
    with closing(sqlite3.connect(old)) as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'events'").fetchone()
    assert sql.endswith("WITHOUT ROWID")
    store = SqliteStore(old)
    store.commit(begun("r2"))
    assert {run.id for run in store.recover().runs} == {"r1", "r2"}
    store.close()
    with closing(open_read_only(old)) as db:
        assert not [finding for finding in checks.check(db, old, full=True) if finding.count]
