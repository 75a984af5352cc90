"""Decoding one function of a registration, as lenient and as strict as the reference's decoder.

Keys count in any case, null is absent, unknown keys are ignored; a value of the wrong type fails the whole registration
with Go's text (`protocol/execution.md` §1.4 to §1.6).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar, cast

from holdfast.protocol.durations import SECOND, DurationError, parse_duration, parse_go_duration
from holdfast.protocol.function_config import (
    MAX_RETRIES,
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
from holdfast.protocol.go_json import go_kind
from holdfast.protocol.urls import normalize_url

if TYPE_CHECKING:
    from collections.abc import Callable

IDEMPOTENCY_PERIOD: Final = "24h0m0s"

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**63 - 1
_NOT_SLUG: Final = re.compile(r"[^a-z0-9_]+")

E = TypeVar("E", bound=StrEnum)


class DecodeError(ValueError):
    """A value that can't be decoded; the message is the reference's."""


class Fields:
    """An object of the request: typed access by lower-case key, in Go's terms of types for the errors.

    `struct` is the Go type that holds the fields, `path` the keys that lead to it.
    """

    __slots__ = ("_path", "_struct", "_values")

    def __init__(self, value: object, struct: str, path: str = "") -> None:
        if not isinstance(value, dict):
            raise DecodeError(f"json: cannot unmarshal {go_kind(value)} into Go value of type sdk.{struct}")
        # Later keys win over earlier ones that differ in case only, as they do in Go.
        self._values = {key.lower(): item for key, item in cast("dict[str, object]", value).items()}
        self._struct = struct
        self._path = path

    def get(self, key: str) -> object:
        """Return a value as it is; None if it is absent."""
        return self._values.get(key.lower())

    def has(self, key: str) -> bool:
        """Return whether there is a value other than null."""
        return self.get(key) is not None

    def text(self, key: str) -> str:
        """Return a string, empty if absent."""
        value = self.get(key)
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        raise self._mismatch(key, value, "string")

    def optional_text(self, key: str) -> str | None:
        """Return a string, None if absent."""
        return self.text(key) if self.has(key) else None

    def integer(self, key: str) -> int:
        """Return an integer, 0 if absent."""
        value = self.get(key)
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool) and _INT_MIN <= value <= _INT_MAX:
            return value
        raise self._mismatch(key, value, "int")

    def items(self, key: str, go_type: str) -> list[object]:
        """Return a list, empty if absent."""
        value = self.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            return cast("list[object]", value)
        raise self._mismatch(key, value, go_type)

    def fields(self, key: str, struct: str) -> Fields | None:
        """Return a nested object, None if absent."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return Fields(cast("object", value), struct, self._join(key))
        raise self._mismatch(key, value, f"inngest.{struct}")

    def mapping(self, key: str, struct: str) -> dict[str, Fields]:
        """Return an object of objects by its keys as written, empty if absent."""
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._mismatch(key, value, f"map[string]sdk.{struct}")
        entries = cast("dict[str, object]", value).items()
        return {name: self.nested(item, struct, key) for name, item in entries}

    def nested(self, value: object, struct: str, key: str) -> Fields:
        """Take an element of a list or an object apart; null counts as empty."""
        return Fields({} if value is None else value, struct, self._join(key))

    def _join(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _mismatch(self, key: str, value: object, go_type: str) -> DecodeError:
        kind = go_kind(value)
        if kind == "number" and go_type == "int":
            kind = f"number {value}"
        field = f"{self._struct}.{self._join(key)}"
        return DecodeError(f"json: cannot unmarshal {kind} into Go struct field {field} of type {go_type}")


def decode_function(fields: Fields) -> FunctionConfig:
    """Read one function object. Raises DecodeError with the reference's text."""
    name = fields.text("name")
    return FunctionConfig(
        slug=fields.text("id") or slugify(name),
        name=name,
        triggers=tuple(_trigger(fields.nested(item, "Trigger", "triggers")) for item in _list(fields, "triggers")),
        steps=_steps(fields),
        concurrency=_concurrency(fields),
        throttle=_optional(fields.fields("throttle", "Throttle"), _throttle),
        rate_limit=_rate_limit(fields),
        debounce=_optional(fields.fields("debounce", "Debounce"), _debounce),
        batch=_optional(fields.fields("batchEvents", "EventBatchConfig"), _batch),
        priority=_optional(fields.fields("priority", "Priority"), lambda part: part.text("run")) or "",
        cancel=tuple(_cancel(fields.nested(item, "Cancel", "cancel")) for item in _list(fields, "cancel")),
        timeouts=_optional(fields.fields("timeouts", "Timeouts"), _timeouts),
        singleton=_optional(fields.fields("singleton", "Singleton"), _singleton),
        checkpoint=_optional(fields.fields("checkpoint", "Checkpoint"), _checkpoint),
    )


def slugify(name: str) -> str:
    """Make the slug of a function that was sent without an id."""
    return _NOT_SLUG.sub("-", name.lower()).strip("-")


T = TypeVar("T")


def _optional(fields: Fields | None, read: Callable[[Fields], T]) -> T | None:
    return None if fields is None else read(fields)


def _list(fields: Fields, key: str) -> list[object]:
    return fields.items(key, f"[]inngest.{key.capitalize().removesuffix('s')}")


def _trigger(fields: Fields) -> Trigger:
    jitter = fields.text("jitter")
    expression = fields.text("expression")
    event, cron, catch_up = fields.optional_text("event"), fields.optional_text("cron"), fields.text("catchUp")
    return Trigger(
        # A condition alone still makes it an event trigger, one without a name.
        event="" if event is None and expression else event,
        expression=expression,
        cron="" if cron is None and (jitter or catch_up) else cron,
        jitter=jitter,
        jitter_ns=_duration(jitter) if jitter else 0,
        catch_up=catch_up,
    )


def _steps(fields: Fields) -> tuple[Step, ...]:
    fallback = _retries(fields)
    return tuple(_step(name, part, fallback) for name, part in fields.mapping("steps", "SDKStep").items())


def _step(name: str, fields: Fields, fallback: int | None) -> Step:
    runtime = fields.fields("runtime", "Runtime")
    url = runtime.optional_text("url") if runtime else None
    retries = _retries(fields)
    return Step(
        id=fields.text("id") or name,
        name=fields.text("name"),
        url=None if url is None else normalize_url(url),
        retries=fallback if retries is None else retries,
    )


def _retries(fields: Fields) -> int | None:
    holder, key = fields, "retries"
    if isinstance(fields.get("retries"), dict):
        holder, key = fields.nested(fields.get("retries"), "StepRetries", "retries"), "attempts"
    return min(max(holder.integer(key), 0), MAX_RETRIES) if holder.has(key) else None


def _concurrency(fields: Fields) -> Concurrency:
    value = fields.get("concurrency")
    if value is None:
        return Concurrency()
    if isinstance(value, list):
        return Concurrency(steps=_limits(fields, cast("list[object]", value)), declared=True)
    if not isinstance(value, dict):
        limit = fields.integer("concurrency")
        return Concurrency(steps=(ConcurrencyLimit(limit),), declared=True)
    parts = fields.nested(cast("object", value), "ConcurrencyLimits", "concurrency")
    runs, steps = parts.items("fn", "[]inngest.Concurrency"), parts.items("step", "[]inngest.Concurrency")
    if runs or steps:
        return Concurrency(steps=_limits(fields, steps), runs=_limits(fields, runs), declared=True)
    return Concurrency(steps=(_limit(parts),), declared=True)


def _limits(fields: Fields, items: list[object]) -> tuple[ConcurrencyLimit, ...]:
    limits = [_limit(fields.nested(item, "Concurrency", "concurrency")) for item in items]
    return tuple(sorted(limits, key=lambda limit: limit.limit))


def _limit(fields: Fields) -> ConcurrencyLimit:
    scope = _member(Scope, fields.text("scope"), {"fn": Scope.FUNCTION, **{s.lower(): s for s in Scope}})
    return ConcurrencyLimit(limit=fields.integer("limit"), key=fields.text("key"), scope=scope or Scope.FUNCTION)


def _throttle(fields: Fields) -> Throttle:
    period = fields.text("period")
    try:
        period_ns = parse_duration(period)
    except DurationError as error:
        raise DecodeError(str(error)) from None
    return Throttle(
        limit=max(fields.integer("limit"), 1),
        period=period,
        period_ns=max(period_ns // SECOND, 1) * SECOND,
        burst=max(fields.integer("burst"), 0),
        key=fields.text("key"),
    )


def _rate_limit(fields: Fields) -> RateLimit | None:
    idempotency = fields.text("idempotency")
    if idempotency:
        return RateLimit(1, IDEMPOTENCY_PERIOD, parse_duration(IDEMPOTENCY_PERIOD), idempotency)
    part = fields.fields("rateLimit", "RateLimit")
    if part is None:
        return None
    period = part.text("period")
    return RateLimit(part.integer("limit"), period, _duration(period), part.text("key"))


def _debounce(fields: Fields) -> Debounce:
    period, timeout = fields.text("period"), fields.text("timeout")
    return Debounce(period, _duration(period), fields.text("key"), timeout, _duration(timeout))


def _batch(fields: Fields) -> Batch:
    timeout = fields.text("timeout")
    return Batch(
        max_size=fields.integer("maxSize"),
        timeout=timeout,
        timeout_ns=_duration(timeout, parse_go_duration),
        key=fields.text("key"),
        condition=fields.text("if"),
    )


def _cancel(fields: Fields) -> Cancel:
    return Cancel(fields.text("event"), fields.text("if"), fields.text("timeout"))


def _timeouts(fields: Fields) -> Timeouts:
    start, finish = fields.text("start"), fields.text("finish")
    return Timeouts(start, _duration(start), finish, _duration(finish))


def _singleton(fields: Fields) -> Singleton:
    mode = _member(SingletonMode, fields.text("mode"), {mode.value: mode for mode in SingletonMode})
    return Singleton(mode or SingletonMode.SKIP, fields.text("key"))


def _checkpoint(fields: Fields) -> Checkpoint:
    return Checkpoint(
        batch_steps=fields.integer("batch_steps") if fields.has("batch_steps") else None,
        batch_interval=_text_or_integer(fields, "batch_interval"),
        max_runtime=_text_or_integer(fields, "max_runtime"),
    )


def _text_or_integer(fields: Fields, key: str) -> str | int | None:
    value = fields.get(key)
    if value is None:
        return None
    return fields.text(key) if isinstance(value, str) else fields.integer(key)


def _member(kind: type[E], text: str, names: dict[str, E]) -> E | None:
    if text and text.lower() not in names:
        raise DecodeError(f"{text} does not belong to {_GO_ENUMS[kind]} values")
    return names.get(text.lower())


_GO_ENUMS: Final[dict[type[StrEnum], str]] = {Scope: "ConcurrencyScope", SingletonMode: "SingletonMode"}


def _duration(text: str, parse: Callable[[str], int] = parse_duration) -> int | None:
    try:
        return parse(text)
    except DurationError:
        return None
