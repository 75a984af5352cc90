"""The handler that all framework modules share: what an app answers to a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from holdfast.sdk import env, inspection, registering
from holdfast.sdk.answers import CommRequest, CommResponse, call_response, error_response, json_response, unauthorized
from holdfast.sdk.calls import ServerRequest, read_batch, read_request, read_steps
from holdfast.sdk.checkpoints import Checkpointer
from holdfast.sdk.client import run_path
from holdfast.sdk.consts import (
    UNSPECIFIED_STEP_ID,
    EnvKey,
    HeaderKey,
    Probe,
    QueryParamKey,
    ServerKind,
    Streaming,
    SyncKind,
)
from holdfast.sdk.context import Context, ContextSync
from holdfast.sdk.errors import (
    BodyInvalidError,
    FunctionConfigInvalidError,
    FunctionNotFoundError,
    HeaderMissingError,
    OutputUnserializableError,
    QueryParamMissingError,
    SigningKeyMissingError,
)
from holdfast.sdk.execution import Execution
from holdfast.sdk.function import Function, in_context
from holdfast.sdk.groups import Group, GroupSync
from holdfast.sdk.logs import log
from holdfast.sdk.memos import StepMemos
from holdfast.sdk.middleware import MiddlewareManager, drive
from holdfast.sdk.portal import run_in_loop
from holdfast.sdk.sessions import shared_sessions
from holdfast.sdk.signatures import find_key
from holdfast.sdk.step import Step
from holdfast.sdk.step_sync import StepSync
from holdfast.sdk.streaming import streamed
from holdfast.sdk.transport import headers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Framework
    from holdfast.sdk.events import Event
    from holdfast.sdk.execution import CallResult


class CommHandler:
    """Serves the functions of one app.

    Raises:
        SigningKeyMissingError: The client is in cloud mode and has no signing key.
        FunctionConfigInvalidError: Two functions have the same id.

    """

    def __init__(
        self,
        *,
        client: Inngest,
        framework: Framework,
        functions: list[Function[Any]],
        enable_unauthed_sync: bool | None = None,
        streaming: Streaming | bool | None = None,
    ) -> None:
        self.client = client
        self.framework = framework
        _check_ids(functions)
        self.functions = {function.id: function for function in functions}
        self.streams = (env.streaming() if streaming is None else streaming) in {Streaming.FORCE, True}
        if client.is_production and client.signing_key is None:
            log(client.logger, "error", "missing signing key")
            raise SigningKeyMissingError
        keys = (client.signing_key, client.signing_key_fallback)
        self._keys = [key for key in keys if key is not None]
        self._headers = headers_of(client.identity, client.env, framework.value, client.mode.value)
        allowed = (
            not env.is_false(EnvKey.ENABLE_UNAUTHED_SYNC) if enable_unauthed_sync is None else enable_unauthed_sync
        )
        self._unauthed_sync = allowed or client.mode is ServerKind.DEV_SERVER
        self._by_id = _index(functions, client.app_id)

    @property
    def has_async(self) -> bool:
        """Whether any function or on-failure handler is asynchronous."""
        return any(each.is_handler_async or each.is_on_failure_handler_async for each in self.functions.values())

    async def handle(self, method: str, request: CommRequest) -> CommResponse:
        """Answer a GET, POST or PUT; 405 to others."""
        return await self._handle(method, request, sync=False)

    def handle_sync(self, method: str, request: CommRequest) -> CommResponse:
        """Answer without an event loop. Asynchronous functions run in one that all such calls share."""
        if method == "POST" and self.has_async:
            return run_in_loop(self._handle(method, request, sync=False))
        return drive(self._handle(method, request, sync=True))

    async def _handle(self, method: str, request: CommRequest, *, sync: bool) -> CommResponse:
        handlers: dict[str, Callable[..., Awaitable[CommResponse]]] = {
            "GET": self._get, "POST": self._post, "PUT": self._put,
        }  # fmt: skip
        if method not in handlers:
            return json_response({"error": "Unsupported method"}, 405)
        key: str | None = None
        with request.timings.comm_handler:
            if sync:
                key, response = await self._guarded(handlers[method], method, request, sync=True)
            else:
                with request.timings.async_block:
                    key, response = await self._guarded(handlers[method], method, request, sync=False)
        if response.include_inngest_headers:
            response.headers = {**response.headers, **self._headers}
        response.headers[HeaderKey.SDK_HANDLED.value] = "true"
        response.headers[HeaderKey.SERVER_TIMING.value] = request.timings.to_header()
        if key is not None and response.stream is None:
            response.sign(key)
        return response

    async def _guarded(
        self, handler: Callable[..., Awaitable[CommResponse]], method: str, request: CommRequest, *, sync: bool
    ) -> tuple[str | None, CommResponse]:
        """Check the signature, then answer; errors are answers too."""
        logger = self.client.logger
        request.normalize()
        key: str | None = None
        refusal: Exception | None = None
        if not request.is_connect:
            try:
                key = find_key(request.body, request.headers, self.client.mode, self._keys)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a signature refuses the request
                refusal = error
        if refusal is not None and method != "PUT":
            return None, unauthorized(logger, refusal)
        try:
            return key, await handler(request, key, refusal, sync=sync)
        except Exception as error:  # noqa: BLE001 - a server gets an answer
            return key, error_response(logger, error)

    async def _get(self, request: CommRequest, key: str | None, _: object, *, sync: bool) -> CommResponse:  # noqa: ARG002
        """Tell what is served here."""
        kind = inspection.server_kind(self.client, request.headers)
        if kind is not None and kind is not self.client.mode:
            return json_response({}, 403)
        return json_response(inspection.describe(self, request, signed=key is not None))

    async def _put(
        self, request: CommRequest, key: str | None, refusal: Exception | None, *, sync: bool
    ) -> CommResponse:
        """Register the functions: in the answer if the server wants it, else by a request to the API."""
        in_band = request.headers.get(HeaderKey.SYNC_KIND.value) == SyncKind.IN_BAND.value
        if in_band and self.client.mode is ServerKind.CLOUD:
            if key is None:
                return unauthorized(self.client.logger, refusal or HeaderMissingError("the request must be signed"))
            return registering.in_band(self, request)
        if key is None and not self._unauthed_sync:
            return unauthorized(self.client.logger, refusal or HeaderMissingError("the request must be signed"))
        return await registering.out_of_band(self, request, sync=sync)

    async def _post(self, request: CommRequest, key: str | None, _: object, *, sync: bool) -> CommResponse:
        """Run a function up to what ends this call."""
        query = request.query_params
        probe = query.get(QueryParamKey.PROBE.value)
        if probe:
            return _probed(probe)
        call = read_request(request.body)
        fn_id = query.get(QueryParamKey.FUNCTION_ID.value)
        if not fn_id:
            raise QueryParamMissingError(QueryParamKey.FUNCTION_ID.value)
        function, fn_id = self._find(fn_id)
        running = self._run(function, fn_id, call, request, sync=sync)
        if self.streams and function.is_handler_async and not request.is_connect:
            return streamed(self._result(running, request), request.timings, self._headers, key)
        return await self._result(running, request)

    async def _result(self, running: Awaitable[CallResult], request: CommRequest) -> CommResponse:  # noqa: ARG002
        result = await running
        error = result.error
        if error is not None and result.multi is None:
            log(self.client.logger, "debug", f"a call failed: {error}")
        try:
            return call_response(result, strict=not self.client.typed)
        except OutputUnserializableError as error:
            return error_response(self.client.logger, error)

    async def _run(
        self, function: Function[Any], fn_id: str, call: ServerRequest, request: CommRequest, *, sync: bool
    ) -> CallResult:
        events, memos = await self._state(call, request, sync=sync)
        target = request.query_params.get(QueryParamKey.STEP_ID.value)
        target = None if target in {None, "", UNSPECIFIED_STEP_ID} else target
        client = self.client
        loop = None if sync or function.is_handler_async else asyncio.get_running_loop()
        middleware = MiddlewareManager(client, request.raw_request, loop)
        blocking = sync or not function.is_handler_async
        checkpointer = self._checkpointer(call, request, blocking=blocking)
        execution = Execution(call, memos, middleware, target, checkpointer)
        execution.sessions = shared_sessions(events)
        about = _about(call, events, request, client.logger)
        about["sessions"] = execution.sessions
        if function.is_handler_async:
            ctx = Context(step=Step(client, execution), group=Group(), **about)
            return await function.call(client, ctx, fn_id, middleware, request.timings)
        plain = ContextSync(step=StepSync(client, execution), group=GroupSync(), **about)
        threads = None if loop is None else client.threads()
        if loop is None or threads is None:
            middleware.loop = None
            return function.call_sync(client, plain, fn_id, middleware, request.timings)
        work = in_context(lambda: function.call_sync(client, plain, fn_id, middleware, request.timings))
        return await loop.run_in_executor(threads, work)

    def _checkpointer(self, call: ServerRequest, request: CommRequest, *, blocking: bool) -> Checkpointer | None:
        limits = self.client.checkpointing
        if limits is None or not call.ctx.fn_id or not call.ctx.qi_id:
            return None
        return Checkpointer(self.client, call, request.headers, limits, sync=blocking)

    async def _state(self, call: ServerRequest, request: CommRequest, *, sync: bool) -> tuple[list[Event], StepMemos]:
        """Return events and memoised steps: of the request, or of the API if they did not fit into it."""
        events = call.all_events()
        if not call.use_api:
            if events is None:
                raise BodyInvalidError("events not in request")
            return events, StepMemos(call.steps)
        api, run_id = self.client.api, call.ctx.run_id
        with request.timings.use_api:
            asked = [api("GET", run_path(run_id, what), sync=sync) for what in ("batch", "actions")]
            batch, actions = [await each for each in asked] if sync else await asyncio.gather(*asked)
        return read_batch(batch), StepMemos(read_steps(actions))

    def _find(self, fn_id: str) -> tuple[Function[Any], str]:
        found = self._by_id.get(fn_id)
        if found is None:
            raise FunctionNotFoundError(f"function {fn_id} not found")
        return found


def _check_ids(functions: list[Function[Any]]) -> None:
    """Refuse functions that take each other's place."""
    seen: dict[str, Function[Any]] = {}
    for function in functions:
        if seen.setdefault(function.id, function) is not function:
            raise FunctionConfigInvalidError(f"two functions have the id {function.local_id!r}: rename one of them")


def _index(functions: list[Function[Any]], app_id: str) -> dict[str, tuple[Function[Any], str]]:
    """Map ids of functions and on-failure handlers to them; ids without the app's are those of old registrations."""
    found: dict[str, tuple[Function[Any], str]] = {}
    for function in functions:
        for fn_id in filter(None, (function.id, function.on_failure_fn_id)):
            found[fn_id] = function, fn_id
    for fn_id in list(found):
        found.setdefault(fn_id.removeprefix(f"{app_id}-"), found[fn_id])
    return found


def _probed(probe: str) -> CommResponse:
    if probe != Probe.TRUST.value:
        raise ValueError(f"unsupported probe: {probe}")
    return CommResponse()


def _about(call: ServerRequest, events: list[Event], request: CommRequest, logger: Any) -> dict[str, Any]:
    return {
        "attempt": call.ctx.attempt,
        "event": call.trigger(),
        "events": events,
        "job_id": request.headers.get(HeaderKey.JOB_ID.value) or None,
        "logger": logger,
        "max_attempts": call.ctx.max_attempts,
        "request_id": request.headers.get(HeaderKey.REQUEST_ID.value) or None,
        "run_id": call.ctx.run_id,
    }
