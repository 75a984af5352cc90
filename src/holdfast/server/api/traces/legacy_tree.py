"""The legacy trace tree, `trace` without `preview`: for the Python helper and older suites (`protocol/graphql.md` §13).

One child per queue item: flat if its one request succeeded, else a group of attempts, with a queued one behind them
while a retry is due. Steps without a request of their own (waits, sleeps, invocations, checkpointed steps) are flat,
but for one whose queue item failed before: it is the last attempt of a group that has its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.api.common.statuses import RUN_STATUSES
from holdfast.server.api.traces.node import NodeFactory, group_id, span_status
from holdfast.server.api.traces.span_output import OutputRef, is_value
from holdfast.server.api.traces.stepinfo import PAUSE_OPS, InvokeStepInfo, finished_step_info, pause_info, sleep_info
from holdfast.server.api.traces.vocabulary import (
    COMPLETED,
    ENDED,
    FAILED,
    GATEWAYS,
    QUEUED,
    RUN_COMPLETE,
    RUNNING,
    STEP_OPS,
    WAITING,
)
from holdfast.server.model.job import JobKind, PauseKind
from holdfast.server.model.status import SpanStatus

if TYPE_CHECKING:
    from holdfast.server.api.traces.node import TraceNode
    from holdfast.server.api.traces.stepinfo import StepInfo
    from holdfast.server.model.job import Job
    from holdfast.server.model.span import Call, Span
    from holdfast.server.store.history import RunTrace, TraceRow

_QUEUED_SPAN: Final = "queued"
_VALUELESS: Final = frozenset({"Sleep", "WaitForEvent", "WaitForSignal"})


def build_legacy_trace(trace: RunTrace, function_slug: str, now_ms: int) -> TraceNode:
    """Build the tree of a run; its root is named by the function's slug."""
    return _Builder(trace, now_ms).build(function_slug)


class _Builder:
    def __init__(self, trace: RunTrace, now_ms: int) -> None:
        self._trace = trace
        self._run = trace.run
        self._now = now_ms
        self._make = NodeFactory(trace.run, "legacy")
        self._root = ""  # the root's span id
        self._due = {job.id: job for job in trace.jobs} if not trace.run.status.ended else {}

    def build(self, name: str) -> TraceNode:
        run = self._run
        root = self._make.node("root", name, RUN_STATUSES[run.status], run.scheduled_at)
        self._root = root.span_id
        children = self._children()
        root.is_root = True
        root.started_at, root.ended_at = run.started_at, run.ended_at
        if run.status.ended and children:
            root.output = children[-1].output
        _close(root)
        root.adopt(children)
        return root

    def _children(self) -> list[TraceNode]:
        items: dict[str, list[TraceRow]] = {}
        flat: list[TraceNode] = []
        opened: dict[str, str] = {}
        for row in self._trace.rows:
            if row.span.kind == "plan":
                opened.update(_opened(row.span))
            if row.span.kind in {"plan", "kept"}:
                continue
            call = row.span.call
            if call is None:
                flat.append(self._lone(row))
            else:
                items.setdefault(_item_of(row.span, call, opened), []).append(row)
        if not self._run.status.ended:
            flat += self._open()
        flat = [self._under_attempts(node, items.pop(opened.get(node.step_id or "", ""), [])) for node in flat]
        children = [self._item(job, rows) for job, rows in items.items()] + flat
        children.sort(key=lambda node: node.started_at or node.queued_at)
        if not self._run.status.ended and all(child.status in ENDED for child in children):
            children.append(self._queued("Queued step", children[-1] if children else None))
        return children

    def _item(self, job: str, rows: list[TraceRow]) -> TraceNode:
        last = rows[-1].span
        if len(rows) == 1 and last.status is SpanStatus.COMPLETED:
            return self._attempt(rows[0], _name(last, attempts=1))
        return self._group(job, rows)

    def _under_attempts(self, step: TraceNode, failed: list[TraceRow]) -> TraceNode:
        """Return a step without a request of its own, as the last attempt of the queue item that failed before."""
        if not failed:
            return step
        attempts = [self._attempt(row, f"Attempt {index}") for index, row in enumerate(failed)]
        last = self._make.node(f"attempt/{step.span_id}", f"Attempt {len(failed)}", step.status, step.queued_at)
        last.attempts, last.duration, last.output = len(failed), step.duration, step.output
        last.started_at, last.ended_at = step.started_at, step.ended_at
        last.step_op, last.step_info, last.step_id = step.step_op, step.step_info, step.step_id
        group = msgspec.structs.replace(
            step, attempts=len(failed), queued_at=attempts[0].queued_at, started_at=attempts[0].started_at
        )
        _close(group)
        self._adopt(group, [*attempts, last])
        return group

    def _adopt(self, group: TraceNode, attempts: list[TraceNode]) -> None:
        """Put attempts below a group; as their parent they name the root."""
        group.adopt(attempts)
        for attempt in attempts:
            attempt.parent_span_id = self._root

    def _group(self, job: str, rows: list[TraceRow]) -> TraceNode:
        last = rows[-1].span
        attempts = [self._attempt(row, f"Attempt {index}") for index, row in enumerate(rows)]
        first, final = attempts[0], attempts[-1]
        retry = self._due.get(last.call.job) if last.call is not None else None
        under_step = last.kind == "attempt" or (last.kind == "step" and final.status == COMPLETED)
        node = self._make.node(f"group/{job}", _name(last, len(rows)), final.status, first.queued_at)
        node.span_id = f"{'steprun' if under_step else 'exec'}-{group_id(self._run.id, job)}"
        node.step_op, node.step_info = final.step_op, final.step_info
        node.step_id = final.step_id if last.kind != "function" else None
        node.attempts = _last_attempt(last)
        node.started_at, node.ended_at, node.output = first.started_at, final.ended_at, final.output
        if retry is not None and final.status == FAILED:
            node.status, node.output, node.attempts = RUNNING, None, 0
            node.name = "execute" if last.kind == "function" else node.name
        _close(node)
        self._adopt(node, attempts)
        if node.status == RUNNING and retry is not None:
            queued = self._queued(f"Attempt {len(rows)}", final, attempt=retry.attempt)
            queued.parent_span_id = final.span_id
            node.children_spans.append(queued)
        return node

    def _attempt(self, row: TraceRow, name: str) -> TraceNode:
        span, call = row.span, row.span.call
        assert call is not None  # rows without a request are flat
        queued = call.queued_at if call.attempt == 0 else max(call.scheduled_at, call.queued_at)
        node = self._make.node(f"row/{row.seq}", name, span_status(span), queued)
        node.attempts, node.started_at, node.ended_at = call.attempt, call.started_at, call.ended_at
        node.output = self._output(row, node.span_id)
        _describe(node, span)
        _close(node)
        return node

    def _lone(self, row: TraceRow) -> TraceNode:
        span = row.span
        name = span.name if span.kind != "function" else _name(span, attempts=1)
        node = self._make.node(f"row/{row.seq}", name, span_status(span), span.queued_at)
        node.attempts, node.started_at, node.ended_at = span.attempt, span.started_at, span.ended_at
        node.output = self._output(row, node.span_id)
        _describe(node, span)
        _close(node)
        return node

    def _open(self) -> list[TraceNode]:
        found: list[TraceNode] = []
        seen = {row.span.call.job for row in self._trace.rows if row.span.call is not None and row.span.kind != "plan"}
        for job in self._trace.jobs:
            if job.kind is JobKind.SLEEP and job.step:
                # The reference shows a sleep under way as running.
                at = job.step_queued_at or job.queued_at
                found.append(self._pending(job.step, job.name, RUNNING, at, "Sleep", sleep_info(job)))
            elif job.id not in seen and job.due <= self._now:
                found.append(self._executing(job))
        for pause in self._trace.pauses:
            if pause.kind is not PauseKind.CANCEL:
                status = RUNNING if pause.kind is PauseKind.INVOKE else WAITING
                op, info = PAUSE_OPS[pause.kind], pause_info(pause)
                found.append(self._pending(pause.step, pause.name, status, pause.created_at, op, info))
        return found

    def _executing(self, job: Job) -> TraceNode:
        op = (job.op or "StepPlanned") if job.step else ""
        return self._pending(job.step, job.name or "execute", RUNNING, job.due, op, None)

    def _pending(self, step: str, name: str, status: str, at: int, op: str, info: StepInfo | None) -> TraceNode:
        node = self._make.node(f"open/{step}", name, status, at)
        node.started_at, node.duration = at, max(self._now - at, 0)
        node.step_id, node.step_op, node.step_info = step or None, STEP_OPS.get(op), info
        return node

    def _queued(self, name: str, behind: TraceNode | None, *, attempt: int = 0) -> TraceNode:
        at = (behind.ended_at or behind.queued_at) if behind else self._run.scheduled_at
        node = self._make.node("", name, QUEUED, at)
        node.span_id, node.attempts, node.duration = _QUEUED_SPAN, attempt, 0
        node.step_op = behind.step_op if behind and attempt else None
        return node

    def _output(self, row: TraceRow, span_id: str) -> OutputRef | None:
        if row.output is None or (row.span.op in _VALUELESS and not is_value(row.output)):
            return None
        return OutputRef(self._run.id, row.seq, span_id)


def _describe(node: TraceNode, span: Span) -> None:
    node.step_id = span.step_id or None
    if span.kind in {"step", "attempt"}:
        node.step_op = STEP_OPS.get(span.op, "RUN")
        node.step_info = _without_late_run(finished_step_info(span))


def _without_late_run(info: StepInfo | None) -> StepInfo | None:
    """Return what is known of a step; an invocation that timed out tells no run here."""
    if isinstance(info, InvokeStepInfo) and info.timed_out:
        return msgspec.structs.replace(info, run_id=None)
    return info


def _item_of(span: Span, call: Call, opened: dict[str, str]) -> str:
    """Return the queue item of a request; a gateway's is the one whose answer asked for it."""
    return opened.get(span.step_id, call.job) if span.op in GATEWAYS else call.job


def _opened(span: Span) -> dict[str, str]:
    """Return the queue item of an answer that planned, by the one step that it reported."""
    step = (span.info or {}).get("opened")
    return {str(step): span.call.job} if step and span.call is not None else {}


def _name(span: Span, attempts: int) -> str:
    if span.kind != "function":
        return span.name
    if span.status is SpanStatus.COMPLETED:
        if span.op == RUN_COMPLETE:
            return span.step_id if attempts == 1 else "execute"
        return "function success"
    return "function error" if attempts == 1 else "execute"


def _last_attempt(span: Span) -> int:
    if span_status(span) == COMPLETED:
        return span.attempt
    tried = span.attempt + 1
    return span.max_attempts if span.max_attempts and tried >= span.max_attempts else span.attempt


def _close(node: TraceNode) -> None:
    """Durations are always numbers here, also while a span runs."""
    node.duration = 0
    node.close()
