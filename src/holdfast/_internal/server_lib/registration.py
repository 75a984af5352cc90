"""What is registered of functions, for code that writes such configurations itself."""

from __future__ import annotations

from typing import Literal

from holdfast.sdk.config import (
    Batch,
    Cancel,
    Concurrency,
    Config,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
    TriggerCron,
    TriggerEvent,
    plain,
)

__all__ = [
    "Batch", "Cancel", "Concurrency", "Debounce", "FunctionConfig", "InBandSynchronizeRequest", "Priority", "RateLimit",
    "Retries", "Runtime", "Singleton", "Step", "Throttle", "Timeouts", "TriggerCron", "TriggerEvent",
]  # fmt: skip


class Retries(Config, kw_only=True):
    """How often a step is tried again."""

    attempts: int


class Runtime(Config, kw_only=True):
    """Where a step is called."""

    type: Literal["http", "ws"]
    url: str


class Step(Config, kw_only=True):
    """The step of a function that is registered."""

    id: str
    name: str
    retries: Retries | None = None
    runtime: Runtime


class FunctionConfig(Config, kw_only=True):
    """A function."""

    id: str
    name: str | None
    triggers: list[TriggerCron | TriggerEvent]
    steps: dict[str, Step]
    batch_events: Batch | None = None
    cancel: list[Cancel] | None = None
    concurrency: list[Concurrency] | None = None
    debounce: Debounce | None = None
    idempotency: str | None = None
    priority: Priority | None = None
    rate_limit: RateLimit | None = None
    singleton: Singleton | None = None
    throttle: Throttle | None = None
    timeouts: Timeouts | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the function as it is registered, unset members as None."""
        return {name: plain(value) for name, value in super().to_dict().items()}


class InBandSynchronizeRequest(Config, kw_only=True):
    """What a server sends to have an app registered in the answer."""

    url: str
