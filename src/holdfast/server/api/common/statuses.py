"""What the newer APIs (GraphQL, REST v2, MCP) call the statuses of runs."""

from __future__ import annotations

from typing import Final

from holdfast.server.model.status import RunStatus

RUN_STATUSES: Final = {
    RunStatus.SCHEDULED: "QUEUED",
    RunStatus.RUNNING: "RUNNING",
    RunStatus.COMPLETED: "COMPLETED",
    RunStatus.FAILED: "FAILED",
    RunStatus.CANCELLED: "CANCELLED",
    RunStatus.SKIPPED: "SKIPPED",
}
