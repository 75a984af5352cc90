"""What functions get: contexts, and the current step object for code that has none at hand."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from logging import Logger

    from holdfast.sdk.defers import DeferHandle, DeferredFunction, DeferredParent, Defers
    from holdfast.sdk.events import Event
    from holdfast.sdk.groups import Group, GroupSync
    from holdfast.sdk.scores import ExperimentRef
    from holdfast.sdk.sessions import EventMeta
    from holdfast.sdk.step import Step
    from holdfast.sdk.step_sync import StepSync

P = ParamSpec("P")
T = TypeVar("T")


@dataclasses.dataclass
class Context:
    """What an asynchronous function gets.

    `attempt` counts from 0. `events` are all events of a batch, `event` is the first. `logger` is silent while a run
    repeats what it did before. `max_attempts` and the ids of job and request are None where the server sends none.
    `sessions` are those that the run belongs to, and what it sends will; they may be changed. `parents` are the runs
    that asked for a deferred one.
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
    sessions: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    parents: list[DeferredParent] = dataclasses.field(default_factory=list["DeferredParent"])
    defers: Defers | None = dataclasses.field(default=None, repr=False)

    def defer(
        self,
        defer_id: str,
        *,
        function: DeferredFunction[Any],
        data: Mapping[str, object] | None = None,
        meta: EventMeta | None = None,
        experiment: ExperimentRef | None = None,
    ) -> DeferHandle:
        """Run a deferred function with `data` once this run has ended, however it ends; see `Client.create_defer`."""
        return _defers(self).add(defer_id, function, data, meta, experiment)


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
    sessions: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    parents: list[DeferredParent] = dataclasses.field(default_factory=list["DeferredParent"])
    defers: Defers | None = dataclasses.field(default=None, repr=False)

    def defer(
        self,
        defer_id: str,
        *,
        function: DeferredFunction[Any],
        data: Mapping[str, object] | None = None,
        meta: EventMeta | None = None,
        experiment: ExperimentRef | None = None,
    ) -> DeferHandle:
        """Run a deferred function with `data` once this run has ended, however it ends; see `Client.create_defer`."""
        return _defers(self).add(defer_id, function, data, meta, experiment)


def _defers(ctx: Context | ContextSync) -> Defers:
    if ctx.defers is None:
        raise RuntimeError("defer is for functions that a server calls")
    return ctx.defers


FunctionHandlerAsync: TypeAlias = Callable[[Context], Awaitable[T]]
FunctionHandlerSync: TypeAlias = Callable[[ContextSync], T]

_current: contextvars.ContextVar[Step | StepSync] = contextvars.ContextVar("holdfast_step")


def get_step_context() -> Step | StepSync:
    """Return the step object of the function that runs; raise LookupError outside of one."""
    return _current.get()


def current_sessions() -> dict[str, str] | None:
    """Return the sessions of the run that this code belongs to; None outside of one."""
    current = _current.get(None)
    execution = getattr(current, "_execution", None)
    return getattr(execution, "sessions", None)


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
