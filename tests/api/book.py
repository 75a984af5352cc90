"""Writes what the engine writes: a run's rows, and a database file with them.

A `Book` keeps one run by the engine's rules (a step's answer is a memoised row with its request, a planning answer a
row without output, an open sleep a job …), with a clock that moves on with each request.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.protocol.events import Event
from holdfast.protocol.ids import step_hash, ulid
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.run import Defer, RunDetail, RunState
from holdfast.server.model.span import Call, Span
from holdfast.server.model.status import RunStatus, SpanStatus
from holdfast.server.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

START = 1_795_238_179_000
APP_ID = "643847e7-ac46-569c-9c88-a087c2e85ba6"
FUNCTION_ID = "fcacd6e2-7e3d-5407-bdda-71780aacdd86"
RUN_COMPLETE_ID = "0737c22d3bfae812339732d14d8c7dbd6dc4e09c"
HEADERS = {"Content-Type": "application/json", "X-Inngest-Sdk": "inngest-py:v0.5.18"}
ERROR = {"name": "ValueError", "message": "always", "stack": "Traceback"}


def dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass
class Row:
    memoised: bool
    output: str | None
    span: Span


@dataclass
class Book:
    """One run."""

    number: int = 1
    function_id: str = FUNCTION_ID
    app_id: str = APP_ID
    event_ids: list[str] = field(default_factory=list)
    event_name: str = "rec/event"
    cron: str = ""
    batch_id: str = ""
    start: int = START
    max_attempts: int = 2
    status: RunStatus = RunStatus.SCHEDULED
    started_at: int | None = None
    ended_at: int | None = None
    output: str | None = None
    detail: RunDetail = field(default_factory=RunDetail)
    state: RunState = field(default_factory=RunState)
    rows: list[Row] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.start + 5
        self.id = ulid(self.start, self.number)
        self._job = 0
        self.next_job()

    # the queue

    def next_job(self) -> str:
        self._job += 1
        self.queued_at, self.due, self.attempt = self.now, self.now, 0
        self.job = f"job-{self.number}-{self._job}"
        return self.job

    def call(self, status: int = 206, took: int = 10, target: str = "") -> Call:
        if self.started_at is None:
            self.started_at, self.status = self.now, RunStatus.RUNNING
        begun = max(self.now, self.due) + 2
        self.now = begun + took
        url = "http://APP/api/inngest?fnId=f&stepId=step"
        return Call(
            self.job, target, self.queued_at, self.due, begun, self.now, self.attempt, status, HEADERS, 100, url
        )

    def retry_later(self, wait: int = 1_000) -> None:
        """The same job again: the row that says so while it is waited for."""
        self.attempt += 1
        self.queued_at, self.due = self.now, self.now + wait
        job = Job(self.id, 0, JobKind.EDGE, self.job, self.due, self.queued_at, self.max_attempts, self.attempt)
        self.jobs = [known for known in self.jobs if known.id != self.job] + [job]

    def _dequeue(self) -> None:
        self.jobs = [job for job in self.jobs if job.id != self.job]

    # answers

    def span(self, kind: Any, status: SpanStatus, call: Call | None, **more: Any) -> Span:
        at = (call.queued_at, call.started_at, call.ended_at) if call else (self.now, self.now, self.now)
        more.setdefault("job", call.job if call else "")
        more.setdefault("max_attempts", self.max_attempts)
        return Span(kind, status, *more.pop("times", at), call=call, attempt=more.pop("attempt", self.attempt), **more)

    def add(self, span: Span, output: object = ..., *, memoised: bool = False) -> None:
        self.rows.append(Row(memoised, None if output is ... else dumps(output), span))

    def step(self, name: str, value: object, *, type: str = "", id: str = "", target: bool = False) -> Book:
        step_id = step_hash(id or name)
        call = self.call(target=step_id if target else "")
        self._dequeue()
        span = self.span("step", SpanStatus.COMPLETED, call, name=name, step_id=step_id, op="StepRun", type=type)
        self.add(span, {"data": value}, memoised=True)
        self.next_job()
        return self

    def step_errors(self, name: str, *, retry: bool = True) -> Book:
        call = self.call()
        self._dequeue()
        common: dict[str, Any] = {"name": name, "step_id": step_hash(name)}
        if retry:
            self.add(self.span("attempt", SpanStatus.ERRORED, call, op="StepError", **common), {"error": ERROR})
            self.retry_later()
        else:
            span = self.span("step", SpanStatus.FAILED, call, op="StepFailed", **common)
            self.add(span, {"error": ERROR}, memoised=True)
            self.next_job()
        return self

    def checkpoint(self, name: str, value: object, *, took: int = 1, type: str = "") -> Book:
        times = (self.now, self.now, self.now + took)
        self.now += took
        span = self.span(
            "step",
            SpanStatus.COMPLETED,
            None,
            name=name,
            step_id=step_hash(name),
            op="StepRun",
            type=type,
            times=times,
        )
        self.add(span, {"data": value}, memoised=True)
        return self

    def plan(self) -> Book:
        call = self.call()
        self._dequeue()
        self.add(self.span("plan", SpanStatus.COMPLETED, call))
        self.next_job()
        return self

    def waits(self, name: str, op: str, info: dict[str, Any], *, job: Job | None = None) -> Book:
        """An open step, as a job or a pause."""
        kinds = {"WaitForEvent": PauseKind.EVENT, "InvokeFunction": PauseKind.INVOKE, "WaitForSignal": PauseKind.SIGNAL}
        no = len(self.jobs) + len(self.pauses)
        common = {"created_at": self.now, "step": step_hash(name), "name": name}
        if op == "Sleep":
            due = self.now + info["ms"]
            self.jobs.append(
                Job(
                    self.id,
                    no,
                    JobKind.SLEEP,
                    f"sleep-{no}",
                    due,
                    self.now,
                    2,
                    step=step_hash(name),
                    name=name,
                    step_queued_at=self.now,
                )
            )
        else:
            self.pauses.append(Pause(self.id, no, kinds[op], info.pop("expires"), **common, **info))
        return self

    def waited(self, name: str, op: str, output: object, info: dict[str, Any], ms: int = 1_000, **more: Any) -> Book:
        step_id = step_hash(name)
        self.jobs = [job for job in self.jobs if job.step != step_id]
        self.pauses = [pause for pause in self.pauses if pause.step != step_id]
        times = (self.now, self.now, self.now + ms)
        self.now += ms
        status = more.pop("status", SpanStatus.COMPLETED)
        common: dict[str, Any] = {
            "name": name,
            "step_id": step_id,
            "op": op,
            "info": info,
            "times": times,
            "attempt": 0,
        }
        span = self.span("step", status, None, **common, **more)
        self.add(span, output, memoised=True)
        self.next_job()
        return self

    def gateway(self, name: str, output: object, *, op: str = "AIGateway", status: int = 200, **more: Any) -> Book:
        call = self.call(status)
        self._dequeue()
        done = more.pop("span_status", SpanStatus.COMPLETED)
        kind = "attempt" if done is SpanStatus.ERRORED else "step"
        self.add(
            self.span(kind, done, call, name=name, step_id=step_hash(name), op=op, **more),
            output,
            memoised=kind == "step",
        )
        if done is SpanStatus.ERRORED:
            self.retry_later()
        else:
            self.next_job()
        return self

    def function_errors(self, *, retry: bool = True, status: int = 500) -> Book:
        call = self.call(status)
        self._dequeue()
        ended = SpanStatus.ERRORED if retry else SpanStatus.FAILED
        self.add(self.span("function", ended, call, error="invalid status code: 500"), ERROR)
        if retry:
            self.retry_later()
        else:
            self.end(RunStatus.FAILED, ERROR)
        return self

    def server_fails(self, error: object) -> Book:
        self.add(self.span("function", SpanStatus.FAILED, None), error)
        return self.end(RunStatus.FAILED, error)

    def returns(self, value: object) -> Book:
        call = self.call(200)
        self.add(self.span("function", SpanStatus.COMPLETED, call), value)
        return self.end(RunStatus.COMPLETED, value)

    def completes(self, value: object, checkpoints: tuple[str, ...] = ()) -> Book:
        """`RunComplete`, after checkpoints made while the request was under way."""
        before = self.now
        call = self.call(206)
        after, self.now = self.now, before + 4
        for name in checkpoints:
            self.checkpoint(name, 1)
        self.now = max(after, self.now)
        span = self.span("function", SpanStatus.COMPLETED, call, op="RunComplete", step_id=RUN_COMPLETE_ID)
        self.add(span, value)
        self.detail.op = RUN_COMPLETE_ID
        return self.end(RunStatus.COMPLETED, value)

    def cancel(self) -> Book:
        for job in self.jobs:
            if job.kind is JobKind.SLEEP:
                times = (job.queued_at, job.queued_at, self.now)
                info = {"until": job.due}
                self.add(
                    self.span(
                        "step",
                        SpanStatus.CANCELLED,
                        None,
                        name=job.name,
                        step_id=job.step,
                        op="Sleep",
                        info=info,
                        times=times,
                    )
                )
        return self.end(RunStatus.CANCELLED)

    def end(self, status: RunStatus, output: object = ...) -> Book:
        self.status, self.ended_at = status, self.now
        self.output = None if output is ... else dumps(output)
        self.jobs, self.pauses = [], []
        return self


def event_json(id: str, name: str, ts: int, data: object, v: str | None = None) -> str:
    members: dict[str, object] = {"data": data, "id": id, "name": name, "ts": ts, "user": {}}
    return dumps(members | ({"v": v} if v else {}))


class Library:
    """A database file, written through its store; `db` is another connection to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(path, "none")
        self.db = sqlite3.connect(path, isolation_level=None)

    def app(self, id: str = APP_ID, name: str = "rec-py", **more: Any) -> None:
        given = {"url": "http://APP/api/inngest", "method": "serve", "error": "", "archived_at": None} | more
        record = AppRecord(
            id, name, sdk_language="py", sdk_version="v0.5.18", framework="fast_api", app_version="1.2.3",
            checksum="sum", created_at=START, **given,
        )  # fmt: skip
        self.store.save_apps([record], [])

    def function(
        self, id: str = FUNCTION_ID, slug: str = "rec-py-no-step", app_id: str = APP_ID, config: object = None
    ) -> None:
        name = slug.removeprefix("rec-py-")
        config = config or {
            "id": id,
            "fv": 1,
            "name": name,
            "slug": slug,
            "triggers": [{"event": f"rec/{name}"}],
            "steps": [
                {"id": "step", "name": "step", "uri": f"http://APP/api/inngest?fnId={slug}&stepId=step", "retries": 1}
            ],
        }
        self.store.save_apps([], [FunctionRecord(id, app_id, slug, name, 1, dumps(config).encode(), START, None)])

    def event(
        self,
        id: str,
        name: str = "rec/event",
        ts: int = START,
        data: object = None,
        received_at: int | None = None,
        v: str | None = None,
        external_id: str = "",
    ) -> str:
        text = event_json(external_id or id, name, ts, {} if data is None else data, v).encode()
        changes = Changes()
        changes.events = [Event(id, name, external_id or id, ts, received_at or ts, text, deduplicated=True)]
        self.store.commit(changes)
        return id

    def run(self, book: Book) -> str:
        """Writes a run whole; one that was there is replaced."""
        if not book.event_ids:
            book.event_ids = [self.event(ulid(book.start - 1, book.number), book.event_name, book.start - 1)]
        self.db.execute("DELETE FROM runs WHERE id = ?", (book.id,))
        for table in ("steps", "spans", "jobs", "pauses", "event_runs"):
            self.db.execute(f"DELETE FROM {table} WHERE run_id = ?", (book.id,))
        changes = Changes()
        run = Run(book.id, book.function_id, book.app_id, book.start)
        run.status, run.started_at, run.ended_at = book.status, book.started_at, book.ended_at
        run.event_name, run.cron, run.batch_id, run.detail, run.state = (
            book.event_name, book.cron, book.batch_id, book.detail, book.state,
        )  # fmt: skip
        run.output = book.output.encode() if book.output is not None else None
        run.body = Body([], event_ids=tuple(book.event_ids))
        changes.new_runs[book.id] = run
        if run.status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED):
            changes.ended.append(run)
        changes.event_runs = [(event_id, book.id) for event_id in book.event_ids]
        for seq, row in enumerate(book.rows, start=1):
            output = row.output.encode() if row.output is not None else None
            if row.memoised:
                changes.steps.append((book.id, seq, row.span.step_id, output or b"null", row.span))
            else:
                changes.spans.append((book.id, seq, output, row.span))
        changes.jobs = {(book.id, no): job for no, job in enumerate(book.jobs)}
        changes.pauses = {(book.id, no): pause for no, pause in enumerate(book.pauses)}
        derive(changes)
        self.store.commit(changes)
        return book.id

    def close(self) -> None:
        self.db.close()
        self.store.close()


def deferred(*slugs: str) -> RunState:
    return RunState(defers={step_hash(slug): Defer("after_run", slug, userland_id=slug) for slug in slugs})
