"""Test durable functions on the real engine, in milliseconds (docs/how-to/test-functions.md).

Functions of the official SDK (package `inngest`) run as they are. Nothing here is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.testing.clock import VirtualClock as VirtualClock
    from holdfast.testing.engine import TestEngine as TestEngine
    from holdfast.testing.errors import NoRunError as NoRunError
    from holdfast.testing.errors import NoStepError as NoStepError
    from holdfast.testing.errors import NotDeterministicError as NotDeterministicError
    from holdfast.testing.errors import NotEndedError as NotEndedError
    from holdfast.testing.errors import RunFailedError as RunFailedError
    from holdfast.testing.errors import StalledError as StalledError
    from holdfast.testing.errors import TestingError as TestingError
    from holdfast.testing.mocks import Fail as Fail
    from holdfast.testing.run import Run as Run
    from holdfast.testing.run import Step as Step
    from holdfast.testing.sync import SyncTestEngine as SyncTestEngine

_MODULES = {
    "Fail": "mocks", "NoRunError": "errors", "NoStepError": "errors", "NotDeterministicError": "errors",
    "NotEndedError": "errors", "Run": "run", "RunFailedError": "errors", "StalledError": "errors", "Step": "run",
    "SyncTestEngine": "sync", "TestEngine": "engine", "TestingError": "errors", "VirtualClock": "clock",
}  # fmt: skip

__all__ = [
    "Fail", "NoRunError", "NoStepError", "NotDeterministicError", "NotEndedError", "Run", "RunFailedError",
    "StalledError", "Step", "SyncTestEngine", "TestEngine", "TestingError", "VirtualClock",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - as the modules themselves

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
