"""Clients: an app's name, keys and servers; they create functions, and send events and signals."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, Unpack, cast, overload
from urllib.parse import quote, urljoin

import msgspec

from holdfast.sdk import defers, scores, sending, typed
from holdfast.sdk import env as environment
from holdfast.sdk.checkpoints import Checkpointing
from holdfast.sdk.config import FunctionOptions, TriggerEvent
from holdfast.sdk.consts import OFFICIAL, OWN, EnvKey, ServerKind
from holdfast.sdk.errors import FunctionConfigInvalidError, RequestFailedError
from holdfast.sdk.function import Function
from holdfast.sdk.logs import log
from holdfast.sdk.middleware import MiddlewareManager, drive
from holdfast.sdk.serializers import UNTYPED, Serializer, TypedSerializer
from holdfast.sdk.timing import to_milliseconds
from holdfast.sdk.transport import Transport, headers_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from holdfast.sdk.config import (
        Batch,
        Cancel,
        Concurrency,
        Debounce,
        Priority,
        RateLimit,
        Singleton,
        Throttle,
        Timeouts,
        Trigger,
        TriggerCron,
    )
    from holdfast.sdk.context import Context, ContextSync
    from holdfast.sdk.events import Event
    from holdfast.sdk.middleware import UninitializedMiddleware
    from holdfast.sdk.scores import ExperimentRef
    from holdfast.sdk.timing import Duration

T = TypeVar("T")
_DEFAULT_TIMEOUT_S = 30.0


class _Decorator(Protocol):
    """Makes functions of handlers, asynchronous or not."""

    @overload
    def __call__(self, handler: Callable[[Context], Coroutine[Any, Any, T]], /) -> Function[T]: ...
    @overload
    def __call__(self, handler: Callable[[ContextSync], T], /) -> Function[T]: ...


class _DeferDecorator(Protocol):
    """Makes deferred functions of handlers, asynchronous or not."""

    @overload
    def __call__(self, handler: Callable[[Context], Coroutine[Any, Any, T]], /) -> defers.DeferredFunction[T]: ...
    @overload
    def __call__(self, handler: Callable[[ContextSync], T], /) -> defers.DeferredFunction[T]: ...


class DeferOptions(TypedDict, total=False):
    """Options of a deferred function."""

    cancel: list[Cancel]
    concurrency: list[Concurrency]
    debounce: Debounce
    idempotency: str
    middleware: list[UninitializedMiddleware]
    name: str
    output_type: object
    priority: Priority
    rate_limit: RateLimit
    retries: int
    singleton: Singleton
    throttle: Throttle
    timeouts: Timeouts


class Inngest:
    """A client with the names, defaults and behaviour of the official SDK: change the import, and nothing else.

    Args:
        app_id: Identifies the app; it is the first part of each function's id.
        app_version: A version of your own, shown with the app.
        api_base_url: The server's REST API.
        event_api_base_url: The server's event API.
        env: A branch environment.
        event_key: Needed to send events in cloud mode.
        is_production: Cloud mode (True) or dev mode (False); else `INNGEST_DEV` decides.
        logger: Where lines go to; any object with the methods of a `logging.Logger`.
        middleware: Classes or factories, called with the client and the framework's request.
        request_timeout: Of each request to the server: milliseconds, a timedelta, or `"10s"`.
        serializer: Turns outputs into JSON and back where a type is known.
        signing_key: Needed in cloud mode.
        signing_key_fallback: Accepted while keys are rotated.
        typed: Take types of outputs from annotations.
        checkpointing: Go on after a step instead of one request for each; True, or limits.

    """

    identity = OFFICIAL
    #: Whether a status of 400 and above is an error of `send` though the answer names none.
    strict_send = False
    _typed_by_default = False
    _checkpoints_by_default = False

    def __init__(
        self,
        *,
        app_id: str,
        api_base_url: str | None = None,
        app_version: str | None = None,
        env: str | None = None,
        event_api_base_url: str | None = None,
        event_key: str | None = None,
        is_production: bool | None = None,
        logger: Any | None = None,
        middleware: list[UninitializedMiddleware] | None = None,
        request_timeout: Duration | None = None,
        serializer: Serializer | None = None,
        signing_key: str | None = None,
        signing_key_fallback: str | None = None,
        typed: bool | None = None,
        checkpointing: bool | Checkpointing | None = None,
    ) -> None:
        self.app_id = app_id
        self.logger: Any = logger or logging.getLogger("holdfast")
        self.middleware: list[UninitializedMiddleware] = list(middleware or [])
        self._mode = _mode(is_production)
        self.is_production = self.mode is ServerKind.CLOUD
        self.typed = self._typed_by_default if typed is None else typed
        self.checkpointing = _limits(self._checkpoints_by_default if checkpointing is None else checkpointing)
        self._app_version = app_version
        self._event_key = event_key or os.environ.get(EnvKey.EVENT_KEY.value)
        self._signing_key = signing_key or os.environ.get(EnvKey.SIGNING_KEY.value)
        self._signing_key_fallback = signing_key_fallback or os.environ.get(EnvKey.SIGNING_KEY_FALLBACK.value)
        self._env = env or environment.environment_name()
        self._api_origin = environment.api_origin(api_base_url, self.mode)
        self._event_api_origin = environment.event_api_origin(event_api_base_url, self.mode)
        self._serializer = serializer or (TypedSerializer() if self.typed else None)
        timeout_s = _DEFAULT_TIMEOUT_S if request_timeout is None else to_milliseconds(request_timeout) / 1000
        self.transport = Transport(self._signing_key, self._signing_key_fallback, timeout_s)
        self._lock = threading.Lock()
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        if self._env is None and "branch" in (self._signing_key or ""):
            log(
                self.logger,
                "warning",
                "the signing key is of a branch environment, but no environment is named: set INNGEST_ENV",
            )

    @property
    def mode(self) -> ServerKind:
        """Cloud or dev mode."""
        return self._mode

    @property
    def api_origin(self) -> str:
        """The origin of the REST API."""
        return self._api_origin

    @property
    def app_version(self) -> str | None:
        """The app's version."""
        return self._app_version

    @property
    def env(self) -> str | None:
        """The branch environment."""
        return self._env

    @property
    def event_api_origin(self) -> str:
        """The origin of the event API."""
        return self._event_api_origin

    @property
    def event_key(self) -> str | None:
        """The event key."""
        return self._event_key

    @property
    def signing_key(self) -> str | None:
        """The signing key."""
        return self._signing_key

    @property
    def signing_key_fallback(self) -> str | None:
        """The key that is accepted while keys are rotated."""
        return self._signing_key_fallback

    def add_middleware(self, middleware: UninitializedMiddleware) -> None:
        """Put a middleware after the others."""
        self.middleware = [*self.middleware, middleware]

    def set_logger(self, logger: Any) -> None:
        """Replace the logger."""
        self.logger = logger

    def create_function(
        self,
        *,
        fn_id: str,
        trigger: Trigger | list[Trigger] | list[TriggerEvent] | list[TriggerCron],
        batch_events: Batch | None = None,
        cancel: list[Cancel] | None = None,
        concurrency: list[Concurrency] | None = None,
        debounce: Debounce | None = None,
        idempotency: str | None = None,
        middleware: list[UninitializedMiddleware] | None = None,
        name: str | None = None,
        on_failure: Callable[[Context], Any] | Callable[[ContextSync], Any] | None = None,
        output_type: object = UNTYPED,
        priority: Priority | None = None,
        rate_limit: RateLimit | None = None,
        retries: int | None = None,
        singleton: Singleton | None = None,
        throttle: Throttle | None = None,
        timeouts: Timeouts | None = None,
    ) -> _Decorator:
        """Return a decorator that makes a handler a durable function.

        Args:
            fn_id: Identifies the function within the app. With another id it is another function.
            trigger: What starts runs.
            batch_events: Collect events into one run.
            cancel: Events that cancel runs.
            concurrency: How many steps run at the same time, at most two limits.
            debounce: Start once events stop coming.
            idempotency: An expression; of events with the same value, only the first in 24 hours starts a run.
            middleware: Runs after the client's.
            name: What people see, the id unless given.
            on_failure: Called when a run failed for good, in a run of its own.
            output_type: The type of the result, where the handler is not annotated.
            priority: Which waiting runs go first.
            rate_limit: How many runs start in a period; other events start none.
            retries: Attempts after the first one, of each step: 0 to 20, 4 unless given.
            singleton: One run at a time.
            throttle: How many runs start in a period; others wait.
            timeouts: Cancel runs that take too long.

        Raises:
            FunctionConfigInvalidError: An option is not what it should be.

        """
        options = FunctionOptions(
            fully_qualified_id=f"{self.app_id}-{fn_id}",
            local_id=fn_id,
            name=name or fn_id,
            batch_events=batch_events,
            cancel=cancel,
            concurrency=concurrency,
            debounce=debounce,
            idempotency=idempotency,
            priority=priority,
            rate_limit=rate_limit,
            retries=retries,
            singleton=singleton,
            throttle=throttle,
            timeouts=timeouts,
        )
        triggers = cast("list[Trigger]", trigger if isinstance(trigger, list) else [trigger])

        def decorator(handler: Callable[..., Any]) -> Function[Any]:
            return Function(options, triggers, handler, on_failure, output_type, middleware)

        return cast("_Decorator", decorator)

    async def send(self, events: Event | list[Event], *, skip_middleware: bool = False) -> list[str]:
        """Send events; return their ids.

        Raises:
            SendEventsError: Events were refused, or no server answered in five attempts. `ids` are those accepted.
            EventKeyUnspecifiedError: There is no event key in cloud mode.

        """
        middleware = None if skip_middleware else MiddlewareManager(self, None)
        return await sending.send(self, middleware, events, sync=False)

    def send_sync(self, events: Event | list[Event], *, skip_middleware: bool = False) -> list[str]:
        """Send events without an event loop; see `send`."""
        middleware = None if skip_middleware else MiddlewareManager(self, None)
        return drive(sending.send(self, middleware, events, sync=True))

    def create_defer(self, *, fn_id: str, **options: Unpack[DeferOptions]) -> _DeferDecorator:
        """Return a decorator that makes a handler a deferred function, which `ctx.defer` starts.

        It gets the data that it was asked for with as `ctx.event.data`, and who asked in `ctx.parents`.

        Args:
            fn_id: Identifies the function within the app.
            **options: Those of `create_function`, without triggers, batches and on-failure handlers.

        Raises:
            FunctionConfigInvalidError: An option is not what it should be.

        """
        slug = f"{self.app_id}-{fn_id}"
        if not fn_id or set("'\\\n\r") & set(slug):
            raise FunctionConfigInvalidError("fn_id: a deferred function's has no quotes, backslashes and line ends")
        trigger = TriggerEvent(event=defers.EVENT, expression=f"event.data._inngest.fn_slug == '{slug}'")
        make = cast("Any", self.create_function)(fn_id=fn_id, trigger=trigger, **options)

        def decorator(handler: Callable[..., Any]) -> defers.DeferredFunction[Any]:
            return defers.DeferredFunction[Any].like(cast("Function[Any]", make(handler)))

        return cast("_DeferDecorator", decorator)

    async def score(self, *, run_id: str, name: str, value: float, step_id: str | None = None) -> None:
        """Store a score of a run, also of one that has ended, or of one of its steps: a number or a boolean.

        Raises:
            ValueError: The name or the value is not one of a score.
            RequestFailedError: The server did not take it.

        """
        await scores.score(self, run_id, step_id, name, value, sync=False)

    def score_sync(self, *, run_id: str, name: str, value: float, step_id: str | None = None) -> None:
        """Store a score without an event loop; see `score`."""
        drive(scores.score(self, run_id, step_id, name, value, sync=True))

    async def score_experiment(self, *, experiment: ExperimentRef, run_id: str, name: str, value: float) -> None:
        """Store a score of the variant that a run had; see `score`."""
        await scores.score_experiment(self, experiment, run_id, name, value, sync=False)

    def score_experiment_sync(self, *, experiment: ExperimentRef, run_id: str, name: str, value: float) -> None:
        """Store a score of a variant without an event loop; see `score`."""
        drive(scores.score_experiment(self, experiment, run_id, name, value, sync=True))

    async def send_signal(self, signal: str, data: object = None) -> str | None:
        """Send a signal; return the id of the run that waited for it, None if none did."""
        return await self._signal(signal, data, sync=False)

    def send_signal_sync(self, signal: str, data: object = None) -> str | None:
        """Send a signal without an event loop; see `send_signal`."""
        return drive(self._signal(signal, data, sync=True))

    async def close(self) -> None:
        """Close connections and threads."""
        self._close_threads()
        await self.transport.close()

    def close_sync(self) -> None:
        """Close threads and the connections of synchronous code."""
        self._close_threads()
        self.transport.close_sync()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def api(
        self, method: str, path: str, body: object = None, *, sync: bool, headers: dict[str, str] | None = None
    ) -> bytes:
        """Ask the REST API; return the answer's body.

        Raise RequestFailedError, with the status if there is one.
        """
        url = urljoin(self.api_origin, path)
        content = None if body is None else typed.encode(body)
        given = {**headers_of(self.identity, self.env), **(headers or {})}
        response = await self.transport.send(method, url, headers=given, content=content, sync=sync)
        if response.status_code >= 400:
            status = response.status_code
            raise RequestFailedError(f"HTTP {status} from {method} {url}: {response.text[:500]}", status)
        return response.content

    def type_of(self, handler: Callable[..., Any], output_type: object) -> Any:
        """Return the type of what a handler returns: the one that was given, else its annotation if types are on."""
        if output_type is not UNTYPED or not self.typed:
            return output_type
        return typed.return_type(handler)

    def serialize(self, value: object, typ: Any) -> object:
        """Return a value as JSON, if its type is known or types are on."""
        if typ is UNTYPED:
            return typed.to_json(value) if self.typed else value
        return value if self._serializer is None else self._serializer.serialize(value, typ)

    def deserialize(self, value: object, typ: Any) -> Any:
        """Return the value of a type that JSON stands for, if the type is known."""
        if typ is UNTYPED or self._serializer is None:
            return value
        return self._serializer.deserialize(value, typ)

    def threads(self) -> concurrent.futures.ThreadPoolExecutor | None:
        """Return the threads for synchronous functions beside an event loop; None if they are turned off."""
        size = environment.get_int(EnvKey.THREAD_POOL_MAX_WORKERS)
        if size == 0:
            return None
        with self._lock:
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(size, thread_name_prefix="holdfast")
            return self._threads

    def _close_threads(self) -> None:
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _signal(self, signal: str, data: object, *, sync: bool) -> str | None:
        try:
            answer = await self.api("POST", "/v1/signals", {"signal": signal, "data": data}, sync=sync)
        except RequestFailedError as error:
            if error.status == 404:
                return None
            raise
        found: dict[str, Any] = msgspec.json.decode(answer)
        return cast("str | None", (found.get("data") or {}).get("run_id"))


class Client(Inngest):
    """A client with the defaults of today: results have the types of annotations, and runs take one request.

    It takes the arguments of `Inngest`; `typed=False` and `checkpointing=False` turn the two off.
    """

    identity = OWN
    strict_send = True
    _typed_by_default = True
    _checkpoints_by_default = True


def run_path(run_id: str, what: str) -> str:
    """Return the path of a run's state: its `actions` or its `batch`."""
    return f"/v0/runs/{quote(run_id, safe='')}/{what}"


def _mode(is_production: bool | None) -> ServerKind:
    if is_production is None:
        is_production = not environment.is_truthy(EnvKey.DEV)
    return ServerKind.CLOUD if is_production else ServerKind.DEV_SERVER


def _limits(given: bool | Checkpointing) -> Checkpointing | None:
    if isinstance(given, Checkpointing):
        if given.max_runtime < 1:
            raise FunctionConfigInvalidError("checkpointing: max_runtime must be at least 1 ms")
        return given
    return Checkpointing() if given else None
