"""REST `/v1/functions/{id or slug}`: a function, and pausing it. An extension of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.api.common.backend import PauseMode
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.parameters import read_uuid
from holdfast.server.api.common.routing import ApiRoute

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from holdfast.server.api.common.backend import Functions
    from holdfast.server.model.app import FunctionRecord


def routes(backend: Functions) -> list[ApiRoute]:
    """Return the routes of this module."""
    functions = _Functions(backend)
    return [
        ApiRoute("/v1/functions/{function}", functions.show, methods=["GET"]),
        ApiRoute("/v1/functions/{function}/pause", functions.pause, methods=["POST"]),
        ApiRoute("/v1/functions/{function}/resume", functions.resume, methods=["POST"]),
    ]


class PauseRequest(msgspec.Struct):
    """What becomes of new runs: they wait, or they are skipped."""

    mode: PauseMode = "queue"


class PausableFunction(msgspec.Struct):
    """A function, and whether it is paused."""

    internal_id: str
    app_id: str
    id: str
    name: str
    config: Raw
    created_at: str
    paused: bool
    pause_mode: PauseMode | None
    held: int  # runs that wait for the function to be resumed


class _Functions:
    def __init__(self, backend: Functions) -> None:
        self._backend = backend

    async def show(self, request: Request) -> Response:
        function = await self._find(request)
        return self._answer(function) if function is not None else _missing(request)

    async def pause(self, request: Request) -> Response:
        """Let no run start any more; a function that is paused already changes its mode."""
        body = await request.body()
        try:
            given = msgspec.json.decode(body, type=PauseRequest) if body.strip() else PauseRequest()
        except UNREADABLE:
            return public_error(400, 'Invalid pause: "mode" is "queue" or "skip"')
        function = await self._find(request)
        if function is None:
            return _missing(request)
        await self._backend.pause_function(function.id, given.mode)
        return self._answer(function)

    async def resume(self, request: Request) -> Response:
        """Let runs start again; nothing happens to a function that isn't paused."""
        function = await self._find(request)
        if function is None:
            return _missing(request)
        await self._backend.resume_function(function.id)
        return self._answer(function)

    async def _find(self, request: Request) -> FunctionRecord | None:
        given: str = request.path_params["function"]
        history = self._backend.history
        id = read_uuid(given)
        found = (await history.functions_by_id([id])).get(id) if id else None
        if found is not None and found.archived_at is None:
            return found
        return (await history.functions_by_slug([given])).get(given)

    def _answer(self, function: FunctionRecord) -> Response:
        paused = self._backend.paused(function.id)
        data = PausableFunction(
            function.id, function.app_id, function.slug, function.name, Raw(function.config),
            _time(function.created_at), paused is not None, paused.mode if paused else None,
            paused.held if paused else 0,
        )  # fmt: skip
        return json_response({"data": data, "metadata": {"fetched_at": _time(self._backend.now_ms())}})


def _missing(request: Request) -> Response:
    return public_error(404, f"Function not found: {request.path_params['function']}")


def _time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)
