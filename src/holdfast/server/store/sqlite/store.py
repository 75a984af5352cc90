"""The SQLite store: WAL, one writer on the engine's thread, one transaction per turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Body
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import Job, Pause, decode_job, decode_pause, encode_row
from holdfast.server.store.records import Sink
from holdfast.server.store.retention import Erased, Group
from holdfast.server.store.sql import columns
from holdfast.server.store.sql.records import SqlRecords, experiment_statement
from holdfast.server.store.sql.statement import Statement, Value
from holdfast.server.store.sqlite import upkeep
from holdfast.server.store.sqlite.counting import count_events, count_runs, link_runs, link_sessions
from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.files import make_file, make_folder, probe
from holdfast.server.store.sqlite.log import CHECKPOINT_PAGES, Disk, Log
from holdfast.server.store.sqlite.migrate import check_version, migrate
from holdfast.server.store.sqlite.presence import Presence
from holdfast.server.store.sqlite.queries import load_queries, named
from holdfast.server.store.store import EndedRun, EventRow, Needs, Recovered, StoreError, Write, needs_none

_encode = msgspec.json.encode

Durability = Literal["full", "deferred", "none"]
"""When a commit is durable. `full`: when it returns; `deferred`: after the next `sync`; `none`: never (ephemeral)."""

_SYNCHRONOUS = {"full": "FULL", "deferred": "NORMAL", "none": "OFF"}

_INSERT_EVENT = "INSERT INTO events (id, n, name, external_id, ts, received_at, json) VALUES (?,?,?,?,?,?,?)"
_INSERT_RUN = (
    "INSERT INTO runs (id, function_id, app_id, status, scheduled_at, started_at, ended_at, event_ids, event_name,"
    " cron, batch_id, original_run_id, output, detail, state) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_UPDATE_RUN = "UPDATE runs SET status=?, started_at=?, ended_at=?, output=?, detail=?, state=? WHERE id=?"
_INSERT_EVENT_RUN = "INSERT OR IGNORE INTO event_runs (event_id, run_id) VALUES (?,?)"
_INSERT_STEP = "INSERT INTO steps (run_id, seq, step_id, output, span) VALUES (?,?,?,?,?)"
_INSERT_SPAN = "INSERT INTO spans (run_id, seq, output, span) VALUES (?,?,?,?)"
_PUT_JOB = "INSERT OR REPLACE INTO jobs (run_id, no, job) VALUES (?,?,?)"
_DROP_JOB = "DELETE FROM jobs WHERE run_id=? AND no=?"
_PUT_PAUSE = "INSERT OR REPLACE INTO pauses (run_id, no, pause) VALUES (?,?,?)"
_DROP_PAUSE = "DELETE FROM pauses WHERE run_id=? AND no=?"
_PUT_KEY = "INSERT OR REPLACE INTO idempotency (key, run_id, expires) VALUES (?,?,?)"
_DROP_KEY = "DELETE FROM idempotency WHERE key=?"
_PUT_CRON = "INSERT OR REPLACE INTO crons (function_id, cron, tick) VALUES (?,?,?)"
_PUT_APP = f"INSERT OR REPLACE INTO apps VALUES ({','.join('?' * len(AppRecord.__struct_fields__))})"  # noqa: S608
_PUT_FUNCTION = f"INSERT OR REPLACE INTO functions VALUES ({','.join('?' * len(FunctionRecord.__struct_fields__))})"  # noqa: S608
_PUT_FLOW = "INSERT OR REPLACE INTO flow (kind, key, record) VALUES (?,?,?)"
_DROP_FLOW = "DELETE FROM flow WHERE kind=? AND key=?"
_PUT_BATCHED = "INSERT OR REPLACE INTO batch_events (batch_id, place, event_id) VALUES (?,?,?)"
_DROP_BATCHED = "DELETE FROM batch_events WHERE batch_id=?"
_BATCHED = "SELECT batch_id, event_id FROM batch_events ORDER BY batch_id, place"
_ALL_APPS = f"SELECT {', '.join(AppRecord.__struct_fields__)} FROM apps ORDER BY id"  # noqa: S608 - field names
_ALL_FUNCTIONS = f"SELECT {', '.join(FunctionRecord.__struct_fields__)} FROM functions ORDER BY slug, id"  # noqa: S608
_RECOVERY = load_queries("recovery")


def check_room(path: Path) -> None:
    """Raise DiskFullError if the folder of a database has no room for a few commits."""
    try:
        probe(path)
    except OSError as error:
        raise fault(path, error) from error


@contextlib.contextmanager
def _closed_if_it_fails(connection: sqlite3.Connection) -> Generator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


class SqliteStore:
    """One database file, or a temporary one that is removed when the store is closed.

    One that `adapts` defers its syncs once the disk turns out to be slow; commits then need a running event loop.
    """

    def __init__(self, path: Path | None, durability: Durability = "full", *, adapts: bool = False) -> None:
        self._folder = None if path else tempfile.TemporaryDirectory(prefix="holdfast-")
        self.path = (path or Path(self._folder.name if self._folder else ".") / "main.db").absolute()
        self.durability: Durability = durability
        self.epoch = 0
        try:
            make_folder(self.path.parent)
            make_file(self.path)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
            with _closed_if_it_fails(self._db):
                self._open()
                self.presence = Presence(self.path)
            self.log = Log(self.path, self.presence.log)
            self.set_durability(durability)
        except (sqlite3.Error, OSError) as error:
            raise fault(self.path, error) from error
        self._copy = self.epoch << 40
        self._disk = Disk() if adapts else None
        self.commit_s = 0.0

    def set_durability(self, durability: Durability) -> None:
        """Changes who makes commits durable."""
        self.durability = durability
        self.log.synchronous = _SYNCHRONOUS[durability]
        self._synchronous(self.log.synchronous)

    def _synchronous(self, word: str) -> None:
        self._db.execute(f"PRAGMA synchronous={word}")

    @property
    def deferred(self) -> bool:
        """Whether commits are durable later than they return."""
        return self.durability == "deferred"

    @property
    def log_pages(self) -> int:
        """How large the write-ahead log is, in pages."""
        return self.log.pages

    # --- the hot path -----------------------------------------------------------------------------------------------

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> asyncio.Future[None] | None:
        """Write a turn's rows in one transaction. They are durable when this returns, or when the future is done.

        Raises:
            StoreError: Nothing was written; or, as MissingError, to a file that nobody will find again.

        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            self._write(db, changes)
            for write in writes:
                _execute(db, write)
            written = time.perf_counter()
            db.execute("COMMIT")
            self.commit_s = time.perf_counter() - written
        except Exception as error:  # a disk that fails, or a value that no row can hold: nothing is written either way
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise fault(self.path, error) from error
        self._copy += len(changes.events)
        if self.durability == "full":
            self._look()
            if self._disk is not None and self._disk.slow(self.commit_s):
                self.set_durability("deferred")
        self.log.committed()
        if self.durability == "deferred":
            return asyncio.get_running_loop().run_in_executor(None, self.sync)
        return None

    def _write(self, db: sqlite3.Connection, changes: Changes) -> None:
        many = db.executemany
        if changes.events:
            count_events(db, changes.events)
            many(_INSERT_EVENT, columns.event_rows(changes, self._copy))
        if changes.new_runs:
            many(_INSERT_RUN, columns.new_run_rows(changes))
        if changes.runs:
            many(_UPDATE_RUN, columns.run_rows(changes))
        if changes.event_runs:
            many(_INSERT_EVENT_RUN, changes.event_runs)
        if changes.steps:
            many(_INSERT_STEP, columns.step_rows(changes))
        if changes.spans:
            many(_INSERT_SPAN, columns.span_rows(changes))
        if changes.jobs:
            _write_items(db, changes.jobs, _PUT_JOB, _DROP_JOB)
        if changes.pauses:
            _write_items(db, changes.pauses, _PUT_PAUSE, _DROP_PAUSE)
        _write_derived(db, changes)
        _write_records(db, changes)

    def sync(self) -> None:
        """Makes the write-ahead log durable. Holds no GIL while the disk works."""
        os.fdatasync(self.presence.log)
        self._look()

    def _look(self) -> None:
        """Raises MissingError if the next start would not find what was written. An ephemeral store has none."""
        if self._folder is None:
            self.presence.check()

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def records(self, sink: Sink) -> SqlRecords:
        """Return the rows that no engine owns; what changes them goes to `sink`."""
        return SqlRecords(self, sink)

    def select(self, statement: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """Return the rows of a query, by its name `<file>.<section>`."""
        return self._db.execute(named(statement), parameters).fetchall()

    def erase(self, groups: Sequence[Group], budget_s: float) -> Erased:
        """Executes groups of deletions until `budget_s` is over. Not synced: the next commit does that."""
        began = time.perf_counter()
        with self._unsynced() as db:
            done, rows = upkeep.erase(db, groups, began + budget_s)
        events = rows["retention.drop_event"] + rows["retention.drop_copy"]
        return Erased(done, rows["retention.drop_run"], events, time.perf_counter() - began)

    def shrink(self, budget_s: float) -> bool:
        """Moves pages from the end of the file into free ones, which a checkpoint then cuts off."""
        with self._unsynced() as db:
            return upkeep.shrink(db, time.perf_counter() + budget_s)

    @property
    def settled(self) -> bool:
        """Whether no checkpoint is under way."""
        return self.log.settled

    def settle(self) -> None:
        """Begin to move the write-ahead log on if it is long."""
        self.log.settle()

    @contextlib.contextmanager
    def _unsynced(self) -> Generator[sqlite3.Connection]:
        """A transaction that no disk is waited for: it may be lost in a power cut, but only whole."""
        db = self._db
        try:
            if self.durability == "full":
                self._synchronous("NORMAL")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise fault(self.path, error) from error
        finally:
            self._synchronous(self.log.synchronous)
        self._look()

    def upkeep(self) -> asyncio.Future[None] | None:
        """Finish a checkpoint, if one is waiting for a turn without writes."""
        return asyncio.get_running_loop().run_in_executor(None, self.log.finish) if self.log.unfinished else None

    def probe(self) -> None:
        """Raises DiskFullError if the folder has no room for a few commits."""
        check_room(self.path)

    # --- recovery ---------------------------------------------------------------------------------------------------

    def recover(self, needs: Needs = needs_none) -> Recovered:
        """Read all live state, with the events that its records need."""
        try:
            return self._recovered(self._db, needs)
        except (KeyError, ValueError) as error:  # what msgspec raises is a ValueError
            why = f"its rows are inconsistent, see `holdfast db check` ({error!r})"
            raise StoreError(f"can't use the database {self.path}: {why}") from error
        except sqlite3.Error as error:
            raise fault(self.path, error) from error

    def _recovered(self, db: sqlite3.Connection, needs: Needs) -> Recovered:
        runs = {run.id: run for run in map(columns.live_run, db.execute(_RECOVERY["runs"]))}
        for run_id, count, size, seq in db.execute(_RECOVERY["step_totals"]):
            run = runs[run_id]
            run.step_count, run.state_size, run.seq = count, size or 0, seq
        for run_id, seq in db.execute(_RECOVERY["span_totals"]):
            runs[run_id].seq = max(runs[run_id].seq, seq)
        for run_id, size in db.execute(_RECOVERY["event_sizes"]):
            runs[run_id].state_size += size
        for (text,) in db.execute("SELECT job FROM jobs"):
            columns.reopen(runs, decode_job(text))
        for (text,) in db.execute("SELECT pause FROM pauses"):
            columns.reopen(runs, decode_pause(text))
        for run in runs.values():
            if run.state.group:
                done = {step for (step,) in db.execute("SELECT step_id FROM steps WHERE run_id=?", (run.id,))}
                run.pending = set(run.state.group) - done
        keys = db.execute("SELECT key, expires FROM idempotency ORDER BY expires").fetchall()
        crons = db.execute("SELECT function_id, cron, tick FROM crons").fetchall()
        flow = [(kind, key, record.encode()) for kind, key, record in db.execute("SELECT kind, key, record FROM flow")]
        batches: dict[str, list[str]] = {}
        for batch, event in db.execute(_BATCHED):
            batches.setdefault(batch, []).append(event)
        ids = [id for batch in batches.values() for id in batch]
        ids += [id for kind, _, record in flow for id in needs(kind, record)]
        events, traces = self.load_events(dict.fromkeys(ids)), self._event_traces(ids)
        return Recovered(list(runs.values()), keys, crons, flow, batches, events, traces)

    def load_body(self, run_id: str) -> Body:
        """Reads a live run's events and memoised steps. Raises StoreError."""
        try:
            (ids,) = self._db.execute("SELECT event_ids FROM runs WHERE id=?", (run_id,)).fetchone()
            events = [row[5] for row in self.load_events(msgspec.json.decode(ids, type=list[str]))]
            return Body(events, self._steps(run_id))
        except sqlite3.Error as error:
            raise fault(self.path, error) from error

    def load_ended(self, run_id: str) -> EndedRun | None:
        """Reads what a rerun of a run needs."""
        row = self._db.execute("SELECT function_id, event_ids, cron FROM runs WHERE id=?", (run_id,)).fetchone()
        if row is None:
            return None
        return EndedRun(row[0], msgspec.json.decode(row[1], type=list[str]), self._steps(run_id), row[2])

    def load_events(self, ids: Iterable[str]) -> list[EventRow]:
        """Reads events by internal id: id, name, external id, ts, received_at, json."""
        sql = "SELECT id, name, external_id, ts, received_at, json FROM events WHERE id=? ORDER BY n LIMIT 1"
        found = (self._db.execute(sql, (id,)).fetchone() for id in ids)
        return [(*row[:5], row[5].encode()) for row in found if row is not None]

    def _event_traces(self, ids: Iterable[str]) -> dict[str, str]:
        """Read the traces (JSON) that events came with, by their ids."""
        listed = msgspec.json.encode(list(ids)).decode()
        return dict(self._db.execute(named("telemetry.event_traces"), (listed,)).fetchall())

    def _steps(self, run_id: str) -> dict[str, bytes]:
        sql = "SELECT step_id, output FROM steps WHERE run_id=? ORDER BY seq"
        return {step: output.encode() for step, output in self._db.execute(sql, (run_id,))}

    # --- apps -------------------------------------------------------------------------------------------------------

    def apps(self) -> list[AppRecord]:
        """All apps, archived ones included."""
        return [_app(row) for row in self._db.execute(_ALL_APPS)]

    def functions(self) -> list[FunctionRecord]:
        """All functions, archived ones included."""
        return [_function(row) for row in self._db.execute(_ALL_FUNCTIONS)]

    def save_apps(
        self, apps: Iterable[AppRecord], functions: Iterable[FunctionRecord], removed: Iterable[str] = ()
    ) -> Sequence[Write]:
        """Write apps and functions whole, and delete the apps of the ids `removed`, in one transaction."""
        db = self._db
        try:
            if self.durability == "deferred":  # nobody calls `sync` for it
                self._synchronous("FULL")
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM apps WHERE id=?", [(id,) for id in removed])
            db.executemany(_PUT_APP, map(columns.record_row, apps))
            db.executemany(_PUT_FUNCTION, map(columns.record_row, functions))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise fault(self.path, error) from error
        finally:
            self._synchronous(self.log.synchronous)
        self._look()
        return ()

    def close(self) -> None:
        """Closes the store; an ephemeral one is gone then."""
        self.log.close()
        self._db.close()
        self.presence.close()
        if self._folder is not None:
            self._folder.cleanup()

    def begin_epoch(self) -> None:
        """Counts a start, or a reload: whatever is dispatched from here on is told apart from what was before."""
        self._look()
        self._count_epoch()

    def _count_epoch(self) -> None:
        try:
            row = self._db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone()
            self.epoch = int(row[0]) + 1 if row else 1
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (str(self.epoch),))
        except sqlite3.Error as error:
            raise fault(self.path, error) from error

    def _open(self) -> None:
        """Set the connection up. Nothing is written to the database of another program, nor of a newer version."""
        check_version(self._db)
        self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts for a new file only
        if self._db.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise StoreError(
                f"can't use the database {self.path}: its file system has no room for SQLite's "
                "write-ahead log, or can't hold one; choose a folder on a local disk with --sqlite-dir"
            )
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self._db.execute(f"PRAGMA journal_size_limit={CHECKPOINT_PAGES * 2_048}")  # when the log starts over
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.execute("PRAGMA cache_size=-8000")
        # Debian's SQLite fills freed pages with zeros otherwise, and writes them: a fifth of what retention costs.
        self._db.execute("PRAGMA secure_delete=FAST")
        migrate(self._db)
        self._synchronous(_SYNCHRONOUS[self.durability])
        self._count_epoch()


def _execute(db: sqlite3.Connection, write: Write) -> None:
    assert isinstance(write, Statement)
    db.executemany(named(write.name), write.rows)


def _write_items(
    db: sqlite3.Connection, items: Mapping[tuple[str, int], Job | Pause | None], put: str, drop: str
) -> None:
    """Writes open items and deletes those that are done (None)."""
    kept = [(run_id, no, encode_row(item).decode()) for (run_id, no), item in items.items() if item is not None]
    if kept:
        db.executemany(put, kept)
    if len(kept) < len(items):
        db.executemany(drop, [key for key, item in items.items() if item is None])


def _write_derived(db: sqlite3.Connection, changes: Changes) -> None:
    """Writes what follows from other rows: links and sessions of runs, totals, experiments and scores."""
    if changes.deferred_runs or changes.debug_runs:
        link_runs(db, changes)
    if changes.sessions:
        link_sessions(db, changes.sessions)
    if changes.run_totals:
        count_runs(db, changes)
    for noted in changes.noted:
        _execute(db, experiment_statement(noted))


def _write_records(db: sqlite3.Connection, changes: Changes) -> None:
    """Writes what is keyed by function: idempotency, crons, flow control."""
    if changes.idempotency or changes.forgotten or changes.crons:
        db.executemany(_DROP_KEY, changes.forgotten)
        db.executemany(_PUT_KEY, changes.idempotency)
        db.executemany(_PUT_CRON, [(*key, tick) for key, tick in changes.crons.items()])
    if not changes.flow and not changes.batched:
        return
    db.executemany(_PUT_FLOW, [(*k, _encode(r).decode()) for k, r in changes.flow.items() if r is not None])
    db.executemany(_DROP_FLOW, [key for key, record in changes.flow.items() if record is None])
    db.executemany(_PUT_BATCHED, changes.batched)
    db.executemany(_DROP_BATCHED, changes.unbatched)


def _app(row: tuple[object, ...]) -> AppRecord:
    return msgspec.convert(dict(zip(AppRecord.__struct_fields__, row, strict=True)), AppRecord, strict=False)


def _function(row: tuple[object, ...]) -> FunctionRecord:
    fields = dict(zip(FunctionRecord.__struct_fields__, row, strict=True))
    config = str(fields.pop("config")).encode()
    return FunctionRecord(**{**fields, "config": config})  # type: ignore[arg-type]
