"""Development tools: `/dev`, limits for tests, removal of apps, and `/test` (`protocol/http-apis.md` §4, §12.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec
from starlette.responses import PlainTextResponse, Response

from holdfast.server.api.common.error_bodies import json_response, page_not_found, public_error
from holdfast.server.api.common.parameters import read_int, read_ulid, read_uuid
from holdfast.server.api.common.routing import ApiRoute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from holdfast.server.api.common.backend import Backend


def routes(backend: Backend, *, test_mode: bool = False) -> list[ApiRoute]:
    """Return the routes of this module; those under `/test` only in test mode."""
    found = [
        ApiRoute("/dev", _Dev(backend).show, methods=["GET"]),
        ApiRoute("/fn/remove", _remove(backend), methods=["DELETE"]),
    ]
    for path, limit in (
        ("/fn/step-limit", _Limit("step", backend.set_step_limit)),
        ("/fn/state-size-limit", _Limit("state size", backend.set_state_size_limit)),
    ):
        found.append(ApiRoute(path, limit.set, methods=["POST"]))
        found.append(ApiRoute(path, limit.lift, methods=["DELETE"]))
    return found + (_test_routes(backend) if test_mode else [])


class _Dev:
    """What the server tells about itself, to SDKs that look for a dev server and to the UI."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def show(self, _request: Request) -> Response:
        info = self._backend.info
        if info.kind != "dev":
            return page_not_found()
        functions = [msgspec.Raw(function.config) for function in await self._backend.history.functions()]
        body = msgspec.json.encode(
            {
                "version": info.version,
                "authed": False,
                "startOpts": info.start_options,
                "functions": functions,
                "handlers": None,
                "isSingleNodeService": False,
                "isMissingSigningKey": info.missing_signing_key,
                "isMissingEventKeys": info.missing_event_keys,
                "features": info.features,
            }
        )
        return Response(msgspec.json.format(body, indent=2), media_type="application/json; charset=utf-8")


class _Limit:
    """A limit on runs of one function, for test suites."""

    def __init__(self, what: str, change: Callable[[str, int | None], Awaitable[bool]]) -> None:
        self._what = what
        self._change = change

    async def set(self, request: Request) -> Response:
        form = await _form(request)
        function_id = read_uuid(form.get("functionId", ""))
        limit = read_int(form.get("limit", ""))
        if function_id is None:
            return public_error(400, f"Invalid function ID: {form.get('functionId', '')}")
        if limit is None:
            return public_error(400, f"Invalid limit: {form.get('limit', '')}")
        await self._change(function_id, limit)
        return Response()

    async def lift(self, request: Request) -> Response:
        form = await _form(request)
        function_id = read_uuid(form.get("functionId", ""))
        if function_id is None:
            return public_error(400, f"Invalid function ID: {form.get('functionId', '')}")
        if not await self._change(function_id, None):
            return public_error(404, f"No {self._what} limit set for function: {function_id}")
        return Response()


def _remove(backend: Backend) -> Callable[[Request], Awaitable[Response]]:
    async def remove(request: Request) -> Response:
        url = (await _form(request)).get("url", "")
        if not await backend.remove_app_by_url(url):
            return public_error(404, f"App not found: {url}")
        return Response()

    return remove


def _test_routes(backend: Backend) -> list[ApiRoute]:
    tests = _Tests(backend)
    return [
        ApiRoute("/test/", tests.show, methods=["GET"]),
        ApiRoute("/test/reset", tests.reset, methods=["POST"]),
        ApiRoute("/test/function/pause", tests.pause, methods=["POST"]),
        ApiRoute("/test/function/runs/cancel", tests.cancel, methods=["POST"]),
        ApiRoute("/test/queue/function-queue-size", tests.queue_size, methods=["GET"]),
    ]


class _Tests:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def show(self, _request: Request) -> Response:
        return PlainTextResponse("OK")

    async def reset(self, _request: Request) -> Response:
        await self._backend.test_reset()
        return PlainTextResponse("ok")

    async def pause(self, request: Request) -> Response:
        function_id = read_uuid((await _form(request)).get("fnId", ""))
        if function_id is None:
            return _invalid("fnId")
        await self._backend.test_pause_function(function_id)
        return PlainTextResponse("OK")

    async def cancel(self, request: Request) -> Response:
        form = await _form(request)
        run_id = read_ulid(form.get("runId", ""))
        if problem := _bad_uuid(form):
            return problem
        if run_id is None:
            return _invalid("runId")
        await self._backend.cancel_run(run_id)
        return PlainTextResponse("OK")

    async def queue_size(self, request: Request) -> Response:
        form = await _form(request)
        if problem := _bad_uuid(form):
            return problem
        return json_response({"count": self._backend.test_queue_size(form["fnId"].lower())})


def _bad_uuid(form: dict[str, str]) -> Response | None:
    bad = [name for name in ("accountId", "fnId") if read_uuid(form.get(name, "")) is None]
    return _invalid(bad[0]) if bad else None


def _invalid(name: str) -> Response:
    return PlainTextResponse(f"Invalid {name}", 400)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a request: of its URL and, before those, of an encoded body."""
    body = (await request.body()).decode("utf-8", "replace")
    return dict(request.query_params) | dict(parse_qsl(body, keep_blank_values=True))
