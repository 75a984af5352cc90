"""All operations of REST v2, in the order in which documents list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.server.api.rest.v2 import (
    account_operations,
    app_operations,
    event_operations,
    experiment_operations,
    function_operations,
    key_operations,
    refused_operations,
    run_operations,
    score_operations,
    session_operations,
    trace_operations,
    webhook_operations,
)

if TYPE_CHECKING:
    from holdfast.server.api.rest.v2.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *account_operations.OPERATIONS,
    *run_operations.OPERATIONS,
    *trace_operations.OPERATIONS,
    *score_operations.OPERATIONS,
    *session_operations.OPERATIONS,
    *experiment_operations.OPERATIONS,
    *app_operations.OPERATIONS,
    *function_operations.OPERATIONS,
    *event_operations.OPERATIONS,
    *key_operations.OPERATIONS,
    *webhook_operations.OPERATIONS,
    *refused_operations.OPERATIONS,
)
