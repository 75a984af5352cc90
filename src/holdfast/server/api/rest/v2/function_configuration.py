"""The configuration of a function as REST v2 shows it (`protocol/http-apis.md` §10.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from holdfast.protocol.function_config import DEFAULT_RETRIES
from holdfast.protocol.functions import FunctionConfig, Scope, load_config
from holdfast.server.api.rest.v2.envelope import Shown

_CONFIGS: Final = 1_000
_SCOPES: Final = {Scope.FUNCTION: "FUNCTION", Scope.ENVIRONMENT: "ENVIRONMENT", Scope.ACCOUNT: "ACCOUNT"}


class Trigger(Shown, kw_only=True):
    """What starts a run: `type` is EVENT or CRON."""

    type: str
    value: str
    if_: str = msgspec.field(name="if", default="")


class Cancellation(Shown):
    """An event that ends runs."""

    event: str
    timeout: str = ""
    condition: str = ""


class Retries(Shown, kw_only=True):
    """How often a step is tried again."""

    value: int = 0
    is_default: bool


class EventsBatch(Shown):
    """How events are gathered into one run."""

    max_size: int
    timeout: str
    key: str = ""


class Limit(Shown):
    """A limit; -1 is none."""

    value: int = 0
    is_plan_limit: bool = False


class Concurrency(Shown):
    """How many steps may run at a time: `scope` is FUNCTION, ENVIRONMENT or ACCOUNT."""

    scope: str
    limit: Limit
    key: str = ""


class RateLimit(Shown):
    """How many runs may start in a period; others never do."""

    limit: int
    period: str
    key: str = ""


class Debounce(Shown):
    """How long it must be quiet before a run starts."""

    period: str
    key: str = ""


class Throttle(Shown):
    """How many runs may start in a period; others wait."""

    burst: int
    limit: int
    period: str
    key: str = ""


class Singleton(Shown):
    """That there is one run at a time: `mode` is SKIP or CANCEL."""

    mode: str
    key: str = ""


class Configuration(Shown, kw_only=True):
    """All settings of a function."""

    cancellations: list[Cancellation] = []
    retries: Retries
    priority: str = ""
    events_batch: EventsBatch | None = None
    concurrency: list[Concurrency]
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    throttle: Throttle | None = None
    singleton: Singleton | None = None


@lru_cache(_CONFIGS)
def read_config(stored: bytes) -> FunctionConfig:
    """Return the stored configuration; an empty one for a function that is gone."""
    try:
        return load_config(stored)
    except (ValueError, KeyError):
        return FunctionConfig("", "")


def show_triggers(config: FunctionConfig) -> list[Trigger]:
    """Return what starts a function."""
    return [
        Trigger(type="CRON", value=trigger.cron)
        if trigger.cron is not None
        else Trigger(type="EVENT", value=trigger.event or "", if_=trigger.expression)
        for trigger in config.triggers
    ]


def show_configuration(config: FunctionConfig) -> Configuration:
    """Return the settings of a function."""
    batch, rate, debounce = config.batch, config.rate_limit, config.debounce
    throttle, singleton = config.throttle, config.singleton
    return Configuration(
        cancellations=[Cancellation(event=c.event, timeout=c.timeout, condition=c.condition) for c in config.cancel],
        retries=Retries(value=config.retries, is_default=config.retries == DEFAULT_RETRIES),
        priority=config.priority,
        events_batch=EventsBatch(max_size=batch.max_size, timeout=batch.timeout, key=batch.key) if batch else None,
        concurrency=_concurrency(config),
        rate_limit=RateLimit(limit=rate.limit, period=rate.period, key=rate.key) if rate else None,
        debounce=Debounce(period=debounce.period, key=debounce.key) if debounce else None,
        throttle=Throttle(burst=throttle.burst, limit=throttle.limit, period=throttle.period, key=throttle.key)
        if throttle
        else None,
        singleton=Singleton(mode=singleton.mode.upper(), key=singleton.key) if singleton else None,
    )


def _concurrency(config: FunctionConfig) -> list[Concurrency]:
    limits = [*config.concurrency.steps, *config.concurrency.runs]
    if not limits:
        return [Concurrency(scope="ACCOUNT", limit=Limit(value=-1, is_plan_limit=True))]
    return [
        Concurrency(scope=_SCOPES.get(each.scope, "FUNCTION"), limit=Limit(value=each.limit), key=each.key)
        for each in limits
    ]
