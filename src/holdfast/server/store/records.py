"""Rows that no engine owns: accounts, webhooks, workers, telemetry.

A method that changes something adds to a `Sink`, usually the turn of a partition, and is durable with its commit.
Methods that read are for a start: the server keeps what it read in memory, and pages have `History`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast.server.engine.changes import Changes
from holdfast.server.model.account import (
    ApiToken,
    AuditEntry,
    Session,
    StoredEventKey,
    StoredSigningKey,
    User,
)
from holdfast.server.model.experiment import Noted
from holdfast.server.model.telemetry import MetadataUpdate, UserSpan
from holdfast.server.model.webhook import Webhook
from holdfast.server.model.worker import WorkerConnection, WorkerGroup
from holdfast.server.store.store import Store, Write, settled


class Sink(Protocol):
    """Where rows wait for a commit."""

    def write(self, write: Write) -> None:
        """Add rows to the next commit."""
        ...

    async def committed(self) -> None:
        """Wait until they are durable. Raises StoreError if they were not written."""
        ...


class Committing(Protocol):
    """Records whose commit can be waited for."""

    async def committed(self) -> None:
        """Wait until everything so far is durable. Raises StoreError if it was not written."""
        ...


class Accounts(Committing, Protocol):
    """Users, sessions, tokens, keys and the audit log."""

    def users(self) -> list[User]:
        """Return all users, by id."""
        ...

    def put_user(self, user: User) -> None:
        """Add or replace a user."""
        ...

    def drop_user(self, id: str) -> None:
        """Delete a user."""
        ...

    def sessions(self) -> list[Session]:
        """Return all sessions."""
        ...

    def put_session(self, session: Session) -> None:
        """Add or replace a session."""
        ...

    def drop_sessions(self, hashes: Sequence[str]) -> None:
        """Delete sessions."""
        ...

    def tokens(self) -> list[ApiToken]:
        """Return all tokens, revoked ones included, by id."""
        ...

    def put_token(self, token: ApiToken) -> None:
        """Add or replace a token."""
        ...

    def event_keys(self) -> list[StoredEventKey]:
        """Return the event keys that were made at run time, by id."""
        ...

    def put_event_key(self, key: StoredEventKey) -> None:
        """Add or replace an event key."""
        ...

    def signing_keys(self) -> list[StoredSigningKey]:
        """Return the signing keys that are or were in force, by id."""
        ...

    def put_signing_keys(self, keys: Sequence[StoredSigningKey]) -> None:
        """Add or replace signing keys, all or none."""
        ...

    def token_secret(self) -> str:
        """Return what the tokens of this server are signed with; empty if that was never put."""
        ...

    def put_token_secret(self, secret: str) -> None:
        """Set what the tokens of this server are signed with."""
        ...

    def add_audit_entry(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        ...


class WebhookRecords(Committing, Protocol):
    """Webhooks."""

    def webhooks(self) -> list[Webhook]:
        """Return all webhooks, by id."""
        ...

    def put_webhook(self, webhook: Webhook) -> None:
        """Add or replace a webhook."""
        ...

    def drop_webhook(self, id: str) -> None:
        """Delete a webhook."""
        ...


class WorkerRecords(Protocol):
    """Connections of workers and the versions of apps that they run (Connect)."""

    def worker_connections(self) -> list[WorkerConnection]:
        """Return the connections that are kept, by id: those of the past, and those open when the server ended."""
        ...

    def put_worker_connection(self, connection: WorkerConnection) -> None:
        """Add or replace a connection."""
        ...

    def drop_worker_connections(self, ids: Sequence[str]) -> None:
        """Delete connections."""
        ...

    def worker_groups(self) -> list[WorkerGroup]:
        """Return the worker groups that are kept."""
        ...

    def put_worker_group(self, group: WorkerGroup) -> None:
        """Add or replace a worker group."""
        ...

    def drop_worker_group(self, app_id: str, hash: str) -> None:
        """Delete a worker group."""
        ...


class TelemetryRecords(Committing, Protocol):
    """What user code and senders tell of runs and events."""

    def add_metadata(self, run_id: str, id: str, update: MetadataUpdate) -> None:
        """Append an update of a run's metadata; `id` is a ULID, and updates are read in the order of their ids."""
        ...

    def note_experiments(self, noted: Sequence[Noted]) -> None:
        """Apply what updates tell of experiments and scores, in their order."""
        ...

    def add_user_spans(self, spans: Sequence[tuple[str, UserSpan, bytes]]) -> None:
        """Add spans: the id of a run, the span, its JSON. Of one that comes more than once the longest is kept."""
        ...

    def add_event_traces(self, event_ids: Sequence[str], trace: bytes) -> None:
        """Keep the trace (JSON) that a request was in with the events that it sent."""
        ...


class Records(Accounts, WebhookRecords, WorkerRecords, TelemetryRecords, Protocol):
    """All rows that no engine owns."""


class Immediate:
    """A sink for a store that no server runs over: rows are committed when they are waited for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.writes: list[Write] = []

    def write(self, write: Write) -> None:
        """Add rows to the next commit."""
        self.writes.append(write)

    async def committed(self) -> None:
        """Commit them. Raises StoreError."""
        writes, self.writes = self.writes, []
        if writes:
            await settled(self._store.commit(Changes(), writes))
