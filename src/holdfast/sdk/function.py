"""Functions: a handler with its options, and one call of it with the middleware around it."""

from __future__ import annotations

import contextvars
import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from holdfast.sdk import errors
from holdfast.sdk.config import registered, registered_on_failure
from holdfast.sdk.context import Context, ContextSync, set_step_context
from holdfast.sdk.execution import CallResult, Execution, Failure, Interrupt, transform
from holdfast.sdk.logs import RunLogger
from holdfast.sdk.middleware import drive
from holdfast.sdk.serializers import UNTYPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.config import FunctionOptions, Trigger
    from holdfast.sdk.middleware import MiddlewareManager, UninitializedMiddleware
    from holdfast.sdk.timings import ServerTimings

T = TypeVar("T")


@dataclasses.dataclass
class FunctionConfig:
    """What is registered of a function: itself, and the one that is started when it failed."""

    main: dict[str, object]
    on_failure: dict[str, object] | None


class Function(Generic[T]):
    """A durable function. Calling it calls the handler, so that it can be tested like any other code."""

    def __init__(
        self,
        options: FunctionOptions,
        triggers: list[Trigger],
        handler: Callable[..., Any],
        on_failure: Callable[..., Any] | None = None,
        output_type: object = UNTYPED,
        middleware: list[UninitializedMiddleware] | None = None,
    ) -> None:
        self._options = options
        self._triggers = triggers
        self._handler = handler
        self._on_failure = on_failure
        self._output_type = output_type
        self._middleware = list(middleware or [])
        self.is_handler_async = inspect.iscoroutinefunction(handler)
        self.is_on_failure_handler_async = None if on_failure is None else inspect.iscoroutinefunction(on_failure)
        self.on_failure_fn_id = None if on_failure is None else f"{self.id}-failure"
        self.__name__ = getattr(handler, "__name__", options.local_id)
        self.__doc__ = getattr(handler, "__doc__", None)
        self.__wrapped__ = handler
        self._check_colours()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler."""
        return self._handler(*args, **kwargs)

    @property
    def original(self) -> Callable[..., Any]:
        """The handler."""
        return self._handler

    @property
    def id(self) -> str:
        """The id on the wire: `<app id>-<function id>`."""
        return self._options.fully_qualified_id

    @property
    def local_id(self) -> str:
        """The id within the app."""
        return self._options.local_id

    @property
    def name(self) -> str:
        """The name that people see."""
        return self._options.name

    def get_id(self) -> str:
        """Return the id on the wire."""
        return self.id

    def get_config(self, app_url: str) -> FunctionConfig:
        """Return what is registered of the function under an app's URL."""
        main = registered(self._options, self._triggers, app_url)
        if self.on_failure_fn_id is None:
            return FunctionConfig(main, None)
        return FunctionConfig(main, registered_on_failure(self._options, self.on_failure_fn_id, app_url))

    def output_type_of(self, client: Inngest) -> Any:
        """Return the type of what the function returns: the one that was given, else its annotation."""
        return client.type_of(self._handler, self._output_type)

    async def call(
        self, client: Inngest, ctx: Context, fn_id: str, middleware: MiddlewareManager, timings: ServerTimings
    ) -> CallResult:
        """Run the function, or its on-failure handler, up to what ends this call."""
        execution = ctx.step._execution  # noqa: SLF001 - a part of it
        handler = self._find(fn_id)

        async def body() -> object:
            async with timings.function:
                with set_step_context(ctx.step):
                    return client.serialize(await handler(ctx), self._type_for(client, handler))

        return await self._around(ctx, middleware, execution, timings, body)

    def call_sync(
        self, client: Inngest, ctx: ContextSync, fn_id: str, middleware: MiddlewareManager, timings: ServerTimings
    ) -> CallResult:
        """Run a synchronous function, or its on-failure handler, up to what ends this call."""
        execution = ctx.step._execution  # noqa: SLF001 - a part of it
        handler = self._find(fn_id)

        async def body() -> object:
            async with timings.function:
                with set_step_context(ctx.step):
                    return client.serialize(handler(ctx), self._type_for(client, handler))

        return drive(self._around(ctx, middleware, execution, timings, body, sync=True))

    async def _around(
        self,
        ctx: Context | ContextSync,
        middleware: MiddlewareManager,
        execution: Execution,
        timings: ServerTimings,
        body: Callable[[], Any],
        *,
        sync: bool = False,
    ) -> CallResult:
        """Run the hooks of one request in their order, with the function's body in the middle."""
        from holdfast.sdk.defers import Defers, attach  # noqa: PLC0415 - deferred functions are functions

        for make in self._middleware:
            middleware.add(make)
        logger = RunLogger(ctx.logger)
        ctx.logger = cast("Any", logger)
        middleware.when_live(lambda: setattr(logger, "live", True))
        defers = ctx.defers = Defers(execution, logger, ctx.sessions)
        if execution.checkpointer is not None:
            execution.checkpointer.beside = defers.take
        try:
            with timings.mw_transform_input:
                await middleware.transform_input(ctx, self, execution.memos)
            if execution.memos.size == 0:
                await middleware.before_execution()
            call = middleware.wrap("wrap_function", ctx, body)
            result = execution.run_sync(lambda: drive(cast("Any", call()))) if sync else await execution.run(call)
            if result.error is None or result.step is not None:
                await middleware.after_execution()
            with timings.mw_transform_output:
                await transform(middleware, result)
            if defers.pending:
                result = attach(defers, result)
            await middleware.before_response()
        except (Interrupt, Failure) as error:
            return CallResult(getattr(error, "error", None) or errors.Error("a hook took a step"))
        except Exception as error:  # noqa: BLE001 - a hook that fails ends the run
            return CallResult(error)
        return result

    def _find(self, fn_id: str) -> Callable[..., Any]:
        if fn_id == self.id:
            return self._handler
        if fn_id == self.on_failure_fn_id and self._on_failure is not None:
            return self._on_failure
        raise errors.FunctionNotFoundError(f"function {fn_id} not found")

    def _type_for(self, client: Inngest, handler: Callable[..., Any]) -> Any:
        return self.output_type_of(client) if handler is self._handler else object

    def _check_colours(self) -> None:
        if self._on_failure is None or self.is_handler_async == self.is_on_failure_handler_async:
            return
        mine, other = ("an async", "a non-async") if self.is_handler_async else ("a non-async", "an async")
        raise errors.Error(f"{mine} function cannot have {other} on_failure handler (function {self.local_id})")


def in_context(call: Callable[[], T]) -> Callable[[], T]:
    """Return a call that runs in a copy of this context, for another thread."""
    context = contextvars.copy_context()
    return lambda: context.run(call)
