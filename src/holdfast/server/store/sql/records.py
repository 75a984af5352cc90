"""Rows that no engine owns, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from holdfast.server.model.account import (
    ApiToken,
    AuditEntry,
    Session,
    StoredEventKey,
    StoredSigningKey,
    User,
)
from holdfast.server.model.experiment import ChoiceNoted, Noted, ScoreNoted
from holdfast.server.model.telemetry import MetadataUpdate, UserSpan
from holdfast.server.model.webhook import EventFilter, Webhook
from holdfast.server.model.worker import WorkerConnection, WorkerGroup
from holdfast.server.store.records import Sink
from holdfast.server.store.sql.statement import Statement, Value

T = TypeVar("T", bound=msgspec.Struct)

_TOKEN_SECRET = "token_secret"  # noqa: S105 - the name of a row
_encode = msgspec.json.encode
_decode_filter = msgspec.json.Decoder(EventFilter).decode
_decode_connection = msgspec.json.Decoder(WorkerConnection).decode


class Source(Protocol):
    """Where the rows of a start come from."""

    def select(self, statement: str, parameters: Sequence[Value] = ()) -> Sequence[Sequence[Value]]:
        """Return the rows of a query, by its name `<file>.<section>`."""
        ...


class SqlRecords:
    """`holdfast.server.store.records.Records`: rows go to a sink; what is read comes from a source."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self._source = source
        self._sink = sink

    async def committed(self) -> None:
        """Wait until everything so far is durable."""
        await self._sink.committed()

    # --- accounts ---------------------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """Return all users, by id."""
        return self._all("access.users", User)

    def put_user(self, user: User) -> None:
        """Add or replace a user."""
        self._put("access.put_user", user)

    def drop_user(self, id: str) -> None:
        """Delete a user."""
        self._write("access.drop_user", [(id,)])

    def sessions(self) -> list[Session]:
        """Return all sessions."""
        return self._all("access.sessions", Session)

    def put_session(self, session: Session) -> None:
        """Add or replace a session."""
        self._put("access.put_session", session)

    def drop_sessions(self, hashes: Sequence[str]) -> None:
        """Delete sessions."""
        self._write("access.drop_session", [(hash,) for hash in hashes])

    def tokens(self) -> list[ApiToken]:
        """Return all tokens, by id."""
        return self._all("access.tokens", ApiToken)

    def put_token(self, token: ApiToken) -> None:
        """Add or replace a token."""
        self._put("access.put_token", token)

    def event_keys(self) -> list[StoredEventKey]:
        """Return the event keys that were made at run time, by id."""
        return self._all("access.event_keys", StoredEventKey)

    def put_event_key(self, key: StoredEventKey) -> None:
        """Add or replace an event key."""
        self._put("access.put_event_key", key)

    def signing_keys(self) -> list[StoredSigningKey]:
        """Return the signing keys, by id."""
        return self._all("access.signing_keys", StoredSigningKey)

    def put_signing_keys(self, keys: Sequence[StoredSigningKey]) -> None:
        """Add or replace signing keys."""
        self._put("access.put_signing_key", *keys)

    def token_secret(self) -> str:
        """Return what the tokens of this server are signed with."""
        found = self._source.select("meta.get", (_TOKEN_SECRET,))
        return str(found[0][0]) if found else ""

    def put_token_secret(self, secret: str) -> None:
        """Set what the tokens of this server are signed with."""
        self._write("meta.put", [(_TOKEN_SECRET, secret)])

    def add_audit_entry(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        self._put("access.note", entry)

    # --- webhooks ---------------------------------------------------------------------------------------------------

    def webhooks(self) -> list[Webhook]:
        """Return all webhooks, by id."""
        return [_webhook(row) for row in self._source.select("webhooks.all")]

    def put_webhook(self, webhook: Webhook) -> None:
        """Add or replace a webhook."""
        kept = _encode(webhook.event_filter).decode() if webhook.event_filter is not None else ""
        row = (
            webhook.id, webhook.key, webhook.name, webhook.transform, webhook.response, kept, webhook.created_at,
            webhook.updated_at,
        )  # fmt: skip
        self._write("webhooks.put", [row])

    def drop_webhook(self, id: str) -> None:
        """Delete a webhook."""
        self._write("webhooks.drop", [(id,)])

    # --- workers ----------------------------------------------------------------------------------------------------

    def worker_connections(self) -> list[WorkerConnection]:
        """Return the connections that are kept, by id."""
        return [_decode_connection(str(text)) for (text,) in self._source.select("workers.connections")]

    def put_worker_connection(self, connection: WorkerConnection) -> None:
        """Add or replace a connection."""
        self._write("workers.put_connection", [(connection.id, _encode(connection).decode())])

    def drop_worker_connections(self, ids: Sequence[str]) -> None:
        """Delete connections."""
        self._write("workers.drop_connection", [(id,) for id in ids])

    def worker_groups(self) -> list[WorkerGroup]:
        """Return the worker groups that are kept."""
        return self._all("workers.groups", WorkerGroup)

    def put_worker_group(self, group: WorkerGroup) -> None:
        """Add or replace a worker group."""
        self._put("workers.put_group", group)

    def drop_worker_group(self, app_id: str, hash: str) -> None:
        """Delete a worker group."""
        self._write("workers.drop_group", [(app_id, hash)])

    # --- telemetry --------------------------------------------------------------------------------------------------

    def add_metadata(self, run_id: str, id: str, update: MetadataUpdate) -> None:
        """Append an update of a run's metadata."""
        values = _encode(update.values).decode()
        row = (run_id, id, update.scope, update.step_id, update.attempt, update.span_id, update.kind, update.op, values)
        self._write("telemetry.add_metadata", [row])

    def note_experiments(self, noted: Sequence[Noted]) -> None:
        """Apply what updates tell of experiments and scores."""
        for one in noted:
            self._sink.write(experiment_statement(one))

    def add_user_spans(self, spans: Sequence[tuple[str, UserSpan, bytes]]) -> None:
        """Add spans: the id of a run, the span, its JSON."""
        rows = [
            (run_id, span.trace_id, span.span_id, span.start, span.end - span.start, len(json), json.decode())
            for run_id, span, json in spans
        ]
        self._write("telemetry.add_user_span", rows)

    def add_event_traces(self, event_ids: Sequence[str], trace: bytes) -> None:
        """Keep the trace that a request was in with the events that it sent."""
        text = trace.decode()
        self._write("telemetry.add_event_trace", [(id, text) for id in event_ids])

    # --- rows -------------------------------------------------------------------------------------------------------

    def _all(self, statement: str, kind: type[T]) -> list[T]:
        return [read_struct(row, kind) for row in self._source.select(statement)]

    def _put(self, statement: str, *records: msgspec.Struct) -> None:
        self._write(statement, [msgspec.structs.astuple(record) for record in records])

    def _write(self, statement: str, rows: Sequence[tuple[Value, ...]]) -> None:
        if rows:
            self._sink.write(Statement(statement, rows))


def read_struct(row: Sequence[Value], kind: type[T]) -> T:
    """Return a row as a struct whose fields are its columns, in order."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)


def experiment_statement(noted: Noted) -> Statement:
    """Return the statement that applies what an update tells."""
    if isinstance(noted, ChoiceNoted):
        choice = noted.choice
        variants, weights = _encode(choice.variants).decode(), _encode(choice.weights).decode()
        row = (noted.run_id, choice.name, choice.variant, choice.strategy, variants, weights)
        return Statement("experiments.add_run", [row])
    if isinstance(noted, ScoreNoted):
        return Statement("experiments.add_score", [(noted.run_id, noted.step_id, noted.name, noted.value)])
    if noted.name is None:
        return Statement("experiments.drop_scores", [(noted.run_id, noted.step_id)])
    return Statement("experiments.drop_score", [(noted.run_id, noted.step_id, noted.name)])


def _webhook(row: Sequence[Any]) -> Webhook:
    id, key, name, transform, response, kept, created_at, updated_at = row
    return Webhook(
        id=id, key=key, name=name, transform=transform, response=response,
        event_filter=_decode_filter(kept) if kept else None, created_at=created_at, updated_at=updated_at,
    )  # fmt: skip
