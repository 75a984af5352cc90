"""The protocol's names."""

from holdfast._internal.server_lib.registration import (
    FunctionConfig,
    InBandSynchronizeRequest,
    Retries,
    Runtime,
    Step,
)
from holdfast.sdk.calls import CallContext as ServerRequestCtx
from holdfast.sdk.calls import ServerRequest
from holdfast.sdk.config import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
    TriggerCron,
    TriggerEvent,
)
from holdfast.sdk.consts import (
    PREFERRED_EXECUTION_VERSION,
    ROOT_STEP_ID,
    UNSPECIFIED_STEP_ID,
    ErrorCode,
    Framework,
    HeaderKey,
    InternalEvents,
    Opcode,
    ParallelMode,
    Probe,
    QueryParamKey,
    ServerKind,
    SyncKind,
)
from holdfast.sdk.events import Event

__all__ = [
    "PREFERRED_EXECUTION_VERSION", "ROOT_STEP_ID", "UNSPECIFIED_STEP_ID", "Batch", "Cancel", "Concurrency",
    "Debounce", "ErrorCode", "Event", "Framework", "FunctionConfig", "HeaderKey", "InBandSynchronizeRequest",
    "InternalEvents", "Opcode", "ParallelMode", "Priority", "Probe", "QueryParamKey", "RateLimit", "Retries",
    "Runtime", "ServerKind", "ServerRequest", "ServerRequestCtx", "Singleton", "Step", "SyncKind", "Throttle",
    "Timeouts", "TriggerCron", "TriggerEvent",
]  # fmt: skip
