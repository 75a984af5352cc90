"""Apps and functions (`protocol/graphql.md` §5)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.protocol.durations import format_go_duration, parse_duration
from holdfast.protocol.functions import FunctionConfig, Scope, load_config
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.model.app import AppRecord, FunctionRecord

_DEFAULT_RETRIES: Final = 4
_CONFIGS: Final = 1_000
_SCOPES: Final = {Scope.FUNCTION: "FUNCTION", Scope.ENVIRONMENT: "ENVIRONMENT", Scope.ACCOUNT: "ACCOUNT"}


class _Readiness(msgspec.Struct, frozen=True):
    ai_metadata_extraction: None = None
    extended_traces: None = None


class _Trigger(msgspec.Struct, frozen=True):
    type: str
    value: str
    condition: str | None = None


class _Limited(msgspec.Struct, frozen=True):
    value: int
    is_plan_limit: bool


class _Concurrency(msgspec.Struct, frozen=True):
    scope: str
    limit: _Limited
    key: str | None = None


class _Retries(msgspec.Struct, frozen=True):
    value: int
    is_default: bool


class _Cancellation(msgspec.Struct, frozen=True):
    event: str
    timeout: str | None
    condition: str | None


class _Settings(msgspec.Struct, frozen=True):
    """Any of the settings that have a key; each has some of these."""

    key: str | None
    max_size: int = 0
    timeout: str = ""
    limit: int = 0
    period: str = ""
    burst: int = 0
    mode: str = ""


class _Configuration(msgspec.Struct, frozen=True):
    cancellations: list[_Cancellation]
    retries: _Retries
    priority: str | None
    events_batch: _Settings | None
    concurrency: list[_Concurrency]
    rate_limit: _Settings | None
    debounce: _Settings | None
    throttle: _Settings | None
    singleton: _Settings | None


@resolver("Query.apps")
async def _apps(_source: None, context: Context, filter: dict[str, str] | None = None) -> list[AppRecord]:
    method = ((filter or {}).get("method") or "").lower()
    return [app for app in await context.history.apps() if not method or app.method == method]


@resolver("Query.app")
async def _app(_source: None, context: Context, id: str) -> AppRecord:
    return await context.apps.load(id) or fail(NO_ROWS)


@resolver("Query.functions")
async def _functions(_source: None, context: Context) -> list[FunctionRecord]:
    return await context.history.functions()


@resolver("Query.functionBySlug")
async def _function_by_slug(_source: None, context: Context, query: dict[str, str]) -> FunctionRecord:
    return await context.functions_by_slug.load(query["function_slug"]) or fail(NO_ROWS)


@resolver("App.externalID")
def _app_external_id(app: AppRecord, _context: Context) -> str:
    return app.name


@resolver("App.framework")
def _app_framework(app: AppRecord, _context: Context) -> str | None:
    return app.framework or None


@resolver("App.error")
def _app_error(app: AppRecord, _context: Context) -> str | None:
    return app.error or None


@resolver("App.method")
def _app_method(app: AppRecord, _context: Context) -> str:
    return app.method.upper()


@resolver("App.connected")
def _app_connected(app: AppRecord, _context: Context) -> bool:
    return not app.error


@resolver("App.autodiscovered")
def _app_autodiscovered(app: AppRecord, _context: Context) -> bool:
    return app.discovered


@resolver("App.sdkFeatureReadiness")
def _app_readiness(_app: AppRecord, _context: Context) -> _Readiness:
    return _Readiness()


@resolver("App.functions")
async def _app_functions(app: AppRecord, context: Context) -> list[FunctionRecord]:
    return await context.functions_of_app.load(app.id) or []


@resolver("App.functionCount")
async def _app_function_count(app: AppRecord, context: Context) -> int:
    return len(await _app_functions(app, context))


@resolver("Function.config")
def _function_config(function: FunctionRecord, _context: Context) -> str:
    return function.config.decode("utf-8", "replace")


@resolver("Function.concurrency")
def _function_concurrency(function: FunctionRecord, _context: Context) -> int:
    limits = _config(function.config).concurrency.steps
    return next((limit.limit for limit in limits if limit.scope is Scope.FUNCTION and not limit.key), 0)


@resolver("Function.url")
def _function_url(function: FunctionRecord, _context: Context) -> str:
    return _config(function.config).url


@resolver("Function.triggers")
def _function_triggers(function: FunctionRecord, _context: Context) -> list[_Trigger]:
    return [
        _Trigger("CRON", trigger.cron)
        if trigger.cron is not None
        else _Trigger("EVENT", trigger.event or "", trigger.expression or None)
        for trigger in _config(function.config).triggers
    ]


@resolver("Function.app")
async def _function_app(function: FunctionRecord, context: Context) -> AppRecord | None:
    return await context.apps.load(function.app_id)


@resolver("Function.failureHandler")
def _function_failure_handler(function: FunctionRecord, context: Context) -> Awaitable[FunctionRecord | None]:
    return context.functions_by_slug.load(f"{function.slug}-failure")


@resolver("Function.configuration")
def _function_configuration(function: FunctionRecord, _context: Context) -> _Configuration:
    config = _config(function.config)
    return _Configuration(
        cancellations=[
            _Cancellation(cancel.event, cancel.timeout or None, cancel.condition or None) for cancel in config.cancel
        ],
        retries=_Retries(config.retries, config.retries == _DEFAULT_RETRIES),
        priority=config.priority or None,
        concurrency=_concurrency(config),
        **_settings(config),
    )


def _settings(config: FunctionConfig) -> dict[str, _Settings | None]:
    batch, rate, debounce = config.batch, config.rate_limit, config.debounce
    throttle, singleton = config.throttle, config.singleton
    return {
        "events_batch": _Settings(batch.key or None, max_size=batch.max_size, timeout=batch.timeout) if batch else None,
        "rate_limit": _Settings(rate.key or None, limit=rate.limit, period=rate.period) if rate else None,
        "debounce": _Settings(debounce.key or None, period=debounce.period) if debounce else None,
        "throttle": _Settings(
            throttle.key or None, limit=throttle.limit, period=_go_period(throttle.period), burst=throttle.burst
        )
        if throttle
        else None,
        "singleton": _Settings(singleton.key or None, mode=singleton.mode.upper()) if singleton else None,
    }


def _go_period(period: str) -> str:
    """The one period that is not shown as it was declared."""
    return format_go_duration(parse_duration(period))


def _concurrency(config: FunctionConfig) -> list[_Concurrency]:
    limits = [*config.concurrency.steps, *config.concurrency.runs]
    if not limits:
        return [_Concurrency("ACCOUNT", _Limited(-1, is_plan_limit=True))]
    return [
        _Concurrency(
            _SCOPES.get(limit.scope, "FUNCTION"), _Limited(limit.limit, is_plan_limit=False), limit.key or None
        )
        for limit in limits
    ]


@lru_cache(_CONFIGS)
def _config(stored: bytes) -> FunctionConfig:
    try:
        return load_config(stored)
    except (ValueError, KeyError):
        # A record that stands in for a function that is gone has no configuration.
        return FunctionConfig("", "")
