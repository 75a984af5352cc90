"""The trace tree of the UI and of `trace(preview: true)` (`protocol/graphql.md` §12).

Below the root stand, ordered by time: one *group* per queue item whose requests said something about a step or the
function itself, holding an attempt for each request (a lone successful one is folded into its group); one span per
step and failed attempt; and one span per answer of the function itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.protocol.tracing import call_span_id
from holdfast.server.api.common.statuses import RUN_STATUSES
from holdfast.server.api.traces import ai, span_metadata
from holdfast.server.api.traces.node import NodeFactory, ResponseInfo, span_status
from holdfast.server.api.traces.span_output import ROOT, OutputRef, is_value
from holdfast.server.api.traces.stepinfo import PAUSE_OPS, RunStepInfo, finished_step_info, pause_info, sleep_info
from holdfast.server.api.traces.userland import Places, graft
from holdfast.server.api.traces.vocabulary import (
    COMPLETED,
    ENDED,
    GATEWAYS,
    NO_PARENT,
    QUEUED,
    RUN_COMPLETE,
    RUNNING,
    STEP_OPS,
    WAITING,
)
from holdfast.server.model.job import JobKind, PauseKind
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from holdfast.server.api.traces.node import TraceNode
    from holdfast.server.api.traces.span_metadata import Metadata
    from holdfast.server.api.traces.stepinfo import StepInfo
    from holdfast.server.model.job import Pause
    from holdfast.server.model.span import Call, Span
    from holdfast.server.store.history import RunTrace, TraceRow

_VALUELESS: Final = frozenset({"Sleep", "WaitForEvent", "WaitForSignal"})
_LAST: Final = 1 << 62  # open work comes behind finished work of the same time


def build_trace(trace: RunTrace, now_ms: int) -> TraceNode:
    """Build the tree of a run; its root is always there."""
    return _Builder(trace, now_ms).build()


class _Placed:
    """A child of the root, or requests that aren't shown, where they belong in time."""

    __slots__ = ("hidden", "key", "node", "step")

    def __init__(self, time: int, seq: int, node: TraceNode | None, step: bool, hidden: list[Call]) -> None:
        self.key = (time, seq, step)
        self.node = node
        self.step = step  # whether it takes up what hidden requests before it measured
        self.hidden = hidden


class _Builder:
    def __init__(self, trace: RunTrace, now_ms: int) -> None:
        self._trace = trace
        self._run = trace.run
        self._now = now_ms
        self._make = NodeFactory(trace.run, "tree")
        self._placed: list[_Placed] = []
        self._posted = span_metadata.Posted(trace.metadata)
        self._places = Places()
        self._of_run: list[span_metadata.Update] = []  # what steps reported of the run as a whole
        self._calls = [row for row in trace.rows if row.span.call is not None]

    def build(self) -> TraceNode:
        self._place_groups()
        for row in self._trace.rows:
            if row.span.kind in {"step", "attempt"}:
                self._place(row.span.started_at, row.seq, self._step(row), step=True)
            elif row.span.kind == "function":
                self._place(row.span.started_at, row.seq, self._answer(row))
        if not self._run.status.ended:
            self._place_open()
        children = self._in_order()
        loose = graft(self._run, self._trace.spans, self._places, self._posted)
        root = self._root(children)
        root.adopt([*children, *loose])
        return root

    def _place(self, time: int, seq: int, node: TraceNode, *, step: bool = False) -> None:
        self._placed.append(_Placed(time, seq, node, step, []))

    def _in_order(self) -> list[TraceNode]:
        """Children by time; what hidden requests measured goes to the next step's span."""
        children: list[TraceNode] = []
        pending: list[Call] = []
        for placed in sorted(self._placed, key=lambda placed: placed.key):
            pending += placed.hidden
            if placed.node is None:
                continue
            if placed.step and pending:
                placed.node.calls = [*pending, *placed.node.calls]
                pending = []
            children.append(placed.node)
        return children

    def _place_groups(self) -> None:
        groups: dict[str, list[TraceRow]] = {}
        for row in self._calls:
            if row.span.op not in GATEWAYS:
                groups.setdefault(_call(row).job, []).append(row)
        led_by = ""
        for job, rows in groups.items():
            first = rows[0]
            if all(_is_hidden(row.span) for row in rows):
                self._placed.append(_Placed(_call(first).queued_at, first.seq, None, False, [*map(_call, rows)]))
            else:
                self._place(_call(first).queued_at, first.seq, self._group(job, rows, led_by))
            led_by = job

    def _group(self, job: str, rows: list[TraceRow], led_by: str) -> TraceNode:
        node = self._make.node(f"group/{job}", "Discovery step", RUNNING, _call(rows[0]).queued_at)
        node.job = led_by
        attempts = self._attempts(node, rows)
        last = attempts[-1]
        node.attempts = max(attempt.attempts for attempt in attempts)
        node.status, node.started_at, node.ended_at = last.status, attempts[0].started_at, last.ended_at
        for attempt, row in zip(attempts, rows, strict=True):
            node.output = attempt.output or node.output
            node.name = row.span.name or node.name
            if attempt.step_op is not None:
                node.step_op, node.step_info, node.step_type = attempt.step_op, attempt.step_info, attempt.step_type
                node.step_id = attempt.step_id
        if rows[-1].span.kind == "function":
            node.name, node.step_type = "Finalization", "FINALIZATION"
            node.step_op = node.step_info = node.step_id = node.output = None
        if len(attempts) == 1 and last.status == COMPLETED:
            node.response, node.calls = last.response, last.calls
            attempts = [node]
        else:
            node.adopt(attempts)
        for attempt, row in zip(attempts, rows, strict=True) if self._trace.spans else ():
            self._places.requests[call_span_id(self._run.id, job, _call(row).attempt)] = attempt
        return node

    def _attempts(self, group: TraceNode, rows: list[TraceRow]) -> list[TraceNode]:
        attempts: list[TraceNode] = []
        queued = group.queued_at
        for index, row in enumerate(rows):
            call, span = _call(row), row.span
            node = self._make.node(f"call/{row.seq}", f"Attempt {index}", _call_status(span), queued)
            node.attempts, node.job = call.attempt, call.job
            node.scheduled_at, node.started_at = max(call.scheduled_at, queued), call.started_at
            node.ended_at = queued = call.ended_at
            node.response = ResponseInfo(call.status, call.headers)
            node.calls = [call]
            node.output = self._output(row, node.span_id)
            self._describe(node, span)
            node.close()
            attempts.append(node)
        return attempts

    def _step(self, row: TraceRow) -> TraceNode:
        span = row.span
        label = f"step/{span.step_id}/{span.attempt}" if span.kind == "attempt" else f"step/{span.step_id}"
        node = self._make.node(label, span.name or "Unknown step", span_status(span), span.queued_at)
        node.attempts, node.started_at, node.ended_at = span.attempt, span.started_at, span.ended_at
        node.job = job = span.job or (span.call.job if span.call else "")
        # Checkpointed steps were never in the queue.
        node.scheduled_at = span.queued_at if job or span.op in PAUSE_OPS.values() or span.op == "Sleep" else None
        node.output = self._output(row, node.span_id)
        told = self._posted.of_step(span.step_id, span.attempt, ended=span.kind == "step")
        reported = span_metadata.reported(span.metadata, span.ended_at)
        self._of_run += [update for update in reported if update.scope == "run"]
        of_step = [update for update in reported if update.scope != "run"]
        node.reported = span_metadata.fold([*ai.of_step(row), *of_step, *told])
        if span.op in GATEWAYS and span.call is not None:
            node.response = ResponseInfo(span.call.status, span.call.headers)
        self._places.steps[span.step_id, span.attempt] = node
        self._describe(node, span)
        node.close()
        return node

    def _answer(self, row: TraceRow) -> TraceNode:
        span = row.span
        node = self._make.node(f"answer/{row.seq}", "executor.nonstep", span_status(span), span.queued_at)
        node.attempts, node.scheduled_at = span.attempt, span.call.scheduled_at if span.call else span.queued_at
        node.started_at, node.ended_at = span.started_at, span.ended_at
        node.job = span.call.job if span.call else span.job
        node.output = self._output(row, node.span_id)
        node.close()
        return node

    def _place_open(self) -> None:
        for job in self._trace.jobs:
            if job.kind is JobKind.SLEEP and job.step:
                reported = job.step_queued_at or job.queued_at
                node = self._open(job.step, job.name, WAITING, reported, sleep_info(job))
                self._place_open_step(node, "Sleep", reported)
            elif job.step:
                status = RUNNING if job.due <= self._now else QUEUED
                info = None if job.op in GATEWAYS else RunStepInfo(None)
                node = self._open(job.step, job.name, status, job.step_queued_at or job.queued_at, info, job.attempt)
                self._place_open_step(node, job.op or "StepPlanned", job.queued_at)
        for pause in self._trace.pauses:
            if pause.kind is not PauseKind.CANCEL:
                self._place_open_step(self._open_pause(pause), PAUSE_OPS[pause.kind], pause.created_at)

    def _open_pause(self, pause: Pause) -> TraceNode:
        status = RUNNING if pause.kind is PauseKind.INVOKE else WAITING
        return self._open(pause.step, pause.name, status, pause.created_at, pause_info(pause))

    def _open(
        self, step: str, name: str, status: str, queued_at: int, info: StepInfo | None, attempt: int = 0
    ) -> TraceNode:
        node = self._make.node(f"step/{step}", name or "Unknown step", status, queued_at)
        node.scheduled_at = queued_at
        node.started_at = None if status == QUEUED else queued_at
        node.step_id, node.step_info, node.attempts = step, info, attempt
        node.reported = span_metadata.fold(self._posted.of_step(step, attempt, ended=True))
        self._places.steps[step, attempt] = node
        return node

    def _place_open_step(self, node: TraceNode, op: str, at: int) -> None:
        node.step_op = node.step_type = STEP_OPS[op]
        self._place(at, _LAST, node, step=True)

    def _root(self, children: list[TraceNode]) -> TraceNode:
        run = self._run
        name = run.detail.op or ("Run" if children else "executor.run")
        root = self._make.node("root", name, RUN_STATUSES[run.status], run.scheduled_at)
        root.is_root, root.parent_span_id = True, NO_PARENT
        root.step_id = run.detail.op or None
        root.output = OutputRef(run.id, ROOT, root.span_id, preview=True)
        started = [child.started_at for child in children if child.started_at is not None]
        root.scheduled_at = run.scheduled_at
        root.started_at = run.started_at or min(started, default=None)
        root.ended_at = run.ended_at
        root.skip_reason = run.detail.skip_reason or None
        root.skip_existing_run_id = run.detail.skip_existing_run or None
        self._finish_root(root, children)
        root.close()
        return root

    def _finish_root(self, root: TraceNode, children: list[TraceNode]) -> None:
        calls = [_call(row) for row in self._calls if row.span.op not in GATEWAYS]
        root.job = calls[-1].job if calls else ""
        if self._run.status is RunStatus.CANCELLED:
            root.response = ResponseInfo(0, {})
        elif root.status in ENDED and calls and not self._run.detail.op:
            root.response = ResponseInfo(calls[-1].status, calls[-1].headers)
        at = self._run.ended_at or self._now
        told = span_metadata.fold([*self._of_run, *self._posted.run])
        stored = root.reported = [*span_metadata.run_metadata(self._run.detail.metadata, at), *told]

        def usage() -> list[Metadata]:
            shown = [entry for child in children for entry in _all_metadata(child)]
            measured = () if shown else [entry for call in calls for entry in span_metadata.call_metadata(call)]
            return span_metadata.usage([*stored, *shown, *measured], at)

        root.usage = usage

    def _describe(self, node: TraceNode, span: Span) -> None:
        node.step_id = span.step_id or None
        if span.kind not in {"step", "attempt"}:
            return
        node.step_op = STEP_OPS.get(span.op, "RUN")
        node.step_type = span.type or node.step_op
        node.step_info = RunStepInfo(span.type or None) if node.step_op == "RUN" else finished_step_info(span)

    def _output(self, row: TraceRow, span_id: str) -> OutputRef | None:
        if row.output is None or (row.span.op in _VALUELESS and not is_value(row.output)):
            return None
        return OutputRef(self._run.id, row.seq, span_id, preview=True)


def _call(row: TraceRow) -> Call:
    call = row.span.call
    assert call is not None  # asked only of rows that have one
    return call


def _is_hidden(span: Span) -> bool:
    return span.kind == "plan" or (span.kind == "function" and span.op == RUN_COMPLETE)


def _call_status(span: Span) -> str:
    return COMPLETED if span.kind == "plan" else span_status(span)


def _all_metadata(node: TraceNode) -> list[Metadata]:
    return [*node.metadata, *(entry for child in node.children_spans for entry in _all_metadata(child))]
