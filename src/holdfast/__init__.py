"""Holdfast: durable functions for Python, wire-compatible with Inngest.

The names of the SDK are imported when they are first used: a server needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from holdfast.sdk.checkpoints import Checkpointing
    from holdfast.sdk.client import Client, Inngest
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
    from holdfast.sdk.consts import ErrorCode, Opcode, ParallelMode, Streaming
    from holdfast.sdk.context import Context, ContextSync, get_step_context, step
    from holdfast.sdk.defers import DeferHandle, DeferredFunction, DeferredParent
    from holdfast.sdk.errors import (
        AsyncUnsupportedError,
        Error,
        EventKeyUnspecifiedError,
        FunctionConfigInvalidError,
        NonRetriableError,
        RequestFailedError,
        RetryAfterError,
        SendEventsError,
        SigningKeyMissingError,
        StepError,
    )
    from holdfast.sdk.events import JSON, Event
    from holdfast.sdk.experiments import ExperimentResult
    from holdfast.sdk.function import Function
    from holdfast.sdk.groups import Group, GroupSync
    from holdfast.sdk.memos import StepMemos
    from holdfast.sdk.middleware import Middleware, MiddlewareSync, StepCall, TransformOutputResult
    from holdfast.sdk.plans import FetchResponse
    from holdfast.sdk.scores import ExperimentRef
    from holdfast.sdk.sending import SendEventsResult
    from holdfast.sdk.serializers import PydanticSerializer, Serializer, TypedSerializer
    from holdfast.sdk.sessions import EventMeta
    from holdfast.sdk.step import Step
    from holdfast.sdk.step_base import Signal
    from holdfast.sdk.step_sync import StepSync

_MODULES = {
    "Checkpointing": "checkpoints",
    "Client": "client",
    "Inngest": "client",
    "Batch": "config",
    "Cancel": "config",
    "Concurrency": "config",
    "Debounce": "config",
    "Priority": "config",
    "RateLimit": "config",
    "Singleton": "config",
    "Throttle": "config",
    "Timeouts": "config",
    "TriggerCron": "config",
    "TriggerEvent": "config",
    "ErrorCode": "consts",
    "Opcode": "consts",
    "ParallelMode": "consts",
    "Streaming": "consts",
    "Context": "context",
    "ContextSync": "context",
    "get_step_context": "context",
    "step": "context",
    "ExperimentResult": "experiments",
    "ExperimentRef": "scores",
    "EventMeta": "sessions",
    "DeferredParent": "defers",
    "DeferredFunction": "defers",
    "DeferHandle": "defers",
    "AsyncUnsupportedError": "errors",
    "Error": "errors",
    "EventKeyUnspecifiedError": "errors",
    "FunctionConfigInvalidError": "errors",
    "NonRetriableError": "errors",
    "RequestFailedError": "errors",
    "RetryAfterError": "errors",
    "SendEventsError": "errors",
    "SigningKeyMissingError": "errors",
    "StepError": "errors",
    "Event": "events",
    "JSON": "events",
    "Function": "function",
    "Group": "groups",
    "GroupSync": "groups",
    "StepMemos": "memos",
    "Middleware": "middleware",
    "MiddlewareSync": "middleware",
    "StepCall": "middleware",
    "TransformOutputResult": "middleware",
    "FetchResponse": "plans",
    "SendEventsResult": "sending",
    "PydanticSerializer": "serializers",
    "Serializer": "serializers",
    "TypedSerializer": "serializers",
    "Step": "step",
    "Signal": "step_base",
    "StepSync": "step_sync",
}

__all__ = [
    "JSON",
    "AsyncUnsupportedError",
    "Batch",
    "Cancel",
    "Checkpointing",
    "Client",
    "Concurrency",
    "Context",
    "ContextSync",
    "Debounce",
    "DeferHandle",
    "DeferredFunction",
    "DeferredParent",
    "Error",
    "ErrorCode",
    "Event",
    "EventKeyUnspecifiedError",
    "EventMeta",
    "ExperimentRef",
    "ExperimentResult",
    "FetchResponse",
    "Function",
    "FunctionConfigInvalidError",
    "Group",
    "GroupSync",
    "Inngest",
    "Middleware",
    "MiddlewareSync",
    "NonRetriableError",
    "Opcode",
    "ParallelMode",
    "Priority",
    "PydanticSerializer",
    "RateLimit",
    "RequestFailedError",
    "RetryAfterError",
    "SendEventsError",
    "SendEventsResult",
    "Serializer",
    "Signal",
    "SigningKeyMissingError",
    "Singleton",
    "Step",
    "StepCall",
    "StepError",
    "StepMemos",
    "StepSync",
    "Streaming",
    "Throttle",
    "Timeouts",
    "TransformOutputResult",
    "TriggerCron",
    "TriggerEvent",
    "TypedSerializer",
    "get_step_context",
    "step",
]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    found: object = getattr(import_module(f"holdfast.sdk.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
