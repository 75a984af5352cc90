"""What is SQLite's own: schema versions, durability, the log."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from holdfast.server.store.sqlite import store as module
from holdfast.server.store.sqlite.migrate import migrate
from holdfast.server.store.sqlite.queries import load_queries
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import SchemaError, StoreError

from .harness import begun


def schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_no_statement_has_numbered_parameters() -> None:
    """For Python, `?1` is a name: no sequence may be bound to it from 3.14 on, and 3.12 warns."""
    folder = resources.files("holdfast.server.store.sqlite").joinpath("sql")
    texts = [load_queries(file.name.removesuffix(".sql")) for file in folder.iterdir() if file.name.endswith(".sql")]
    assert len(texts) > 5
    assert not [sql for queries in texts for sql in queries.values() if re.search(r"\?[0-9]", sql)]


def test_a_newer_schema_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version={known + 3}")
    before = schema(path)
    with pytest.raises(SchemaError, match=f"version {known + 3}.*only versions up to {known}.*newer Holdfast; upgrade"):
        SqliteStore(path)
    assert schema(path) == before


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db)
        first = db.execute("PRAGMA user_version").fetchone()
        migrate(db)
        assert db.execute("PRAGMA user_version").fetchone() == first
    before = schema(path)
    SqliteStore(path).close()
    assert schema(path) == before


def test_every_table_of_the_engine_carries_its_partition(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    SqliteStore(path).close()
    tables = {name: sql for name, sql in schema(path) if sql and sql.startswith("CREATE TABLE")}
    for name in ("events", "runs", "jobs", "pauses", "idempotency", "crons", "flow", "batch_events"):
        assert "partition INTEGER" in tables[name], name


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    path.write_bytes(b"this is no database, by no means whatsoever" * 100)
    with pytest.raises(StoreError, match="can't use the database"):
        SqliteStore(path)


def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't use the database"):
        SqliteStore(tmp_path / "file" / "main.db")


def test_an_ephemeral_store_leaves_nothing_behind() -> None:
    store = SqliteStore(None, "none")
    path = store.path
    store.commit(begun("r1"))
    assert path.exists()
    store.close()
    assert not path.exists()
    assert not path.parent.exists()


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("deferred", 1), ("none", 0)])
def test_durability_is_sqlites_synchronous(tmp_path: Path, durability: module.Durability, level: int) -> None:
    store = SqliteStore(tmp_path / "main.db", durability)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (level,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_the_log_is_moved_into_the_database(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "main.db")
    for number in range(50):
        store.commit(begun(f"r{number}"))
    assert store.log_pages > 0
    store.log.move()
    with closing(sqlite3.connect(f"file:{store.path}?immutable=1", uri=True)) as db:  # without the log
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (50,)
    store.close()


def test_a_commit_waits_for_a_short_lock_but_not_for_ever(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "main.db")
    store._db.execute("PRAGMA busy_timeout=10")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.commit(begun("r1"))
        with pytest.raises(StoreError, match="locked"):
            store.save_apps([], [])
        other.execute("ROLLBACK")
    store.commit(begun("r1"))
    assert len(store.recover().runs) == 1
    store.close()


def test_a_crash_after_the_commit_loses_nothing(tmp_path: Path) -> None:
    """The process dies without closing anything: another connection finds all that was committed."""
    store = SqliteStore(tmp_path / "main.db")
    store.commit(begun("r1", "r2"))
    again = SqliteStore(tmp_path / "main.db")
    assert {run.id for run in again.recover().runs} == {"r1", "r2"}
    assert again.epoch == store.epoch + 1
    again.close()
    store.close()
