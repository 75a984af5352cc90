"""A store in memory: what each commit wrote, rendered, so that later changes in the engine don't show.

`slow` makes it answer like a store behind a network: `commit` and `load_body` return futures.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import msgspec

from holdfast.protocol.events import Event
from holdfast.server.engine.changes import Changes, SpanRow, StepRow
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.account import ApiToken, AuditEntry, Session, StoredEventKey, StoredSigningKey, User
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.experiment import Noted
from holdfast.server.model.job import Job, Pause, decode_job, decode_pause, encode_row
from holdfast.server.model.run import RunDetail, decode_detail, decode_state
from holdfast.server.model.status import RunStatus
from holdfast.server.model.telemetry import MetadataUpdate, UserSpan
from holdfast.server.model.webhook import Webhook
from holdfast.server.model.worker import WorkerConnection, WorkerGroup
from holdfast.server.store.records import Sink
from holdfast.server.store.store import EndedRun, EventRow, Needs, Recovered, StoreError, Write, needs_none

_encode = msgspec.json.encode


@dataclass
class RunRow:
    """A run's row, rendered."""

    function_id: str
    app_id: str
    status: RunStatus
    scheduled_at: int
    started_at: int | None
    ended_at: int | None
    event_ids: tuple[str, ...]
    event_name: str
    cron: str
    batch_id: str
    original_run_id: str
    output: bytes | None
    detail: bytes
    state: bytes

    @property
    def details(self) -> RunDetail:
        return decode_detail(self.detail)


class Put(Write, frozen=True):
    """A record that joins a commit: its kind, its key, its value; no value deletes it."""

    kind: str
    key: Any
    value: Any


@dataclass
class Rows:
    """The tables."""

    events: list[Event] = field(default_factory=list)
    event_runs: list[tuple[str, str]] = field(default_factory=list)
    runs: dict[str, RunRow] = field(default_factory=dict)
    steps: list[StepRow] = field(default_factory=list)
    spans: list[SpanRow] = field(default_factory=list)
    jobs: dict[tuple[str, int], bytes] = field(default_factory=dict)
    pauses: dict[tuple[str, int], bytes] = field(default_factory=dict)
    keys: dict[str, tuple[str, int]] = field(default_factory=dict)  # run id, expiry (ms)
    crons: dict[tuple[str, str], int] = field(default_factory=dict)
    flow: dict[tuple[str, str], bytes] = field(default_factory=dict)
    batches: dict[str, dict[int, str]] = field(default_factory=dict)
    apps: dict[str, AppRecord] = field(default_factory=dict)
    functions: dict[str, FunctionRecord] = field(default_factory=dict)
    records: dict[str, dict[Any, Any]] = field(default_factory=dict)

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> None:
        self.events += changes.events
        self.event_runs += [link for link in changes.event_runs if link not in self.event_runs]
        for run in changes.new_runs.values():
            assert run.body is not None
            self.runs[run.id] = _row(run, run.body.event_ids)
        for run in changes.runs.values():
            self.runs[run.id] = _row(run, self.runs[run.id].event_ids)
        self.steps += changes.steps
        self.spans += changes.spans
        _put(self.jobs, changes.jobs)
        _put(self.pauses, changes.pauses)
        for (key,) in changes.forgotten:
            self.keys.pop(key, None)
        for key, run_id, expires in changes.idempotency:
            self.keys[key] = run_id, expires
        self.crons.update(changes.crons)
        self._commit_flow(changes)
        for write in writes:
            assert isinstance(write, Put)
            self._put_record(write)
        numbers = [(row[0], row[1]) for row in (*self.steps, *self.spans)]
        assert len(numbers) == len(set(numbers)), "a place in a run's history was given twice"

    def _commit_flow(self, changes: Changes) -> None:
        for key, record in changes.flow.items():
            if record is None:
                self.flow.pop(key, None)
            else:
                self.flow[key] = _encode(record)
        for batch, place, event in changes.batched:
            self.batches.setdefault(batch, {})[place] = event
        for (batch,) in changes.unbatched:
            self.batches.pop(batch, None)

    def _put_record(self, write: Put) -> None:
        table = self.records.setdefault(write.kind, {})
        if write.value is None:
            table.pop(write.key, None)
        else:
            _encode(write.value)  # what no row can hold fails the commit
            table[write.key] = write.value

    def body(self, run_id: str) -> Body:
        events = {event.id: event.json for event in reversed(self.events)}
        return Body([events[id] for id in self.runs[run_id].event_ids if id in events], self.memo(run_id))

    def memo(self, run_id: str) -> dict[str, bytes]:
        return {step: output for run, _, step, output, _ in self.steps if run == run_id}

    def live(self) -> list[Run]:
        """The live runs, without bodies."""
        runs: dict[str, Run] = {}
        items = [decode_job(b) for b in self.jobs.values()] + [decode_pause(b) for b in self.pauses.values()]
        for item in sorted(items, key=lambda i: (i.run_id, i.no)):
            run = runs.get(item.run_id) or runs.setdefault(item.run_id, self._run(item.run_id))
            run.open.put(item)
            run.next_no = max(run.next_no, item.no)
        stranded = [self._run(id) for id, row in self.runs.items() if not row.status.ended and id not in runs]
        return [*runs.values(), *stranded]

    def _run(self, id: str) -> Run:
        row, body = self.runs[id], self.body(id)
        run = Run(id, row.function_id, row.app_id, row.scheduled_at)
        run.status, run.started_at, run.event_name = row.status, row.started_at, row.event_name
        run.cron, run.batch_id, run.original_run_id = row.cron, row.batch_id, row.original_run_id
        run.detail, run.state = decode_detail(row.detail), decode_state(row.state)
        run.step_count = len(body.steps)
        run.state_size = sum(map(len, body.events)) + sum(map(len, body.steps.values()))
        steps, spans = [row[1] for row in self.steps if row[0] == id], [row[1] for row in self.spans if row[0] == id]
        run.seq = max([*steps, *spans], default=0)
        if run.state.group:
            run.pending = set(run.state.group) - set(body.steps)
        return run


class DictStore:
    """`holdfast.server.store.store.Store` over rows in memory."""

    def __init__(self, rows: Rows | None = None, *, slow: bool = False) -> None:
        self.rows = rows if rows is not None else Rows()
        self.slow = slow
        self.epoch = 0
        self.commit_s = 0.0
        self.deferred = False
        self.log_pages = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self.epoch = self.rows.records.setdefault("epoch", {}).get("", 0) + 1
        self.rows.records["epoch"][""] = self.epoch

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> Awaitable[None] | None:
        if self.slow:
            return self._later(lambda: self._commit(changes, writes))
        self._commit(changes, writes)
        return None

    def _commit(self, changes: Changes, writes: Sequence[Write]) -> None:
        _check(self.rows, changes)
        before = deepcopy(self.rows.records)
        try:
            self.rows.commit(changes, writes)
        except (TypeError, ValueError, msgspec.EncodeError) as error:
            self.rows.records = before
            raise StoreError(str(error)) from error

    def _later(self, work: Any) -> asyncio.Future[Any]:
        """Do something two turns of the loop later."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def do() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - who waits is told
                future.set_exception(error)

        loop.call_soon(loop.call_soon, do)
        return future

    def records(self, sink: Sink) -> DictRecords:
        return DictRecords(self.rows, sink)

    def probe(self) -> None: ...

    def recover(self, needs: Needs = needs_none) -> Recovered | Awaitable[Recovered]:
        return self._later(lambda: self._recovered(needs)) if self.slow else self._recovered(needs)

    def _recovered(self, needs: Needs) -> Recovered:
        rows = self.rows
        keys = sorted(((key, expires) for key, (_, expires) in rows.keys.items()), key=lambda pair: pair[1])
        crons = [(*key, tick) for key, tick in rows.crons.items()]
        flow = [(*key, record) for key, record in rows.flow.items()]
        batches = {batch: [event for _, event in sorted(events.items())] for batch, events in rows.batches.items()}
        ids = [id for batch in batches.values() for id in batch]
        ids += [id for kind, _, record in flow for id in needs(kind, record)]
        traces = rows.records.get("event_traces", {})
        known = {id: traces[id].decode() for id in ids if id in traces}
        return Recovered(rows.live(), keys, crons, flow, batches, self._events(dict.fromkeys(ids)), known)

    def load_body(self, run_id: str) -> Body | Awaitable[Body]:
        return self._later(lambda: self.rows.body(run_id)) if self.slow else self.rows.body(run_id)

    def load_ended(self, run_id: str) -> EndedRun | None:
        row = self.rows.runs.get(run_id)
        if row is None:
            return None
        return EndedRun(row.function_id, list(row.event_ids), self.rows.memo(run_id), row.cron)

    def load_events(self, ids: Iterable[str]) -> list[EventRow] | Awaitable[list[EventRow]]:
        return self._later(lambda: self._events(ids)) if self.slow else self._events(ids)

    def _events(self, ids: Iterable[str]) -> list[EventRow]:
        known = {event.id: event for event in reversed(self.rows.events)}
        found = (known[id] for id in ids if id in known)
        return [(e.id, e.name, e.external_id, e.ts, e.received_at, e.json) for e in found]

    def apps(self) -> list[AppRecord]:
        return sorted(self.rows.apps.values(), key=lambda app: app.id)

    def functions(self) -> list[FunctionRecord]:
        return sorted(self.rows.functions.values(), key=lambda function: (function.slug, function.id))

    def save_apps(
        self, apps: Iterable[AppRecord], functions: Iterable[FunctionRecord], removed: Iterable[str] = ()
    ) -> Sequence[Write]:
        for id in removed:
            self.rows.apps.pop(id, None)
        self.rows.apps.update((app.id, app) for app in apps)
        self.rows.functions.update((function.id, function) for function in functions)
        return ()

    def close(self) -> None: ...


class DictRecords:
    """`holdfast.server.store.records.Records` over rows in memory."""

    def __init__(self, rows: Rows, sink: Sink) -> None:
        self._rows = rows
        self._sink = sink

    async def committed(self) -> None:
        await self._sink.committed()

    def users(self) -> list[User]:
        return self._all("users")

    def put_user(self, user: User) -> None:
        self._put("users", user.id, user)

    def drop_user(self, id: str) -> None:
        self._put("users", id, None)

    def sessions(self) -> list[Session]:
        return self._all("sessions")

    def put_session(self, session: Session) -> None:
        self._put("sessions", session.hash, session)

    def drop_sessions(self, hashes: Sequence[str]) -> None:
        for hash in hashes:
            self._put("sessions", hash, None)

    def tokens(self) -> list[ApiToken]:
        return self._all("tokens")

    def put_token(self, token: ApiToken) -> None:
        self._put("tokens", token.id, token)

    def event_keys(self) -> list[StoredEventKey]:
        return self._all("event_keys")

    def put_event_key(self, key: StoredEventKey) -> None:
        self._put("event_keys", key.id, key)

    def signing_keys(self) -> list[StoredSigningKey]:
        return self._all("signing_keys")

    def put_signing_keys(self, keys: Sequence[StoredSigningKey]) -> None:
        for key in keys:
            self._put("signing_keys", key.id, key)

    def token_secret(self) -> str:
        return next(iter(self._all("token_secret")), "")

    def put_token_secret(self, secret: str) -> None:
        self._put("token_secret", "", secret)

    def add_audit_entry(self, entry: AuditEntry) -> None:
        self._put("audit", entry.id, entry)

    def audit_page(self, limit: int, before: str = "", actor: str = "", action: str = "") -> list[AuditEntry]:
        entries: list[AuditEntry] = [
            entry
            for entry in reversed(self._all("audit"))
            if (not before or entry.id < before) and actor in {"", entry.actor} and action in {"", entry.action}
        ]
        return entries[:limit]

    def webhooks(self) -> list[Webhook]:
        return self._all("webhooks")

    def put_webhook(self, webhook: Webhook) -> None:
        self._put("webhooks", webhook.id, webhook)

    def drop_webhook(self, id: str) -> None:
        self._put("webhooks", id, None)

    def worker_connections(self) -> list[WorkerConnection]:
        return self._all("worker_connections")

    def put_worker_connection(self, connection: WorkerConnection) -> None:
        self._put("worker_connections", connection.id, connection)

    def drop_worker_connections(self, ids: Sequence[str]) -> None:
        for id in ids:
            self._put("worker_connections", id, None)

    def worker_groups(self) -> list[WorkerGroup]:
        return self._all("worker_groups")

    def put_worker_group(self, group: WorkerGroup) -> None:
        self._put("worker_groups", (group.app_id, group.hash), group)

    def drop_worker_group(self, app_id: str, hash: str) -> None:
        self._put("worker_groups", (app_id, hash), None)

    def add_metadata(self, run_id: str, id: str, update: MetadataUpdate) -> None:
        self._put("metadata", (run_id, id), update)

    def note_experiments(self, noted: Sequence[Noted]) -> None:
        for one in noted:
            self._put("noted", len(self._rows.records.get("noted", {})), one)

    def add_user_spans(self, spans: Sequence[tuple[str, UserSpan, bytes]]) -> None:
        for run_id, span, _ in spans:
            self._put("user_spans", (run_id, span.trace_id, span.span_id), span)

    def add_event_traces(self, event_ids: Sequence[str], trace: bytes) -> None:
        for id in event_ids:
            self._put("event_traces", id, trace)

    def _all(self, kind: str) -> list[Any]:
        table = self._rows.records.get(kind, {})
        return [table[key] for key in sorted(table)]

    def _put(self, kind: str, key: Any, value: Any) -> None:
        self._sink.write(Put(kind, key, value))


def _check(rows: Rows, changes: Changes) -> None:
    """Refuse what no table can hold, before anything is written."""
    try:
        for run in (*changes.new_runs.values(), *changes.runs.values()):
            (run.output or b"").decode()
        for row in changes.steps:
            row[3].decode()
        for event in changes.events:
            event.name.encode()
    except ValueError as error:
        raise StoreError(str(error)) from error
    places = Counter((row[0], row[1]) for row in (*rows.steps, *changes.steps))
    if rows.runs.keys() & changes.new_runs.keys() or any(count > 1 for count in places.values()):
        raise StoreError("a key is there already")


def _put(table: dict[tuple[str, int], bytes], changes: Mapping[tuple[str, int], Job | Pause | None]) -> None:
    for key, item in changes.items():
        if item is None:
            table.pop(key, None)
        else:
            table[key] = encode_row(item)


def _row(run: Run, event_ids: tuple[str, ...]) -> RunRow:
    return RunRow(
        run.function_id, run.app_id, run.status, run.scheduled_at, run.started_at, run.ended_at, event_ids,
        run.event_name, run.cron, run.batch_id, run.original_run_id, run.output, _encode(run.detail),
        _encode(run.state),
    )  # fmt: skip
