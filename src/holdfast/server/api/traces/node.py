"""A node of a trace tree, and how both trees make one (`protocol/graphql.md` §12.1)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.ids import oid_uuid
from holdfast.protocol.tracing import trace_id
from holdfast.server.api.traces.span_metadata import call_metadata
from holdfast.server.api.traces.vocabulary import ENDED, FAILED, SPAN_STATUSES
from holdfast.server.model.status import SpanStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.server.api.traces.span_metadata import Metadata
    from holdfast.server.api.traces.span_output import OutputRef
    from holdfast.server.api.traces.stepinfo import StepInfo
    from holdfast.server.model.span import Call, Span
    from holdfast.server.store.history import StoredRun


class ResponseInfo(msgspec.Struct, frozen=True, gc=False):
    """The HTTP answer behind a span; status 0 when none came."""

    status_code: int
    headers: dict[str, str]


class UserlandSpan(msgspec.Struct, frozen=True):
    """What a span of user code says of itself; attributes are texts of JSON objects."""

    span_name: str
    span_kind: str
    service_name: str | None
    scope_name: str | None
    scope_version: str | None
    span_attrs: str
    resource_attrs: str | None


class TraceNode(msgspec.Struct, gc=False):  # no node leads back to its parent
    """One span as shown. Times are ms since the epoch; attributes are named as the GraphQL fields, in snake case."""

    app_id: str
    function_id: str
    run_id: str
    trace_id: str
    span_id: str
    name: str
    status: str
    queued_at: int
    job: str = ""  # the queue item that did it
    attempts: int = 0
    duration: int | None = None
    output: OutputRef | None = None
    scheduled_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    children_spans: list[TraceNode] = []
    step_op: str | None = None
    step_id: str | None = None
    step_info: StepInfo | None = None
    step_type: str = ""
    is_root: bool = False
    parent_span_id: str | None = None
    parent_span: None = None
    is_userland: bool = False
    userland_span: UserlandSpan | None = None
    debug_run_id: str | None = None
    debug_session_id: str | None = None
    debug_paused: bool = False
    skip_reason: str | None = None
    skip_existing_run_id: str | None = None
    calls: list[Call] = []  # the requests whose timing is shown here
    reported: list[Metadata] = []
    usage: Callable[[], list[Metadata]] | None = None
    response: ResponseInfo | None = None

    @property
    def metadata(self) -> list[Metadata]:
        """What was measured and reported. Made when it is asked for, as what follows is: a trace has thousands."""
        measured = [entry for call in self.calls for entry in call_metadata(call)]
        return [*measured, *self.reported, *(self.usage() if self.usage is not None else ())]

    @property
    def group_id(self) -> str | None:
        """The UUID by which clients tell what one queue item did."""
        return group_id(self.run_id, self.job) if self.job else None

    @property
    def output_id(self) -> str | None:
        """The opaque id by which the output is asked for."""
        return self.output.encode() if self.output is not None else None

    def adopt(self, children: list[TraceNode]) -> None:
        """Take nodes as children."""
        self.children_spans = children
        for child in children:
            child.parent_span_id = self.span_id

    def close(self) -> None:
        """Drop the end of a span that hasn't ended, set the duration of one that has."""
        if self.status not in ENDED:
            self.ended_at = None
        elif self.ended_at is not None and self.started_at is not None:
            self.duration = max(self.ended_at - self.started_at, 0)


class NodeFactory:
    """Makes the nodes of one run: ids are derived from the run's, so that they stay the same from query to query."""

    def __init__(self, run: StoredRun, tree: str) -> None:
        self._run = run
        self._tree = tree
        self._trace_id = trace_id(run.id, run.detail.trace)

    def node(self, label: str, name: str, status: str, queued_at: int) -> TraceNode:
        """A node whose span id is known by `label` within its tree."""
        run = self._run
        return TraceNode(
            run.app_id,
            run.function_id,
            run.id,
            self._trace_id,
            _digest(f"{run.id}/{self._tree}/{label}", 16),
            name,
            status,
            queued_at,
            debug_run_id=run.detail.debug_run_id or None,
            debug_session_id=run.detail.debug_session_id or None,
        )


def group_id(run_id: str, job: str) -> str:
    """The UUID of what one queue item of a run did."""
    return oid_uuid(f"{run_id}/{job}")


def span_status(span: Span) -> str:
    """Return how a finished span is shown; an invocation that timed out has failed, a wait has come to nothing."""
    if span.op == "InvokeFunction" and span.status is SpanStatus.TIMED_OUT:
        return FAILED
    return SPAN_STATUSES[span.status]


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
