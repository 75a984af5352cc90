"""Committed rows, in memory: what a store would hold after each turn, and what it would give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from holdfast.protocol.events import Event
from holdfast.server.engine.changes import Changes, SpanRow, StepRow
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.job import Job, Pause, decode_job, decode_pause, encode_row
from holdfast.server.model.run import RunDetail, decode_detail, decode_state
from holdfast.server.model.status import RunStatus


@dataclass
class RunRow:
    """A run's row, rendered: later changes in memory don't show."""

    function_id: str
    app_id: str
    status: RunStatus
    scheduled_at: int
    started_at: int | None
    ended_at: int | None
    event_ids: tuple[str, ...]
    event_name: str
    cron: str
    original_run_id: str
    output: bytes | None
    detail: bytes
    state: bytes

    @property
    def details(self) -> RunDetail:
        return decode_detail(self.detail)


@dataclass
class Rows:
    events: list[Event] = field(default_factory=list)
    event_runs: list[tuple[str, str]] = field(default_factory=list)
    runs: dict[str, RunRow] = field(default_factory=dict)
    steps: list[StepRow] = field(default_factory=list)
    spans: list[SpanRow] = field(default_factory=list)
    jobs: dict[tuple[str, int], bytes] = field(default_factory=dict)
    pauses: dict[tuple[str, int], bytes] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    crons: dict[tuple[str, str], int] = field(default_factory=dict)

    def commit(self, changes: Changes) -> None:
        self.events += changes.events
        self.event_runs += changes.event_runs
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
        for key, _, expires in changes.idempotency:
            self.keys[key] = expires
        self.crons.update(changes.crons)
        numbers = [(row[0], row[1]) for row in (*self.steps, *self.spans)]
        assert len(numbers) == len(set(numbers)), "a place in a run's history was given twice"

    def body(self, run_id: str) -> Body:
        events = {event.id: event.json for event in reversed(self.events)}
        return Body([events[id] for id in self.runs[run_id].event_ids], self.memo(run_id))

    def memo(self, run_id: str) -> dict[str, bytes]:
        return {step: output for run, _, step, output, _ in self.steps if run == run_id}

    def live(self) -> list[Run]:
        """The live runs as a store gives them back: without bodies."""
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
        run.cron, run.original_run_id = row.cron, row.original_run_id
        run.detail, run.state = decode_detail(row.detail), decode_state(row.state)
        run.step_count = len(body.steps)
        run.state_size = sum(map(len, body.events)) + sum(map(len, body.steps.values()))
        run.seq = max([row[1] for row in (*self.steps, *self.spans) if row[0] == id], default=0)
        if run.state.group:
            run.pending = set(run.state.group) - set(body.steps)
        return run


def _put(table: dict[tuple[str, int], bytes], changes: Mapping[tuple[str, int], Job | Pause | None]) -> None:
    for key, item in changes.items():
        if item is None:
            table.pop(key, None)
        else:
            table[key] = encode_row(item)


def _row(run: Run, event_ids: tuple[str, ...]) -> RunRow:
    return RunRow(
        run.function_id, run.app_id, run.status, run.scheduled_at, run.started_at, run.ended_at, event_ids,
        run.event_name, run.cron, run.original_run_id, run.output, msgspec.json.encode(run.detail),
        msgspec.json.encode(run.state),
    )  # fmt: skip
