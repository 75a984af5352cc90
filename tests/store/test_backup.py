"""Backups of a database that is written to, putting them back, and looking whether a database is whole."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.server.engine.changes import Changes
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.store.sqlite import check as checks
from holdfast.server.store.sqlite.backup import back_up, compact, open_read_only, restore, verify
from holdfast.server.store.sqlite.lock import lock_file
from holdfast.server.store.sqlite.stats import stats
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import SchemaError, StoreError

from .harness import T0, begun, event, job, pause, put, span


def quiet(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = SqliteStore(tmp_path / "main.db")
    made.save_apps(
        [AppRecord("app", "app", "http://x", "serve", "py", "1", "", "", "", "", T0, None, False)],
        [FunctionRecord("fn", "app", "app-fn", "fn", 1, b"{}", T0, None)],
    )
    return made


def ids(path: Path) -> set[str]:
    with closing(open_read_only(path)) as db:
        return {id for (id,) in db.execute("SELECT id FROM runs")}


def wrong(path: Path) -> dict[str, checks.Finding]:
    with closing(open_read_only(path)) as db:
        return {finding.invariant: finding for finding in checks.check(db, path, full=True) if finding.count}


def test_a_backup_has_what_was_committed_and_is_one_file(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(begun("r1", "r2"))
    target = tmp_path / "backups" / "b.db"
    target.parent.mkdir()
    seen: list[tuple[int, int]] = []
    assert back_up(store.path, target, lambda *at: seen.append(at)) == target.stat().st_size
    assert seen[-1][0] == seen[-1][1] > 0
    assert [path.name for path in target.parent.iterdir()] == ["b.db"]
    assert ids(target) == {"r1", "r2"}
    assert wrong(target) == {}
    store.close()


def test_a_backup_of_a_busy_database_is_one_moment_of_it(store: SqliteStore, tmp_path: Path) -> None:
    changes = begun("r0")
    changes.events += [event(f"fill{n}", json=b'{"pad":"%s"}' % (b"x" * 9_000)) for n in range(8_000)]
    store.commit(changes)
    target, done = tmp_path / "b.db", threading.Event()
    failed: list[BaseException] = []

    def copy() -> None:
        try:
            back_up(store.path, target, quiet)
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)
        done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    number = 0
    while not done.is_set():
        number += 1
        store.commit(begun(f"r{number}"))
    thread.join()
    assert not failed
    assert number > 3
    kept = ids(target)
    assert kept == {f"r{n}" for n in range(len(kept))}  # no gap: what came later is missing, nothing else
    assert wrong(target) == {}
    store.close()


def test_nothing_is_overwritten(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    target.write_text("precious")
    with pytest.raises(StoreError, match="already exists; choose another name"):
        back_up(store.path, target, quiet)
    assert target.read_text() == "precious"
    with pytest.raises(StoreError, match="there is no database"):
        back_up(tmp_path / "none.db", tmp_path / "c.db", quiet)
    with pytest.raises(StoreError):
        back_up(store.path, tmp_path / "no folder" / "c.db", quiet)
    store.close()


def test_a_restore_puts_the_backup_in_place_and_the_old_one_aside(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(begun("r1"))
    target = tmp_path / "b.db"
    back_up(store.path, target, quiet)
    store.commit(begun("r2"))  # stays in the log: the process dies here
    with closing(sqlite3.connect(store.path)) as reader:
        reader.execute("BEGIN").connection.execute("SELECT 1 FROM runs").fetchone()
        store.close()
    aside = restore(target, store.path, quiet)
    assert aside is not None
    assert ids(store.path) == {"r1"}
    assert ids(aside) == {"r1", "r2"}
    again = SqliteStore(store.path)
    assert [run.id for run in again.recover().runs] == ["r1"]
    again.commit(begun("r3"))
    again.close()
    second = restore(target, store.path, quiet)
    assert second not in {None, aside}


def test_a_restore_where_there_are_no_links(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    store.commit(begun("r1"))
    back_up(store.path, tmp_path / "b.db", quiet)
    store.commit(begun("r2"))
    store.close()
    aside = restore(tmp_path / "b.db", store.path, quiet)
    assert aside is not None
    assert (ids(store.path), ids(aside)) == ({"r1"}, {"r1", "r2"})


def test_a_log_that_was_left_behind_is_not_applied_to_the_backup(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(begun("r1"))
    target = tmp_path / "b.db"
    back_up(store.path, target, quiet)
    store.commit(begun("r2"))
    wal = Path(f"{store.path}-wal").read_bytes()
    store.close()
    Path(f"{store.path}-wal").write_bytes(wal)
    store.path.write_bytes(b"damaged" * 1_000)
    restore(target, store.path, quiet)
    assert ids(store.path) == {"r1"}
    assert wrong(store.path) == {}


def test_a_backup_is_verified_before_anything_is_moved(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(begun("r1"))
    bad, foreign, newer = tmp_path / "bad.db", tmp_path / "foreign.db", tmp_path / "newer.db"
    back_up(store.path, bad, quiet)
    back_up(store.path, newer, quiet)
    store.close()
    with bad.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TABLE x (y)")
    with closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA user_version = 999")
    for file, error, said in (
        (bad, StoreError, "damaged"), (foreign, SchemaError, "another program"), (newer, SchemaError, "999"),
        (tmp_path / "none", StoreError, "no database"),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            restore(file, store.path, quiet)
    assert ids(store.path) == {"r1"}
    assert verify(store.path) > 0


def test_compacting_makes_room_and_lets_it_be_given_back_later(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    store = SqliteStore(path)
    changes = Changes()
    changes.events = [event(f"e{n}", json=b'{"pad":"%s"}' % (b"x" * 5_000)) for n in range(1_000)]
    store.commit(changes)
    store._db.execute("DELETE FROM events")
    store.close()
    with closing(sqlite3.connect(path)) as old:  # as if made by an earlier version
        old.execute("PRAGMA journal_mode=DELETE")
        old.execute("PRAGMA auto_vacuum=NONE")
        old.execute("VACUUM")
        old.execute("CREATE TABLE x AS SELECT zeroblob(5000000)")
        old.execute("DROP TABLE x")
    before, after = compact(path)
    assert after < before / 5
    with closing(open_read_only(path)) as db:
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_stats_count_what_is_there(store: SqliteStore) -> None:
    store.commit(begun("r1", "r2"))
    with closing(open_read_only(store.path)) as db:
        found = stats(db, store.path)
    assert found.runs == {"scheduled": 2}
    assert [(f.function, f.runs, f.live) for f in found.functions] == [("app-fn", 2, 2)]
    assert {table.name: table.rows for table in found.tables}["events"] == 2
    assert found.schema == found.schema_known
    assert found.wal_bytes > 0
    assert (found.oldest_event, found.shrinks) == (T0 + 1, True)
    store.close()


def test_what_killed_backups_left_is_removed_by_the_next(store: SqliteStore, tmp_path: Path) -> None:
    """One that is being written, and files of others, stay."""
    code = (
        "import os, sys; from pathlib import Path; from holdfast.server.store.sqlite.backup import back_up\n"
        "back_up(Path(sys.argv[1]), Path(sys.argv[2]), lambda *_: os.kill(os.getpid(), 9))"
    )
    folder = tmp_path / "backups"
    folder.mkdir()
    for name in ("monday.db", "tuesday.db"):
        subprocess.run([sys.executable, "-c", code, str(store.path), str(folder / name)], check=False)
        assert (folder / f"{name}.holdfast-partial").exists()
    (folder / "other.partial").touch()
    (folder / "busy.db.holdfast-partial").touch()
    descriptor = os.open(folder / "busy.db.holdfast-partial", os.O_RDWR)
    lock_file(descriptor)
    back_up(store.path, folder / "wednesday.db", quiet)
    left = sorted(file.name for file in folder.iterdir())
    assert left == ["busy.db.holdfast-partial", "other.partial", "wednesday.db"]
    with pytest.raises(StoreError, match="is being written by another process"):
        back_up(store.path, folder / "busy.db", quiet)
    os.close(descriptor)
    store.close()


def test_pages_that_were_zeroed_in_the_midst_of_values_are_found(store: SqliteStore) -> None:
    changes = begun("r1")
    pad = b"x" * 9_000
    changes.events += [event("ok", json=b'{"deep":' + b"[" * 990 + b"]" * 990 + b"}")]
    changes.events += [event("e-long", json=b'{"pad":"%s"}' % pad)]
    changes.steps.append(("r1", 1, "s", b'"%s"' % pad, span()))
    store.commit(changes)
    path = store.path
    store.close()
    assert wrong(path) == {}
    for number, page in enumerate(path.read_bytes()[at : at + 4_096] for at in range(0, path.stat().st_size, 4_096)):
        if page[4:].strip(b"x").rstrip(b"\0") in {b'"}', b'"', b""} and page[4:8] == b"xxxx":
            with path.open("r+b") as file:
                file.seek(number * 4_096 + 4)
                file.write(bytes(4_092))
    found = wrong(path)["stored values can be read"]
    assert {what for what, _ in found.examples} == {"events e-long", "steps r1 number 1"}
    with closing(open_read_only(path)) as db:
        assert not [finding for finding in checks.check(db, path, full=False) if finding.count]


@pytest.mark.parametrize(
    ("sql", "invariant"),
    [
        ("DELETE FROM jobs; DELETE FROM pauses", "a live run has an open job or pause"),
        ("UPDATE runs SET status = 1, ended_at = 5", "jobs and pauses belong to a live run"),
        ("INSERT INTO pauses (run_id, no, pause) VALUES ('gone', 1, '[]')", "jobs and pauses belong to a live run"),
        ("UPDATE runs SET status = 1", "a run that ended says so"),
        ("DELETE FROM events", "a run has its events"),
        ("DELETE FROM event_runs", "events and runs are linked both ways"),
        ("INSERT INTO event_runs VALUES ('e-r1', 'gone')", "events and runs are linked both ways"),
        ("INSERT INTO steps VALUES ('gone', 1, 's', '1', '{}')", "steps and spans belong to a run"),
        ("INSERT INTO spans SELECT run_id, seq, output, span FROM steps", "a number in a run's history is used once"),
        ("INSERT INTO steps SELECT run_id, 99, step_id, output, span FROM steps", "a step is memoised once"),
        ("INSERT INTO metadata VALUES ('gone','i','','',0,'','','','{}')", "metadata belongs to a run"),
        ("UPDATE event_totals SET n = n + 1", "totals of events are their counts"),
        ("DELETE FROM event_totals", "totals of events are their counts"),
        ("INSERT INTO run_totals VALUES ('r', 'fn', 1, 1, 1, 1, 1, 1)", "totals of runs are their counts"),
        ("UPDATE runs SET status = 1, ended_at = 5", "totals of runs are their counts"),
        ('UPDATE runs SET detail = \'{"deferred_from":"r0"}\'', "deferred runs and debug runs are listed"),
        ('UPDATE runs SET detail = \'{"debug_run_id":"d"}\'', "deferred runs and debug runs are listed"),
        ("INSERT INTO batch_events VALUES ('b', 1, 'e-r1', 0)", "a batch has its record and its events"),
        ("INSERT INTO flow VALUES ('debounce', 'k', '[\"fn\",\"gone\",1,1,1]', 0)", "a debounce has its event"),
        ("DELETE FROM functions", "runs and functions have their owners"),
    ],
)
def test_each_broken_invariant_is_found(store: SqliteStore, sql: str, invariant: str) -> None:
    changes = begun("r1")
    changes.steps.append(("r1", 1, "s", b"1", span()))
    put(changes, pause("r1"))
    put(changes, job("r1", 3))
    store.commit(changes)
    assert wrong(store.path) == {}
    store._db.executescript(sql)
    found = wrong(store.path)
    assert invariant in found
    assert found[invariant].examples
    store.close()
