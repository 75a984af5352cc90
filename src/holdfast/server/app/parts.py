"""What a server is made of, by topic: storage, execution, access, telemetry. Each is made of those before it."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.protocol.ids import ENTROPY_BITS, UlidSource, ulid
from holdfast.protocol.limits import CALL_TIMEOUT_S
from holdfast.server.access.access import Access
from holdfast.server.access.keys import Keys
from holdfast.server.access.options import OidcOptions
from holdfast.server.access.options import Options as AccessOptions
from holdfast.server.access.records import Watched
from holdfast.server.activity.activity import Activity
from holdfast.server.clock import Clock, now_ms
from holdfast.server.config import Config
from holdfast.server.config.egress import Egress
from holdfast.server.connect.driver import ConnectDriver
from holdfast.server.connect.gateway import Gateway
from holdfast.server.connect.history import History
from holdfast.server.connect.proxies import trusting
from holdfast.server.connect.roster import Roster
from holdfast.server.connect.syncing import Syncs
from holdfast.server.drivers.driver import Driver
from holdfast.server.drivers.http import HttpClient
from holdfast.server.drivers.http.driver import HttpDriver
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.settings import Settings
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime.apps import Apps
from holdfast.server.runtime.disk import Disk, NoDisk
from holdfast.server.runtime.dispatcher import Dispatcher
from holdfast.server.runtime.gateways import Gateways
from holdfast.server.runtime.live import Live
from holdfast.server.runtime.partition import Partition
from holdfast.server.runtime.retention import Policy, Retention
from holdfast.server.runtime.rotation import Rotation
from holdfast.server.runtime.router import Router
from holdfast.server.runtime.syncer import Syncer
from holdfast.server.runtime.tally import FunctionCounts
from holdfast.server.store.sql.expiry import SqlExpiry
from holdfast.server.store.sql.export import SqlExport
from holdfast.server.store.sql.history import SqlHistory
from holdfast.server.store.sqlite import backup, lock
from holdfast.server.store.sqlite.history import SqliteHistory
from holdfast.server.store.sqlite.memory import MemoryReaders, MemoryStore
from holdfast.server.store.sqlite.store import SqliteStore, check_room
from holdfast.server.store.store import StoreError
from holdfast.server.telemetry.exporter import TraceExporter
from holdfast.server.telemetry.metadata import MetadataLog
from holdfast.server.telemetry.settings import Settings as TraceSettings
from holdfast.server.telemetry.spans import UserSpans

if TYPE_CHECKING:
    from holdfast.server.store.postgres.readers import PostgresReaders
    from holdfast.server.store.postgres.store import PostgresStore


class Storage:
    """The database: the lock of its folder, the one writer, the readers, and an eye on the disk."""

    def __init__(self, config: Config) -> None:
        with contextlib.ExitStack() as undo:
            if config.database:
                undo.push(lock.hold(config.database, make=True))
                check_room(config.database)
                backup.remove_stale([config.database.with_name(f"{config.database.name}.{backup.RESTORING}")])
            self.store = SqliteStore(config.database, "full" if config.persist else "none", adapts=True)
            self._lock = undo.pop_all()
        self.history = SqliteHistory(self.store.path)
        readers = self.history.readers
        self.expiry = SqlExpiry(self.store, readers)
        self.export = SqlExport(readers)
        self.disk = Disk(self.store.path, self.store.presence.trouble if config.database else str)

    def watch(self, lost: Callable[[StoreError], object]) -> None:
        """Do nothing: what a lock holds is not lost."""

    async def close(self) -> None:
        """Closes the files; the lock goes last."""
        self.history.close()
        self.store.close()
        self._lock.close()


class MemoryStorage(Storage):
    """A database in memory, without a file, a thread or a lock."""

    def __init__(self) -> None:
        self.store = store = MemoryStore()
        readers = MemoryReaders(store)
        self.history = SqliteHistory(readers)
        self.expiry, self.export = SqlExpiry(store, readers), SqlExport(readers)
        self.disk = Disk(Path.cwd(), str)

    async def close(self) -> None:
        """Drop everything."""
        self.store.close()


class PostgresStorage:
    """A schema of a PostgreSQL database: the one writer, and the readers."""

    def __init__(self, store: PostgresStore, readers: PostgresReaders) -> None:
        self.store = store
        self.history = SqlHistory(readers)
        self.expiry, self.export = SqlExpiry(store, readers), SqlExport(readers)
        self.disk = NoDisk()

    def watch(self, lost: Callable[[StoreError], object]) -> None:
        """Have somebody told when others may take over what this process owns."""
        self.store.on_lost = lost

    async def close(self) -> None:
        """Give back what is owned, and end all connections."""
        self.history.close()
        await self.store.close()


AnyStorage = Storage | PostgresStorage


async def open_storage(config: Config) -> AnyStorage:
    """Open what `config` names. Raises StoreError, SchemaError."""
    if not config.postgres_uri:
        return Storage(config)
    from holdfast.server.store.postgres.readers import PostgresReaders  # noqa: PLC0415 - asyncpg is for who uses it
    from holdfast.server.store.postgres.settings import Settings  # noqa: PLC0415 - as above
    from holdfast.server.store.postgres.store import open_store  # noqa: PLC0415 - as above

    settings = Settings(
        config.postgres_uri, config.postgres_schema, most=config.postgres_most, idle_s=60.0 * config.postgres_idle
    )
    store = await open_store(settings)
    return PostgresStorage(store, PostgresReaders(settings))


class Execution:
    """The engine's partition and its surroundings: keys, calls to apps, what listens to runs, syncs, retention."""

    def __init__(self, config: Config, storage: AnyStorage, clock: Clock | None, drivers: Mapping[str, Driver]) -> None:
        self.ids = ids = UlidSource(secrets.randbits)
        self.settings = settings = Settings(
            workers=config.workers, retry_interval_ms=config.retry_interval * 1_000,
            cron_catch_up=config.catch_up, cron_catch_ups=config.catch_ups,
        )  # fmt: skip
        self.partition = Partition(
            lambda epoch: Engine(ids, random.SystemRandom().randrange, settings, epoch), storage.store, clock
        )
        storage.watch(self.partition.distrust)
        self.router = Router(self.partition)
        if config.function_metrics:
            self.partition.tally.functions = FunctionCounts()
        self.keys = Keys(
            self.partition.records, ids, event_keys=config.event_keys, signing_key=config.signing_secret,
            signing_key_fallback=config.signing_key_fallback,
        )  # fmt: skip
        self.keys.load()
        self.client = HttpClient(total_timeout=CALL_TIMEOUT_S, egress=Egress(config.egress))
        self.realtime = Broadcaster()
        self.roster = Roster()
        self.workers = ConnectDriver(
            self.roster, lambda ms: ulid(ms, secrets.randbits(ENTROPY_BITS)), now_ms, lease_s=int(config.connect_lease)
        )
        http = HttpDriver(
            self.client, self.keys.signers, self.partition.intake.do, self.partition.now, self.partition.alive,
            Rotation().do,
        )  # fmt: skip
        gateways = Gateways(self.partition, self.client, self.realtime)
        known: dict[str, Driver] = {"http": http, "https": http, "ws": self.workers, "wss": self.workers}
        self.dispatcher = Dispatcher(self.partition, {**known, **drivers}, gateways, ids)
        self.workers.late = self.dispatcher.answer_late
        self.dispatcher.verbose = config.verbose or config.log_level in {"debug", "trace"}
        self.partition.performer = self.dispatcher
        self.live = Live(self.partition, self.realtime)
        self.apps = Apps(self.partition)
        self.apps.on_change = self.live.apps_changed
        self.dispatcher.on_away = partial(self.apps.called, reached=False)
        self.dispatcher.on_back = partial(self.apps.called, reached=True)
        self.activity = Activity(self.partition.now)
        self.apps.tell, self.partition.on_activity = self.activity.tell, self.activity.turn
        self.roster.on_capacity = self._capacity
        gateway_id = ids.next(now_ms())
        history = History(self.partition.records, gateway_id, now_ms)
        self.gateway = Gateway(
            gateway_id, self.roster, self.workers, Syncs(self.apps, self.roster, history), history,
            self.keys.token_secret, now_ms, self.partition.on_commit, trusting(config.trusted_proxies),
        )  # fmt: skip
        self.syncer = Syncer(
            self.apps, self.client, server_kind=config.kind, signers=self.keys.signers, interval=config.poll_interval
        )
        kept = Policy.of(config.retention, config.retention_runs, config.audit_retention)
        self.retention = Retention(self.partition, storage.expiry, kept)

    def _capacity(self, app_id: str, units: int | None) -> None:
        self.apps.set_capacity(app_id, units)
        if units == 0:
            self.workers.emptied(app_id)

    async def close(self) -> None:
        """Ends what starts work, then the work: what was accepted is committed before calls are cut off."""
        await self.syncer.close()
        await self.retention.close()
        await self.gateway.close()
        await self.partition.close()
        await self.dispatcher.close()
        await self.client.close()


class Telemetry:
    """Spans of user code and metadata, in; traces of runs, out."""

    def __init__(
        self, config: Config, storage: AnyStorage, execution: Execution, sending: TraceSettings | None
    ) -> None:
        partition, ids, history = execution.partition, execution.ids, storage.history
        self.metadata = MetadataLog(partition, history, lambda: ids.next(partition.now()), enabled=config.step_metadata)
        self.spans = UserSpans(partition, history)
        self.traces_out = TraceExporter(sending, storage.history) if sending is not None else None
        if self.traces_out is not None:
            partition.on_end = self.traces_out.ended


def make_access(config: Config, storage: AnyStorage, execution: Execution) -> Access:
    """Users, sessions, tokens and audit, as they were stored."""
    oidc = OidcOptions(
        config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret, config.oidc_scopes,
        config.oidc_role_claim, config.oidc_roles, config.oidc_default_role, config.oidc_domains,
    )  # fmt: skip
    options = AccessOptions(
        int(config.session_idle * 1_000), int(config.session_lifetime * 1_000), config.admin_user,
        config.admin_password, config.allowed_hosts, oidc,
    )  # fmt: skip
    partition, changes = execution.partition, Watched(execution.partition)
    records = partition.store.records(changes)
    access = Access(execution.keys, records, changes, execution.ids, storage.history, options)
    access.load()
    return access
