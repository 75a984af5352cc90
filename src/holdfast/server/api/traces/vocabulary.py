"""The words of both trees: statuses, kinds of steps, names of spans (`protocol/graphql.md` §12.1)."""

from __future__ import annotations

from typing import Final

from holdfast.server.model.status import SpanStatus

COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"
QUEUED: Final = "QUEUED"
RUNNING: Final = "RUNNING"
WAITING: Final = "WAITING"
ENDED: Final = frozenset({COMPLETED, FAILED, "CANCELLED", "SKIPPED"})

SPAN_STATUSES: Final = {
    SpanStatus.RUNNING: RUNNING,
    SpanStatus.INVOKING: RUNNING,
    SpanStatus.WAITING: WAITING,
    SpanStatus.SLEEPING: WAITING,
    SpanStatus.COMPLETED: COMPLETED,
    SpanStatus.TIMED_OUT: COMPLETED,
    SpanStatus.FAILED: FAILED,
    SpanStatus.ERRORED: FAILED,
    SpanStatus.CANCELLED: "CANCELLED",
}
STEP_OPS: Final = {
    "Step": "RUN",
    "StepRun": "RUN",
    "StepError": "RUN",
    "StepFailed": "RUN",
    "StepPlanned": "RUN",
    "AIGateway": "AI_GATEWAY",
    "Gateway": "AI_GATEWAY",
    "InvokeFunction": "INVOKE",
    "Sleep": "SLEEP",
    "WaitForEvent": "WAIT_FOR_EVENT",
    "WaitForSignal": "WAIT_FOR_SIGNAL",
}
GATEWAYS: Final = frozenset({"AIGateway", "Gateway"})
RUN_COMPLETE: Final = "RunComplete"
NO_PARENT: Final = "0" * 16
