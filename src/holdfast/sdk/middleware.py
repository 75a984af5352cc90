"""Middleware: the seven hooks, the wrappers around requests, functions, steps and sends, and what runs them."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from holdfast.sdk.errors import AsyncUnsupportedError
from holdfast.sdk.memos import UNSET, StepMemos

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Opcode
    from holdfast.sdk.context import Context, ContextSync
    from holdfast.sdk.events import Event
    from holdfast.sdk.function import Function
    from holdfast.sdk.sending import SendEventsResult

T = TypeVar("T")
#: Goes on with what a middleware wraps, and returns its result.
Next: TypeAlias = Callable[[], Awaitable[Any]]


@dataclasses.dataclass
class TransformOutputStepInfo:
    """The step that an output belongs to: the user's id, what kind of step it is, and its options."""

    id: str
    op: Opcode
    opts: dict[str, Any] | None


@dataclasses.dataclass
class TransformOutputResult:
    """What a function or a step gave. `error` and `output` may be replaced."""

    error: Exception | None
    output: object
    step: TransformOutputStepInfo | None

    def has_output(self) -> bool:
        """Whether there is an output, None included."""
        return self.output is not UNSET


@dataclasses.dataclass
class StepCall:
    """A step as `wrap_step` sees it: the user's id, its kind, its options, and whether its result is memoised."""

    id: str
    hashed_id: str
    op: Opcode
    opts: dict[str, Any] | None
    memoized: bool


class _Base:
    def __init__(self, client: Inngest, raw_request: object) -> None:
        self.client = client
        self.raw_request = raw_request

    async def wrap_function(self, ctx: Context | ContextSync, call_next: Next) -> object:  # noqa: ARG002 - for overrides
        """Wrap a call of a function's body; what `call_next` raises may be an interrupt, so use `finally`."""
        return await call_next()

    async def wrap_step(self, step: StepCall, call_next: Next) -> object:  # noqa: ARG002 - for overrides
        """Wrap a step, also one that is memoised: `call_next` returns its result, or raises its error."""
        return await call_next()

    async def wrap_send(self, events: list[Event], call_next: Next) -> SendEventsResult:  # noqa: ARG002 - for overrides
        """Wrap the sending of events."""
        result: SendEventsResult = await call_next()
        return result


class Middleware(_Base):
    """Hooks that may await. A middleware is made anew for each request, by `factory(client, raw_request)`."""

    async def after_execution(self) -> None:
        """Run after new code ran."""

    async def after_send_events(self, result: SendEventsResult) -> None:
        """Run after events were sent, or refused."""

    async def before_execution(self) -> None:
        """Run before new code runs, that is after the last memoised step."""

    async def before_response(self) -> None:
        """Run when the answer is ready."""

    async def before_send_events(self, events: list[Event]) -> None:
        """Run before events are sent; they may be changed."""

    async def transform_input(self, ctx: Context | ContextSync, function: Function[Any], steps: StepMemos) -> None:
        """Change what the function sees: its context and its memoised steps."""

    async def transform_output(self, result: TransformOutputResult) -> None:
        """Change what a function or a step gave."""


class MiddlewareSync(_Base):
    """Hooks that do not await; they run in synchronous and asynchronous functions alike."""

    def after_execution(self) -> None:
        """Run after new code ran."""

    def after_send_events(self, result: SendEventsResult) -> None:
        """Run after events were sent, or refused."""

    def before_execution(self) -> None:
        """Run before new code runs, that is after the last memoised step."""

    def before_response(self) -> None:
        """Run when the answer is ready."""

    def before_send_events(self, events: list[Event]) -> None:
        """Run before events are sent; they may be changed."""

    def transform_input(self, ctx: Context | ContextSync, function: Function[Any], steps: StepMemos) -> None:
        """Change what the function sees: its context and its memoised steps."""

    def transform_output(self, result: TransformOutputResult) -> None:
        """Change what a function or a step gave."""


UninitializedMiddleware: TypeAlias = Callable[["Inngest", object], Middleware | MiddlewareSync]
_IN_SYNC: Final = "encountered async middleware in non-async context"


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits; raise AsyncUnsupportedError if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    coroutine.close()
    raise AsyncUnsupportedError(_IN_SYNC)


class MiddlewareManager:
    """The middleware of one request, in the order in which it was added."""

    def __init__(self, client: Inngest, raw_request: object, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.client = client
        self.live = False
        #: Set while a synchronous function runs in a thread beside an event loop: awaitables of hooks run there.
        self.loop = loop
        self._raw_request = raw_request
        self._middleware: list[Middleware | MiddlewareSync] = [make(client, raw_request) for make in client.middleware]
        self._on_live: list[Callable[[], None]] = []

    @property
    def middleware(self) -> list[Middleware | MiddlewareSync]:
        """A copy of the list."""
        return [*self._middleware]

    def add(self, middleware: UninitializedMiddleware) -> None:
        """Make a middleware and put it after the others."""
        self._middleware.append(middleware(self.client, self._raw_request))

    def when_live(self, callback: Callable[[], None]) -> None:
        """Register what happens with the first new code, before the hooks."""
        self._on_live.append(callback)

    async def after_execution(self) -> None:
        """Run the hook from last to first."""
        await self._call("after_execution", backwards=True)

    async def after_send_events(self, result: SendEventsResult) -> None:
        """Run the hook from last to first."""
        await self._call("after_send_events", result, backwards=True)

    async def before_execution(self) -> None:
        """Run the hook from first to last, once for each request."""
        if self.live:
            return
        self.live = True
        for callback in self._on_live:
            callback()
        await self._call("before_execution")

    async def before_response(self) -> None:
        """Run the hook from first to last."""
        await self._call("before_response")

    async def before_send_events(self, events: list[Event]) -> None:
        """Run the hook from first to last."""
        await self._call("before_send_events", events)

    async def transform_input(self, ctx: Any, function: Function[Any], steps: StepMemos) -> None:
        """Run the hook from first to last."""
        await self._call("transform_input", ctx, function, steps)

    async def transform_output(self, result: TransformOutputResult) -> None:
        """Run the hook from last to first."""
        await self._call("transform_output", result, backwards=True)

    def wrap(self, hook: str, subject: object, call_next: Next) -> Next:
        """Put the wrappers of this name around a call, the first middleware outermost."""
        for each in reversed(self._middleware):
            if getattr(type(each), hook, None) is not getattr(_Base, hook):
                call_next = _wrapped(getattr(each, hook), subject, call_next)
        return call_next

    def wraps(self, hook: str) -> bool:
        """Whether anything wraps calls of this kind."""
        base = getattr(_Base, hook)
        return any(getattr(type(each), hook, base) is not base for each in self._middleware)

    async def _call(self, hook: str, *args: object, backwards: bool = False) -> None:
        for each in reversed(self._middleware) if backwards else self._middleware:
            found = getattr(each, hook)(*args)
            if inspect.isawaitable(found):
                await self._settled(found)

    async def _settled(self, awaitable: Awaitable[Any]) -> None:
        if self.loop is None:
            await awaitable
        else:
            asyncio.run_coroutine_threadsafe(_awaiting(awaitable), self.loop).result()


async def _awaiting(awaitable: Awaitable[Any]) -> None:
    await awaitable


def _wrapped(hook: Callable[..., Awaitable[Any]], subject: object, call_next: Next) -> Next:
    return lambda: hook(subject, call_next)
