"""Functions as SDKs register them and as the server stores them: one import for the parts below."""

from __future__ import annotations

from holdfast.protocol.function_checks import ExpressionUse, check_function, format_errors
from holdfast.protocol.function_config import (
    Batch,
    Cancel,
    Checkpoint,
    Concurrency,
    ConcurrencyLimit,
    Debounce,
    FunctionConfig,
    RateLimit,
    Scope,
    Singleton,
    SingletonMode,
    Step,
    Throttle,
    Timeouts,
    Trigger,
)
from holdfast.protocol.function_store import load_config, stored_config
from holdfast.protocol.registration import Registration, RegistrationError, checksum, decode_registration

__all__ = [
    "Batch",
    "Cancel",
    "Checkpoint",
    "Concurrency",
    "ConcurrencyLimit",
    "Debounce",
    "ExpressionUse",
    "FunctionConfig",
    "RateLimit",
    "Registration",
    "RegistrationError",
    "Scope",
    "Singleton",
    "SingletonMode",
    "Step",
    "Throttle",
    "Timeouts",
    "Trigger",
    "check_function",
    "checksum",
    "decode_registration",
    "format_errors",
    "load_config",
    "stored_config",
]
