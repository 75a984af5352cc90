"""The PostgreSQL store: one round trip per turn, fenced by the partition's epoch (docs/adr/0027)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import structlog

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Body
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.store.postgres import recovery
from holdfast.server.store.postgres.document import document
from holdfast.server.store.postgres.faults import ERRORS, fault
from holdfast.server.store.postgres.link import Link, connect
from holdfast.server.store.postgres.migrate import migrate, newest
from holdfast.server.store.postgres.queries import literal, named
from holdfast.server.store.postgres.settings import BEAT_S, LEASE_S, Settings, shown
from holdfast.server.store.records import Sink
from holdfast.server.store.retention import Erased, Group
from holdfast.server.store.sql import rows
from holdfast.server.store.sql.columns import record_row
from holdfast.server.store.sql.records import SqlRecords, experiment_statement
from holdfast.server.store.sql.statement import Statement, Value
from holdfast.server.store.store import EndedRun, EventRow, Needs, Recovered, StoreError, Write, needs_none

if TYPE_CHECKING:
    from holdfast.server.store.postgres.link import AnyConnection

log = structlog.get_logger(__name__)

_encode = msgspec.json.encode

#: How often a process that finds its partition owned looks again (s).
_LOOK_S = 0.5
_PATIENCE_S = LEASE_S + 1
#: Connections that read for the engine: bodies of runs, recovery, heartbeats.
_READERS = 4


class PostgresStore:
    """The writer of one partition, in a schema of a database. Made by `open_store`, on a running event loop."""

    deferred = False
    log_pages = 0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schema = settings.schema
        self._node = f"{time.time_ns():x}{secrets.token_hex(4)}"
        self._link = Link(settings, _READERS)
        self._writer: AnyConnection | None = None
        self._heart: asyncio.Task[None] | None = None
        self._start = recovery.Start()
        self.on_lost: Callable[[StoreError], object] = lambda _: None
        """Told that others may take over what this process owns: nothing may happen for it any more."""
        self.epoch = 0
        self.commit_s = 0.0
        self._copy = 0

    # --- ownership --------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Migrate, claim the partition, and read what a start needs. Raises StoreError, SchemaError."""
        await migrate_database(self._settings)
        await self._claim_in_time()
        self._heart = asyncio.create_task(self._beat())
        async with self._link.snapshot() as snapshot:
            self._start = await recovery.read_start(snapshot)

    async def begin_epoch(self) -> None:
        """Claim the partition anew: no commit of before can be done after this."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await _end(writer)
        await self._make_heard()
        found = await self._link.do("partitions.claim", self._node, self._settings.partition)
        if not found:
            raise OwnedError(await self._owned())
        self.epoch = int(found[0][0])
        self._copy = self.epoch << 40
        self._writer = await connect(self._settings)

    async def _claim_in_time(self) -> None:
        """Claim the partition; wait for the lease of a process that was killed."""
        patience = time.monotonic() + _PATIENCE_S
        while True:
            try:
                await self.begin_epoch()
            except OwnedError:
                if time.monotonic() > patience:
                    raise
                await asyncio.sleep(_LOOK_S)
            else:
                return

    async def _owned(self) -> str:
        found = await self._link.do("partitions.owner", self._settings.partition)
        owner = found[0][0] if found else "somebody"
        return (
            f"the schema {self._schema} of {shown(self._settings.uri)} is in use by another Holdfast server ({owner}); "
            "stop that one, or choose another schema with --postgres-schema"
        )

    async def _make_heard(self) -> None:
        name = f"{socket.gethostname()}, process {os.getpid()}"
        await self._link.do("partitions.beat", self._node, name, LEASE_S)

    async def _beat(self) -> None:
        """Keep the lease. If that fails for too long, others may have claimed what was owned."""
        heard = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            asked = time.monotonic()
            try:
                await asyncio.wait_for(self._make_heard(), LEASE_S / 2)
            except (StoreError, TimeoutError) as error:
                if time.monotonic() - heard > LEASE_S - BEAT_S:
                    self.on_lost(fault(self._settings.uri, error))
            else:
                heard = asked

    # --- the hot path -----------------------------------------------------------------------------------------------

    async def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> None:
        """Write a turn's rows in one round trip. Raises StoreError; what was written is then unknown."""
        try:
            text = self._text(changes, writes)
        except (UnicodeError, msgspec.MsgspecError, TypeError, ValueError) as error:
            raise StoreError(f"a value can't be stored: {error}") from error
        writer = self._writer
        if writer is None:
            raise StoreError(f"there is no connection to {shown(self._settings.uri)}; a running server tries again")
        began = time.perf_counter()
        try:
            await writer.execute(text, timeout=self._settings.commit_s)
        except ERRORS as error:
            raise fault(self._settings.uri, error) from error
        self.commit_s = time.perf_counter() - began
        self._copy += len(changes.events)

    def _text(self, changes: Changes, writes: Sequence[Write]) -> str:
        doc = literal(document(changes, self._copy))
        commit = f"SELECT {self._schema}.commit({self._settings.partition}, {self.epoch}, {doc})"
        if not writes and not changes.noted:
            return commit
        more = [self.statement(write) for write in (*map(experiment_statement, changes.noted), *writes)]
        return ";\n".join([commit, *more])

    def statement(self, write: Write) -> str:
        """Return a statement with its rows as text."""
        assert isinstance(write, Statement)
        return named(write.name).replace("{schema}", self._schema).replace("{rows}", literal(write.rows))

    def upkeep(self) -> None:
        """Do nothing: the database looks after itself."""

    def probe(self) -> None:
        """Do nothing: what room there is shows with the next commit."""

    # --- records ----------------------------------------------------------------------------------------------------

    def records(self, sink: Sink) -> SqlRecords:
        """Return the rows that no engine owns; what changes them goes to `sink`."""
        return SqlRecords(self, sink)

    def select(self, statement: str, parameters: Sequence[Value] = ()) -> Sequence[Sequence[Value]]:
        """Return rows that were read at the start, by the name of their query."""
        return self._start.select(statement, parameters)

    def apps(self) -> list[AppRecord]:
        """Return all apps, archived ones included, as read last."""
        return [rows.read_app(row) for row in self._start.select("apps.apps")]

    def functions(self) -> list[FunctionRecord]:
        """Return all functions, as read last."""
        return [rows.read_function(row) for row in self._start.select("apps.functions")]

    def save_apps(
        self, apps: Iterable[AppRecord], functions: Iterable[FunctionRecord], removed: Iterable[str] = ()
    ) -> Sequence[Write]:
        """Return what the next commit has to write."""
        given = {
            "apps.drop_app": [(id,) for id in removed], "apps.put_app": [record_row(app) for app in apps],
            "apps.put_function": [record_row(function) for function in functions],
        }  # fmt: skip
        return [Statement(name, found) for name, found in given.items() if found]

    # --- recovery ---------------------------------------------------------------------------------------------------

    async def recover(self, needs: Needs = needs_none) -> Recovered:
        """Read all live state of the partition, and what a start needs."""
        try:
            async with asyncio.timeout(self._settings.recover_s), self._link.snapshot() as snapshot:
                self._start = await recovery.read_start(snapshot)
                return await recovery.read_live(snapshot, self._settings.partition, needs)
        except (KeyError, ValueError) as error:
            raise StoreError(f"the rows in {shown(self._settings.uri)} are inconsistent ({error!r})") from error
        except TimeoutError as error:
            raise fault(self._settings.uri, error) from error

    async def load_body(self, run_id: str) -> Body:
        """Read a live run's events and memoised steps."""
        async with self._link.snapshot() as snapshot:
            return await recovery.read_body(snapshot, run_id)

    async def load_ended(self, run_id: str) -> EndedRun | None:
        """Read what a rerun of a run needs."""
        async with self._link.snapshot() as snapshot:
            return await recovery.read_ended(snapshot, run_id)

    async def load_events(self, ids: Iterable[str]) -> list[EventRow]:
        """Read events by internal id, in the order asked for."""
        async with self._link.snapshot() as snapshot:
            return await recovery.read_events(snapshot, list(ids))

    # --- retention --------------------------------------------------------------------------------------------------

    settled = True

    async def erase(self, groups: Sequence[Group], budget_s: float) -> Erased:
        """Carry out groups of deletions until `budget_s` is over, in a transaction that no commit comes between."""
        began = time.perf_counter()
        done, rows = 0, Counter[str]()
        async with self._link.transaction() as connection:
            fence = named("partitions.hold").replace("{schema}", self._schema)
            if not await connection.fetch(fence, self._settings.partition, self.epoch):
                raise StoreError(await self._owned())
            for group in groups:
                for write in group:
                    status = await connection.execute(self.statement(write))
                    rows[cast("Statement", write).name] += int(status.rpartition(" ")[2])
                done += 1
                if time.perf_counter() > began + budget_s:
                    break
        events = rows["retention.drop_event"] + rows["retention.drop_copy"]
        return Erased(done, rows["retention.drop_run"], events, time.perf_counter() - began)

    def shrink(self, budget_s: float) -> bool:  # noqa: ARG002 - there is nothing to do
        """Do nothing: the database's own vacuum gives room back."""
        return False

    def settle(self) -> None:
        """Do nothing: the log is the database's."""

    async def close(self) -> None:
        """Give the partition back, and close all connections."""
        if self._heart is not None:
            self._heart.cancel()
        with contextlib.suppress(StoreError, TimeoutError):
            await asyncio.wait_for(self._link.do("partitions.leave", self._node), LEASE_S)
        await self._link.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            await _end(writer)


class OwnedError(StoreError):
    """Another process owns the partition."""


async def migrate_database(settings: Settings) -> int:
    """Bring a schema to this version; return that. Raises StoreError, SchemaError."""
    connection = await connect(settings)
    try:
        await migrate(connection, settings.schema)
    except ERRORS as error:
        raise fault(settings.uri, error) from error
    finally:
        await _end(connection)
    return newest()


async def open_store(settings: Settings) -> PostgresStore:
    """Open a store: migrated, and its partition claimed. Raises StoreError, SchemaError."""
    store = PostgresStore(settings)
    try:
        await store.open()
    except BaseException:
        await store.close()
        raise
    return store


async def _end(connection: AnyConnection) -> None:
    """Close a connection; what doesn't answer is dropped."""
    try:
        await connection.close(timeout=1)
    except (*ERRORS, asyncio.CancelledError):
        connection.terminate()
