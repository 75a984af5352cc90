"""A function's options, and the JSON in which they are registered."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args, get_origin, get_type_hints
from urllib.parse import urlencode

import msgspec

from holdfast.protocol.limits import MAX_RETRIES
from holdfast.sdk.consts import ROOT_STEP_ID
from holdfast.sdk.errors import FunctionConfigInvalidError
from holdfast.sdk.timing import Duration, to_duration_str

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS: Final = {"int": "a valid integer", "str": "a valid string", "bool": "a valid boolean"}
_hints: Final[dict[type, dict[str, Any]]] = {}


class Config(msgspec.Struct, kw_only=True):
    """What all options have in common: values are checked when they are made, and written for the wire."""

    def __post_init__(self) -> None:
        for field, hint in _hints_of(type(self)).items():
            check_field(field, getattr(self, field), hint)

    def to_dict(self) -> dict[str, object]:
        """Return the option as it is registered, unset members as None."""
        return {_wire_name(field): _on_wire(field, getattr(self, field)) for field in self.__struct_fields__}


class Batch(Config):
    """Collect events into one run: at most `max_size`, or what came within `timeout`."""

    max_size: int
    timeout: Duration | None = None
    key: str | None = None
    if_exp: str | None = None


class Cancel(Config):
    """Cancel a run when an event comes that matches `if_exp`, up to `timeout` after the run's start."""

    event: str
    if_exp: str | None = None
    timeout: Duration | None = None


class Concurrency(Config, kw_only=False):
    """Run at most `limit` steps at the same time, for each value of `key`, within `scope`."""

    limit: int
    key: str | None = None
    scope: Literal["account", "env", "fn"] | None = None


class Debounce(Config):
    """Start a run once no event has come for `period`, at the latest after `timeout`."""

    period: Duration
    key: str | None = None
    timeout: Duration | None = None


class Priority(Config):
    """Order waiting runs: `run` is an expression of seconds by which a run is put ahead."""

    run: str


class RateLimit(Config):
    """Start at most `limit` runs in each `period`; other events start none."""

    limit: int
    period: Duration
    key: str | None = None


class Singleton(Config):
    """Have one run at a time: a new event is skipped, or cancels the run that goes on."""

    mode: Literal["skip", "cancel"]
    key: str | None = None


class Throttle(Config):
    """Start at most `limit` runs in each `period`, and `burst` at once; others wait."""

    limit: int
    period: Duration
    key: str | None = None
    burst: int | None = 1


class Timeouts(Config):
    """Cancel a run that has not started, or not finished, in time."""

    start: Duration | None = None
    finish: Duration | None = None


class TriggerEvent(Config):
    """Start a run for each event of a name (`order/*` is a pattern) that matches the expression."""

    event: str
    expression: str | None = None


class TriggerCron(Config):
    """Start a run by a schedule of five fields, `TZ=Europe/Paris ` in front; `jitter` such as `30s` spreads starts."""

    cron: str
    jitter: str | None = None


Trigger = TriggerEvent | TriggerCron


class FunctionOptions(Config):
    """All options of a function; ids are with and without the app's."""

    fully_qualified_id: str
    local_id: str
    name: str
    batch_events: Batch | None = None
    cancel: list[Cancel] | None = None
    concurrency: list[Concurrency] | None = None
    debounce: Debounce | None = None
    idempotency: str | None = None
    priority: Priority | None = None
    rate_limit: RateLimit | None = None
    retries: int | None = None
    singleton: Singleton | None = None
    throttle: Throttle | None = None
    timeouts: Timeouts | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.retries is not None and not 0 <= self.retries <= MAX_RETRIES:
            bound = "greater than or equal to 0" if self.retries < 0 else f"less than or equal to {MAX_RETRIES}"
            raise FunctionConfigInvalidError(f"retries: Input should be {bound}")


_FLOW: Final = (
    "batch_events", "cancel", "concurrency", "debounce", "idempotency", "priority", "rate_limit", "singleton",
    "throttle", "timeouts",
)  # fmt: skip


def registered(options: FunctionOptions, triggers: list[Trigger], app_url: str) -> dict[str, object]:
    """Return a function as it is registered under an app's URL."""
    flow = {_wire_name(field): plain(getattr(options, field)) for field in _FLOW}
    step = _step(app_url, options.fully_qualified_id, options.retries)
    head = {"id": options.fully_qualified_id, "name": options.name, "triggers": plain(triggers), "steps": step}
    found: dict[str, object] = strip_none({**head, **flow})
    return found


def registered_on_failure(options: FunctionOptions, fn_id: str, app_url: str) -> dict[str, object]:
    """Return the function that is started when another one failed."""
    expression = f"event.data.function_id == '{options.fully_qualified_id}'"
    return {
        "id": fn_id,
        "name": f"{options.name} (failure)",
        "triggers": [{"event": "inngest/function.failed", "expression": expression}],
        "steps": strip_none(_step(app_url, fn_id, 0)),
        "cancel": [],
        "concurrency": [],
    }


def _step(app_url: str, fn_id: str, retries: int | None) -> dict[str, object]:
    url = f"{app_url}?{urlencode({'fnId': fn_id, 'stepId': ROOT_STEP_ID})}"
    return {
        ROOT_STEP_ID: {
            "id": ROOT_STEP_ID,
            "name": ROOT_STEP_ID,
            "retries": None if retries is None else {"attempts": retries},
            "runtime": {"type": "ws" if url.startswith(("ws://", "wss://")) else "http", "url": url},
        }
    }


def strip_none(value: Any) -> Any:
    """Leave out members and items that are None, at every depth."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: strip_none(item) for key, item in members.items() if item is not None}
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [strip_none(item) for item in items if item is not None]
    return value


def check_field(field: str, value: object, hint: Any) -> None:
    """Raise FunctionConfigInvalidError, `<field>: <what it should be>`, unless a value is of an annotation's type."""
    if not _fits(value, hint):
        raise FunctionConfigInvalidError(f"{field}: {_expected(hint)}")


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in cast("list[object]", value))
    if origin is dict:
        return isinstance(value, dict)
    if origin is not None:
        return any(_fits(value, each) for each in get_args(hint))
    if isinstance(value, bool) and hint is not bool:
        return False
    return isinstance(value, hint)


def _expected(hint: Any) -> str:
    options = [each for each in get_args(hint) if each is not type(None)] if get_origin(hint) is not Literal else []
    first = options[0] if options and get_origin(hint) is not list else hint
    if get_origin(first) is Literal:
        values = [repr(value) for value in get_args(first)]
        return f"Input should be {', '.join(values[:-1])} or {values[-1]}"
    if get_origin(first) is list:
        return f"Input should be a valid list of {get_args(first)[0].__name__}"
    return f"Input should be {_WORDS.get(first.__name__, f'an instance of {first.__name__}')}"


def _hints_of(cls: type) -> dict[str, Any]:
    found = _hints.get(cls)
    if found is None:
        found = _hints[cls] = get_type_hints(cls)
    return found


def _wire_name(field: str) -> str:
    return "if" if field == "if_exp" else re.sub(r"_(\w)", lambda match: match[1].upper(), field)


def _on_wire(field: str, value: object) -> object:
    if value is not None and (field in {"timeout", "period", "start", "finish"} or isinstance(value, dt.timedelta)):
        return to_duration_str(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return value


def plain(value: object) -> object:
    """Return options as they are registered, at every depth."""
    if isinstance(value, Config):
        return {name: plain(item) for name, item in value.to_dict().items()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in cast("dict[str, object]", value).items()}
    return [plain(item) for item in cast("list[object]", value)] if isinstance(value, list) else value


def function_ids(configs: list[Mapping[str, object]]) -> list[str]:
    """Return the ids of registered functions, in their order."""
    return [str(config["id"]) for config in configs]
