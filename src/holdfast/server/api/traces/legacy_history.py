"""The legacy history of a run: a flat list of what happened, in order of time (`protocol/graphql.md` §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.protocol.ids import oid_uuid, parse_ulid, ulid
from holdfast.server.api.traces.node import span_status
from holdfast.server.api.traces.stepinfo import (
    InvokeStepInfo,
    SleepStepInfo,
    WaitForEventStepInfo,
    finished_step_info,
    pause_info,
    sleep_info,
)
from holdfast.server.api.traces.vocabulary import FAILED
from holdfast.server.model.job import JobKind, PauseKind
from holdfast.server.model.status import RunStatus, SpanStatus

if TYPE_CHECKING:
    from holdfast.server.api.traces.stepinfo import StepInfo
    from holdfast.server.model.span import Call, Span
    from holdfast.server.store.history import RunTrace, TraceRow


class HistoryResult(msgspec.Struct, frozen=True):
    """What a request answered; the app's kind is not told by it."""

    duration_ms: int
    size_bytes: int
    sdk_language: str = ""
    sdk_version: str = ""
    error_code: None = None
    framework: str | None = None
    platform: str | None = None


class HistorySleep(msgspec.Struct, frozen=True):
    """Until when a step sleeps."""

    until: int


class HistoryWait(msgspec.Struct, frozen=True):
    """What a step waits for."""

    event_name: str
    expression: str | None
    timeout: int


class HistoryWaitResult(msgspec.Struct, frozen=True):
    """How a wait ended."""

    event_id: str | None
    timeout: bool


class HistoryInvokeResult(msgspec.Struct, frozen=True):
    """How an invocation ended."""

    event_id: str | None
    timeout: bool
    run_id: str | None


class HistoryCancel(msgspec.Struct, frozen=True):
    """What cancelled a run."""

    event_id: str | None
    expression: None = None
    user_id: None = None


class HistoryItem(msgspec.Struct):
    """One thing that happened; attributes are named as the GraphQL fields, times are ms since the epoch."""

    id: str
    type: str
    created_at: int
    function_version: int
    group_id: str | None = None
    attempt: int = 0
    step_name: str | None = None
    step_type: str | None = None
    url: str | None = None
    result: HistoryResult | None = None
    sleep: HistorySleep | None = None
    wait_for_event: HistoryWait | None = None
    wait_result: HistoryWaitResult | None = None
    invoke_function: None = None  # an invocation that starts is of a type that the schema doesn't have
    invoke_function_result: HistoryInvokeResult | None = None
    cancel: HistoryCancel | None = None


_STATIC_STEP: Final = "step"
_RUN_OPS: Final = frozenset({"Step", "StepRun", "StepError", "StepFailed"})
_ENDS: Final = {
    RunStatus.COMPLETED: "FunctionCompleted",
    RunStatus.FAILED: "FunctionFailed",
    RunStatus.CANCELLED: "FunctionCancelled",
}
_FAILURES: Final = {SpanStatus.ERRORED: "StepErrored", SpanStatus.FAILED: "StepFailed"}
# An item's id is its time and, as its entropy, the row it tells of and its place among that row's items.
_SLOTS: Final = 16
_STARTED, _SCHEDULED, _BEGAN, _ANSWERED, _ENDED = range(5)
_WITH_OUTPUT: Final = frozenset({_ANSWERED, _ENDED})  # items that show their row's output
_AFTER_ROWS: Final = 1 << 40


def build_history(trace: RunTrace) -> list[HistoryItem]:
    """List what happened to a run, oldest first."""
    return _Builder(trace).build()


def history_output_seq(item_id: str) -> int | None:
    """Return the number of the row whose output a history item shows; None for an item without output."""
    number = int.from_bytes(parse_ulid(item_id)[6:], "big")
    seq, slot = divmod(number, _SLOTS)
    return seq if slot in _WITH_OUTPUT and seq < _AFTER_ROWS else None


class _Builder:
    def __init__(self, trace: RunTrace) -> None:
        self._trace = trace
        self._run = trace.run
        self._items: list[HistoryItem] = []

    def build(self) -> list[HistoryItem]:
        run = self._run
        self._add(_AFTER_ROWS, _SCHEDULED, "FunctionScheduled", run.scheduled_at)
        if run.started_at is not None:
            self._add(_AFTER_ROWS, _STARTED, "FunctionStarted", run.started_at)
        for row in self._trace.rows:
            self._row(row)
        if not run.status.ended:
            self._open()
        elif run.status in _ENDS:
            self._end(_ENDS[run.status])
        self._items.sort(key=lambda item: item.created_at)
        return self._items

    def _add(self, seq: int, slot: int, kind: str, at: int, job: str = "") -> HistoryItem:
        item = HistoryItem(ulid(at, seq * _SLOTS + slot), kind, at, self._run.detail.function_version)
        item.group_id = oid_uuid(f"{self._run.id}/{job}") if job else None
        self._items.append(item)
        return item

    def _row(self, row: TraceRow) -> None:
        span = row.span
        if span.call is not None:
            self._request(row, span.call)
        elif span.kind == "step":
            self._waited(row)

    def _request(self, row: TraceRow, call: Call) -> None:
        span = row.span
        if call.target and call.attempt == 0:
            planned = self._add(row.seq, _BEGAN, "StepScheduled", call.queued_at, call.job)
            planned.step_name = span.name
        started = self._add(row.seq, _STARTED, "StepStarted", call.started_at, call.job)
        started.attempt, started.step_name, started.url = call.attempt, _STATIC_STEP, call.url or None
        kind = _FAILURES.get(span.status, "StepCompleted")
        answered = self._add(row.seq, _ANSWERED, kind, call.ended_at, call.job)
        answered.attempt, answered.url = call.attempt, call.url or None
        answered.step_name = span.name if span.kind in {"step", "attempt"} else _STATIC_STEP
        answered.step_type = "Run" if span.op in _RUN_OPS else None
        answered.result = _result(call)
        if span.status is SpanStatus.ERRORED:
            retried = self._add(row.seq, _SCHEDULED, "StepScheduled", call.ended_at, call.job)
            retried.attempt, retried.step_name = call.attempt + 1, answered.step_name
        elif span.kind == "step":
            self._add(row.seq, _SCHEDULED, "StepScheduled", call.ended_at, call.job)

    def _waited(self, row: TraceRow) -> None:
        span, info = row.span, finished_step_info(row.span)
        if info is None:
            done = self._add(row.seq, _ANSWERED, _FAILURES.get(span.status, "StepCompleted"), span.ended_at, span.job)
            done.step_name, done.step_type = span.name, "Run"
            return
        self._began(row.seq, span.name, span.started_at, info)
        if isinstance(info, SleepStepInfo) or span.status is SpanStatus.CANCELLED:
            return
        failed = isinstance(info, InvokeStepInfo) and span_status(span) == FAILED
        done = self._add(row.seq, _ANSWERED, "StepFailed" if failed else "StepCompleted", span.ended_at, span.job)
        done.step_name = span.name
        _came_to(done, info, span)

    def _began(self, seq: int, name: str, at: int, info: StepInfo) -> None:
        if isinstance(info, SleepStepInfo):
            item = self._add(seq, _BEGAN, "StepSleeping", at)
            item.sleep = HistorySleep(info.sleep_until)
        elif isinstance(info, WaitForEventStepInfo):
            item = self._add(seq, _BEGAN, "StepWaiting", at)
            item.wait_for_event = HistoryWait(info.event_name, info.expression, info.timeout)
        elif isinstance(info, InvokeStepInfo):
            return
        else:
            item = self._add(seq, _BEGAN, "StepWaiting", at)
        item.step_name = name

    def _open(self) -> None:
        for number, job in enumerate(self._trace.jobs):
            if job.kind is JobKind.SLEEP and job.step:
                self._began(_AFTER_ROWS + 1 + number, job.name, job.step_queued_at or job.queued_at, sleep_info(job))
        for number, pause in enumerate(self._trace.pauses):
            if pause.kind is not PauseKind.CANCEL:
                seq = _AFTER_ROWS + 1 + len(self._trace.jobs) + number
                self._began(seq, pause.name, pause.created_at, pause_info(pause))

    def _end(self, kind: str) -> None:
        run = self._run
        answers = [row for row in self._trace.rows if row.span.kind == "function"]
        last = answers[-1] if answers else None
        seq = last.seq if last else _AFTER_ROWS
        at = max([run.ended_at or run.scheduled_at, *(item.created_at for item in self._items)])
        item = self._add(seq, _ENDED, kind, at)
        if last is not None and last.span.call is not None:
            item.attempt, item.result = last.span.call.attempt, _result(last.span.call)
        if run.status is RunStatus.CANCELLED:
            item.cancel = HistoryCancel(_event_id(run.detail.cancelled_by))


def _came_to(item: HistoryItem, info: StepInfo, span: Span) -> None:
    timed_out = span.status is SpanStatus.TIMED_OUT
    if isinstance(info, WaitForEventStepInfo):
        item.wait_result = HistoryWaitResult(info.found_event_id, bool(info.timed_out) or timed_out)
    elif isinstance(info, InvokeStepInfo):
        late = bool(info.timed_out) or timed_out
        item.invoke_function_result = HistoryInvokeResult(info.return_event_id, late, None if late else info.run_id)
    else:
        item.wait_result = HistoryWaitResult(None, timed_out)


def _result(call: Call) -> HistoryResult:
    headers = {name.lower(): value for name, value in call.headers.items()}
    language, _, version = headers.get("x-inngest-sdk", "").removeprefix("inngest-").partition(":")
    return HistoryResult(
        call.ended_at - call.started_at,
        call.size,
        language,
        version,
        framework=headers.get("x-inngest-framework"),
        platform=headers.get("x-inngest-platform"),
    )


def _event_id(text: str) -> str | None:
    try:
        parse_ulid(text)
    except ValueError:
        return None
    return text
