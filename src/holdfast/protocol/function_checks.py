"""What makes a function invalid: the rules of a sync with the reference's texts (`protocol/execution.md` §1.5)."""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from holdfast.protocol.cron import CronError, Schedule
from holdfast.protocol.durations import (
    DAY,
    MINUTE,
    SECOND,
    DurationError,
    format_go_duration,
    parse_duration,
    parse_go_duration,
    parse_timeout,
)
from holdfast.protocol.function_config import Scope
from holdfast.protocol.limits import MAX_TRIGGER_NAME
from holdfast.protocol.urls import split_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast.protocol.function_config import (
        Batch,
        Cancel,
        Concurrency,
        ConcurrencyLimit,
        Debounce,
        FunctionConfig,
        RateLimit,
        Step,
        Trigger,
    )

    CheckExpression = Callable[[str, "ExpressionUse"], str | None]

MAX_TRIGGERS: Final = 10
MAX_CANCELS: Final = 5
MAX_STEP_LIMITS: Final = 2
MAX_CRON: Final = 255
MIN_JITTER: Final = SECOND
MAX_JITTER: Final = 5 * MINUTE
MIN_DEBOUNCE: Final = SECOND
MAX_DEBOUNCE: Final = 7 * DAY
MAX_RATE_LIMIT_PERIOD: Final = DAY
MIN_BATCH_SIZE: Final = 2
MIN_BATCH_TIMEOUT: Final = SECOND
CATCH_UP: Final = ("none", "latest", "all")
_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})


class ExpressionUse(Enum):
    """What an expression is for, which decides what it may contain (`protocol/flow-control.md` §3.5)."""

    TRIGGER = auto()
    RATE_LIMIT_KEY = auto()
    DEBOUNCE_KEY = auto()
    BATCH_KEY = auto()
    BATCH_IF = auto()
    CONCURRENCY_KEY = auto()
    PRIORITY = auto()
    CANCEL_IF = auto()


def check_function(fn: FunctionConfig, check_expression: CheckExpression) -> list[str]:
    """List everything that is wrong with a function.

    `check_expression` answers what is wrong with an expression (`error compiling expression: …`), or None.
    """
    checks = [
        _check_identity(fn),
        _check_triggers(fn.triggers, check_expression),
        _check_cancels(fn.cancel, check_expression),
        _check_combinations(fn),
        _check_concurrency(fn.concurrency, check_expression),
        _check_batch(fn.batch, check_expression) if fn.batch else (),
        _check_debounce(fn.debounce, check_expression) if fn.debounce else (),
        _check_rate_limit(fn.rate_limit, check_expression) if fn.rate_limit else (),
        _check_priority(fn, check_expression),
    ]
    return [problem for problems in checks for problem in problems]


def format_errors(errors: list[str]) -> str:
    """Write problems into the one line that an app's error shows: `2 errors occurred: * first * second`."""
    return f"{len(errors)} errors occurred:" + "".join(f" * {error}" for error in errors)


def _check_identity(fn: FunctionConfig) -> Iterator[str]:
    if not fn.name:
        yield "A function name is required"
    if len(fn.steps) != 1:
        yield "Functions must contain one step"
        return
    yield from _check_step(fn.steps[0], fn.name)


def _check_step(step: Step, function_name: str) -> Iterator[str]:
    if not step.name:
        yield "All steps must have a name"
    if step.url is None:
        yield f"No SDK URL provided for function '{function_name}'"
        return
    parts = split_url(step.url)
    if parts is None:
        yield "Steps must have a valid URI"
    elif parts.scheme not in _SCHEMES:
        yield f"Non-supported step schema: {parts.scheme}"


def _check_triggers(triggers: tuple[Trigger, ...], check: CheckExpression) -> Iterator[str]:
    if len(triggers) > MAX_TRIGGERS:
        yield f"This function exceeds the max number of triggers: {MAX_TRIGGERS}"
    for trigger in triggers:
        yield from _check_trigger(trigger, check)
    yield from _check_duplicates(triggers)


def _check_trigger(trigger: Trigger, check: CheckExpression) -> Iterator[str]:
    if trigger.event is None and trigger.cron is None:
        yield "A trigger must supply an event name or a cron schedule"
    elif trigger.event is not None and trigger.cron is not None:
        yield "A trigger cannot have both an event and a cron trigger"
    elif trigger.cron is not None:
        yield from _check_cron(trigger.cron, trigger)
    elif not trigger.event:
        yield "An event trigger must specify an event name"
    elif len(trigger.event) > MAX_TRIGGER_NAME:
        yield f"An event name must be at most {MAX_TRIGGER_NAME} characters long"
    elif trigger.expression and (error := check(trigger.expression, ExpressionUse.TRIGGER)):
        yield f"invalid trigger expression on '{trigger.event}': {error}"


def _check_cron(cron: str, trigger: Trigger) -> Iterator[str]:
    if len(cron) > MAX_CRON:
        yield f"A cron schedule must be at most {MAX_CRON} characters long"
        return
    try:
        Schedule.parse(cron)
    except CronError as error:
        yield str(error)
    jitter = trigger.jitter_ns
    if jitter is None:
        yield f"'{trigger.jitter}' isn't a valid jitter duration"
    elif jitter > MAX_JITTER:
        yield f"cron jitter must be less than or equal to {format_go_duration(MAX_JITTER)}"
    elif jitter and jitter < MIN_JITTER:
        yield f"cron jitter must be greater than or equal to {format_go_duration(MIN_JITTER)}"
    if trigger.catch_up and trigger.catch_up not in CATCH_UP:
        yield f"'{trigger.catch_up}' isn't a valid cron catch-up policy: it is one of {', '.join(CATCH_UP)}"


def _check_duplicates(triggers: tuple[Trigger, ...]) -> Iterator[str]:
    for trigger, count in Counter(triggers).items():
        if count > 1 and trigger.event:
            yield f"duplicate trigger event: {trigger.event}"
        elif count > 1 and trigger.cron:
            yield f"duplicate trigger cron: {trigger.cron}"
    for cron, count in Counter(trigger.cron for trigger in dict.fromkeys(triggers) if trigger.cron).items():
        if count > 1:
            yield f"duplicate cron expression: {cron}"


def _check_cancels(cancels: tuple[Cancel, ...], check: CheckExpression) -> Iterator[str]:
    if len(cancels) > MAX_CANCELS:
        yield f"This function exceeds the max number of cancellation events: {MAX_CANCELS}"
    for cancel in cancels:
        if cancel.condition and (error := check(cancel.condition, ExpressionUse.CANCEL_IF)):
            yield f"Cancellation expression is invalid: {error}"
        if cancel.timeout and (error := _error(lambda text: parse_timeout(text, 0), cancel.timeout)):
            yield f"Cancellation timeout is invalid: {error}"


def _check_combinations(fn: FunctionConfig) -> Iterator[str]:
    if fn.batch is None:
        return
    if fn.cancel:
        yield "Batching and cancellation are mutually exclusive"
    if fn.debounce:
        yield "Batching and debouncing are mutually exclusive"
    if fn.singleton:
        yield "Batching and singletons are mutually exclusive"
    if fn.priority:
        yield "A function cannot specify Priority.Run and Batch together"


def _check_concurrency(concurrency: Concurrency, check: CheckExpression) -> Iterator[str]:
    if len(concurrency.steps) > MAX_STEP_LIMITS:
        yield f"There are more concurrency limits specified than the allowed max of: {MAX_STEP_LIMITS}"
    if len(concurrency.runs) > 1:
        yield "Only one function concurrency limit is allowed"
    for limit in (*concurrency.steps, *concurrency.runs):
        yield from _check_limit(limit, check)


def _check_limit(limit: ConcurrencyLimit, check: CheckExpression) -> Iterator[str]:
    if limit.scope is Scope.APP:
        yield "App scoped concurrency limits can't be set by functions"
    elif limit.scope is not Scope.FUNCTION and not limit.key:
        yield f"A concurrency key must be specified for {limit.scope} scoped limits"
    if limit.key and (error := check(limit.key, ExpressionUse.CONCURRENCY_KEY)):
        yield f"Invalid concurrency key '{limit.key}': {error}"


def _check_batch(batch: Batch, check: CheckExpression) -> Iterator[str]:
    if batch.max_size < MIN_BATCH_SIZE:
        yield f"batch size cannot be smaller than {MIN_BATCH_SIZE}: {batch.max_size}"
    if batch.timeout_ns is None:
        yield f"failed to parse time duration: {_error(parse_go_duration, batch.timeout)}"
    elif batch.timeout_ns < MIN_BATCH_TIMEOUT:
        yield f"batch timeout should be more than {format_go_duration(MIN_BATCH_TIMEOUT)}"
    if batch.key and (error := check(batch.key, ExpressionUse.BATCH_KEY)):
        yield f"batch key expression is invalid: {error}"
    if batch.condition and (error := check(batch.condition, ExpressionUse.BATCH_IF)):
        yield f"batch if expression is invalid: {error}"


def _check_debounce(debounce: Debounce, check: CheckExpression) -> Iterator[str]:
    period = debounce.period_ns
    if period is None:
        yield f"The debounce period of '{debounce.period}' is invalid: {_error(parse_duration, debounce.period)}"
    elif period < MIN_DEBOUNCE:
        yield f"The debounce period of '{debounce.period}' is less than the min of: {format_go_duration(MIN_DEBOUNCE)}"
    elif period > MAX_DEBOUNCE:
        limit = format_go_duration(MAX_DEBOUNCE)
        yield f"The debounce period of '{debounce.period}' is greater than the max of: {limit}"
    if debounce.key and (error := check(debounce.key, ExpressionUse.DEBOUNCE_KEY)):
        yield f"Invalid debounce key '{debounce.key}': {error}"


def _check_rate_limit(limit: RateLimit, check: CheckExpression) -> Iterator[str]:
    if limit.limit <= 0:
        yield "limit must be greater than 0"
    if not limit.period:
        yield "period must be specified"
    elif limit.period_ns is None:
        yield str(_error(parse_duration, limit.period))
    elif limit.period_ns > MAX_RATE_LIMIT_PERIOD:
        yield f"period must be less than {format_go_duration(MAX_RATE_LIMIT_PERIOD)}"
    if limit.key and (error := check(limit.key, ExpressionUse.RATE_LIMIT_KEY)):
        yield f"Invalid rate limit key '{limit.key}': {error}"


def _check_priority(fn: FunctionConfig, check: CheckExpression) -> Iterator[str]:
    if fn.priority and (error := check(fn.priority, ExpressionUse.PRIORITY)):
        yield f"Priority.Run expression is invalid: {error}"


def _error(parse: Callable[[str], int], text: str) -> str | None:
    try:
        parse(text)
    except DurationError as error:
        return str(error)
    return None
