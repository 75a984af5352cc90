"""All operations of REST v2, in the order in which documents list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.server.api.rest_v2 import (
    account,
    apps,
    events,
    experiments,
    functions,
    keys,
    refused,
    runs,
    scores,
    sessions,
    trace,
    webhooks,
)

if TYPE_CHECKING:
    from holdfast.server.api.rest_v2.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *account.OPERATIONS,
    *runs.OPERATIONS,
    *trace.OPERATIONS,
    *scores.OPERATIONS,
    *sessions.OPERATIONS,
    *experiments.OPERATIONS,
    *apps.OPERATIONS,
    *functions.OPERATIONS,
    *events.OPERATIONS,
    *keys.OPERATIONS,
    *webhooks.OPERATIONS,
    *refused.OPERATIONS,
)
