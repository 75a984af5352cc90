"""A run as OpenTelemetry spans: the run, its steps, and the requests to its app.

Ids are those that apps are told in `traceparent`, so that their own spans continue the same trace. Spans of user code
are left out: apps send those to their collector themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from holdfast import __version__
from holdfast.protocol.tracing import SAMPLED, call_span_id, span_id, step_span_id, trace_id
from holdfast.server.model.status import RunStatus, SpanStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.resources import Resource

    from holdfast.protocol.tracing import TraceContext
    from holdfast.server.model.span import Call
    from holdfast.server.store.history import RunTrace, TraceRow

Attributes: TypeAlias = "Mapping[str, str | int | tuple[str, ...]]"

_SCOPE: Final = InstrumentationScope("holdfast", __version__)
_NS_PER_MS: Final = 1_000_000
_FAILURES: Final = frozenset({SpanStatus.FAILED, SpanStatus.ERRORED})
_SERVED: Final = frozenset({"AIGateway", "Gateway"})  # requests of the server itself, that carry no `traceparent`


def outline(trace: RunTrace, slug: str, resource: Resource, senders: Iterable[TraceContext] = ()) -> list[ReadableSpan]:
    """The spans of a run that has ended. `senders` are the traces of its events, for those of a batch are many."""
    return _Outline(trace, slug, resource).spans(senders)


class _Outline:
    def __init__(self, trace: RunTrace, slug: str, resource: Resource) -> None:
        self._trace = trace
        self._run = trace.run
        self._slug = slug
        self._resource = resource
        self._trace_id = trace_id(trace.run.id, trace.run.detail.trace)
        self._root = self._context(span_id(trace.run.id))
        self._made: dict[str, ReadableSpan] = {}

    def spans(self, senders: Iterable[TraceContext]) -> list[ReadableSpan]:
        steps: dict[str, list[TraceRow]] = {}
        for row in self._trace.rows:
            if row.span.kind in {"step", "attempt"} and row.span.step_id:
                steps.setdefault(row.span.step_id, []).append(row)
        self._add_run(senders)
        for step_id, rows in steps.items():
            self._add_step(step_id, rows)
        for row in self._trace.rows:
            if row.span.call is not None and row.span.op not in _SERVED:
                self._add_call(row, row.span.call)
        return list(self._made.values())

    def _add_run(self, senders: Iterable[TraceContext]) -> None:
        run, sender = self._run, self._run.detail.trace
        parent = _remote(sender) if sender is not None else None
        attributes: Attributes = {
            "messaging.system": "inngest", "messaging.operation.type": "process",
            "messaging.destination.name": run.event_name or run.cron,
            "messaging.message.id": run.event_ids[0] if run.event_ids else "",
            "messaging.batch.message_count": len(run.event_ids) if run.batch_id else 0,
            "inngest.function.slug": self._slug, "inngest.function.id": run.function_id,
            "inngest.function.version": run.detail.function_version, "inngest.app.id": run.app_id,
            "inngest.run.status": run.status.name.lower(), "inngest.event.name": run.event_name,
            "inngest.event.ids": tuple(run.event_ids), "inngest.cron": run.cron, "inngest.batch.id": run.batch_id,
            "inngest.original_run.id": run.original_run_id, "inngest.run.started_at": run.started_at or 0,
        }  # fmt: skip
        failed = (run.detail.error or "the run failed") if run.status is RunStatus.FAILED else None
        links = [Link(_remote(one)) for one in senders if sender is None or one.span_id != sender.span_id]
        self._add(
            self._root, self._slug, parent, SpanKind.CONSUMER, run.scheduled_at, run.ended_at or run.scheduled_at,
            attributes, failed, links,
        )  # fmt: skip

    def _add_step(self, step_id: str, rows: list[TraceRow]) -> None:
        last = rows[-1].span
        attributes: Attributes = {
            "inngest.step.id": step_id, "inngest.step.name": last.name, "inngest.step.op": last.op,
            "inngest.step.type": last.type, "inngest.step.attempts": last.attempt + 1,
            "inngest.invoked.run.id": (last.info or {}).get("run_id", ""),
        }  # fmt: skip
        failed = (last.error or "the step failed") if last.status in _FAILURES else None
        context = self._context(step_span_id(self._run.id, step_id))
        name = last.name or "step"
        self._add(
            context, name, self._root, SpanKind.INTERNAL, rows[0].span.started_at, last.ended_at, attributes, failed
        )

    def _add_call(self, row: TraceRow, call: Call) -> None:
        span = row.span
        own = span.kind in {"step", "attempt"} and bool(span.step_id)
        parent = self._context(step_span_id(self._run.id, span.step_id)) if own else self._root
        attributes: Attributes = {
            "http.request.method": "POST", "url.full": call.url, "http.response.status_code": call.status,
            "http.response.body.size": call.size, "inngest.attempt": call.attempt, "inngest.job.id": call.job,
            "inngest.request.kind": span.kind,
        }  # fmt: skip
        failed = (span.error or "the attempt failed") if span.status in _FAILURES else None
        context = self._context(call_span_id(self._run.id, call.job, call.attempt))
        name = f"POST {self._slug}"
        self._add(context, name, parent, SpanKind.CLIENT, call.started_at, call.ended_at, attributes, failed)

    def _add(
        self, context: SpanContext, name: str, parent: SpanContext | None, kind: SpanKind, start: int, end: int,
        attributes: Attributes, failed: str | None, links: Iterable[Link] = (),
    ) -> None:  # fmt: skip
        """Add a span; what has no value is left out, as are numbers that are 0 for "none"."""
        told = {key: value for key, value in attributes.items() if value not in {"", ()} and _says(key, value)}
        self._made[f"{context.span_id:016x}"] = ReadableSpan(
            name, context, parent, self._resource, {"inngest.run.id": self._run.id, **told}, (), tuple(links), kind,
            status=Status(StatusCode.ERROR, failed) if failed is not None else Status(),
            start_time=start * _NS_PER_MS, end_time=max(end, start) * _NS_PER_MS, instrumentation_scope=_SCOPE,
        )  # fmt: skip

    def _context(self, span: str) -> SpanContext:
        return SpanContext(int(self._trace_id, 16), int(span, 16), False, TraceFlags(TraceFlags.SAMPLED))


def _remote(sender: TraceContext) -> SpanContext:
    return SpanContext(int(sender.trace_id, 16), int(sender.span_id, 16), True, TraceFlags(sender.flags & SAMPLED))


#: Numbers whose 0 says something.
_ZEROS: Final = frozenset({"inngest.attempt", "inngest.function.version", "http.response.body.size"})


def _says(key: str, value: object) -> bool:
    return value != 0 or key in _ZEROS
