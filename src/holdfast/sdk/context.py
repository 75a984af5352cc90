"""What functions get: contexts, and the current step object for code that has none at hand."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Generator
    from logging import Logger

    from holdfast.sdk.events import Event
    from holdfast.sdk.groups import Group, GroupSync
    from holdfast.sdk.step import Step
    from holdfast.sdk.step_sync import StepSync

P = ParamSpec("P")
T = TypeVar("T")


@dataclasses.dataclass
class Context:
    """What an asynchronous function gets.

    `attempt` counts from 0. `events` are all events of a batch, `event` is the first. `logger` is silent while a run
    repeats what it did before. `max_attempts` and the ids of job and request are None where the server sends none.
    """

    attempt: int
    event: Event
    events: list[Event]
    group: Group
    logger: Logger
    run_id: str
    step: Step
    job_id: str | None = None
    request_id: str | None = None
    max_attempts: int | None = None


@dataclasses.dataclass
class ContextSync:
    """What a synchronous function gets: the members of `Context`, with steps that need no await."""

    attempt: int
    event: Event
    events: list[Event]
    group: GroupSync
    logger: Logger
    run_id: str
    step: StepSync
    job_id: str | None = None
    request_id: str | None = None
    max_attempts: int | None = None


FunctionHandlerAsync: TypeAlias = Callable[[Context], Awaitable[T]]
FunctionHandlerSync: TypeAlias = Callable[[ContextSync], T]

_current: contextvars.ContextVar[Step | StepSync] = contextvars.ContextVar("holdfast_step")


def get_step_context() -> Step | StepSync:
    """Return the step object of the function that runs; raise LookupError outside of one."""
    return _current.get()


@contextlib.contextmanager
def set_step_context(step: Step | StepSync) -> Generator[None, None, None]:
    """Make a step object the current one."""
    if _current.get(None) is not None:
        raise RuntimeError("Step context already set")
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)


def step(step_id: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make calls of a function steps while a function runs, and plain calls elsewhere."""

    def decorator(func: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(func)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            current = cast("Any", _current.get(None))
            call = functools.partial(func, *args, **kwargs)
            return call() if current is None else cast("T", current.run(step_id, call))

        return wrapper

    return decorator
