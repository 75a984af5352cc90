"""Spans of user code in the tree: below the step and attempt, or the request, they belong to (graphql.md §11, §12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.api.traces import span_metadata
from holdfast.server.api.traces.extraction import extract, together
from holdfast.server.api.traces.node import TraceNode, UserlandSpan
from holdfast.server.api.traces.span_metadata import Metadata
from holdfast.server.api.traces.vocabulary import COMPLETED, FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from holdfast.server.api.traces.span_metadata import Posted
    from holdfast.server.model.telemetry import UserSpan
    from holdfast.server.store.history import StoredRun

#: What SDKs put around all that a request does. It tells nothing, so what is in it takes its place.
WRAPPER: Final = "inngest.execution"
_KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_ERROR: Final = 2
_DEEPEST: Final = 40  # spans below this are shown at their step
_NS_PER_MS: Final = 1_000_000
_SCOPE: Final = "extended_trace"


class Places:
    """Where in the tree spans may hang: the nodes of steps by id and attempt, those of requests by their span id."""

    def __init__(self) -> None:
        self.steps: dict[tuple[str, int], TraceNode] = {}
        self.requests: dict[str, TraceNode] = {}

    def of(self, span: UserSpan) -> TraceNode | None:
        """Return the node that a span belongs to, None for the root."""
        if span.step_id and (node := self.steps.get((span.step_id, span.attempt))) is not None:
            return node
        return self.requests.get(span.request)


def graft(run: StoredRun, spans: Sequence[UserSpan], places: Places, posted: Posted) -> list[TraceNode]:
    """Hang spans into the tree; answers those that have no other place than the root."""
    wrappers = {span.span_id: span for span in spans if span.name == WRAPPER}
    shown = {span.span_id: span for span in spans if span.name != WRAPPER}
    nodes = {id: _node(run, span, posted) for id, span in shown.items()}
    loose: list[TraceNode] = []
    for id, span in shown.items():
        node = nodes[id]
        top = _top(span, shown)
        place = places.of(top if top.step_id or top.request else wrappers.get(top.parent_id, top))
        parent = nodes[span.parent_id] if span is not top else place
        if parent is None:
            loose.append(node)
        else:
            node.parent_span_id = parent.span_id
            parent.children_spans.append(node)
        if place is not None:
            _roll_up(place, span)
    return loose


def _top(span: UserSpan, shown: Mapping[str, UserSpan]) -> UserSpan:
    """Return the first of a span's line in the tree; itself where the line is too long, or leads back to it."""
    first = span
    for _ in range(_DEEPEST):
        above = shown.get(first.parent_id)
        if above is None:
            return first
        first = above
    return span


def _node(run: StoredRun, span: UserSpan, posted: Posted) -> TraceNode:
    start, end = span.start // _NS_PER_MS, span.end // _NS_PER_MS
    node = TraceNode(
        run.app_id, run.function_id, run.id, span.trace_id, span.span_id, span.name,
        FAILED if span.status == _ERROR else COMPLETED, start,
    )  # fmt: skip
    node.scheduled_at = node.started_at = start
    node.ended_at, node.duration = end, end - start
    node.attempts = span.attempt
    node.is_userland, node.userland_span = True, _userland(span)
    extracted = [span_metadata.Update(kind, values, "merge", _SCOPE, end) for kind, values in extract(span).items()]
    node.reported = span_metadata.fold([*extracted, *posted.of_span(span.span_id)])
    node.debug_run_id = run.detail.debug_run_id or None
    node.debug_session_id = run.detail.debug_session_id or None
    return node


def _userland(span: UserSpan) -> UserlandSpan:
    return UserlandSpan(
        span.name,
        _KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else _KINDS[0],
        span.service or None,
        span.scope_name or None,
        span.scope_version or None,
        _text(span.attributes),
        _text(span.resource) if span.resource else None,
    )


def _roll_up(place: TraceNode, span: UserSpan) -> None:
    """A step shows what its calls to models and over HTTP came to together."""
    at = span.end // _NS_PER_MS
    for kind, values in extract(span).items():
        known = _find(place.reported, kind)
        if known is None:
            place.reported = [*place.reported, Metadata(_SCOPE, kind, values, at)]
        else:
            known.values, known.updated_at = together(known.values, values), max(known.updated_at, at)


def _find(entries: Iterable[Metadata], kind: str) -> Metadata | None:
    return next((entry for entry in entries if (entry.scope, entry.kind) == (_SCOPE, kind)), None)


def _text(values: dict[str, object]) -> str:
    return msgspec.json.encode(values).decode()
