"""Durable endpoints (`protocol/execution.md` §5.3-5.5): begin a run, report its steps, wait for its output."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.dates import format_rfc3339
from holdfast.protocol.events import Event, render_event
from holdfast.protocol.ids import is_ulid
from holdfast.protocol.limits import ENV_ID, MAX_REQUEST
from holdfast.protocol.opcodes import Op, OpcodeError, parse_ops
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.protocol.urls import origin_of
from holdfast.server.access.principals import current
from holdfast.server.api.common.asgi import while_connected
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.jwt import TokenError, Tokens
from holdfast.server.drivers.http import headers
from holdfast.server.drivers.http.endpoints import plain_body
from holdfast.server.drivers.http.failures import CallFailure
from holdfast.server.engine import schedule
from holdfast.server.engine.checkpoints import CheckpointError
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.run import Run
from holdfast.server.realtime import grants
from holdfast.server.runtime.apps import Apps
from holdfast.server.runtime.partition import NotAliveError, Partition
from holdfast.server.store.history import History

_JSON = "application/json"
_ISSUER, _CLAIM = "api.inngest.com", "run-claim"
_TOKEN_S = 3_600
_OUTPUT_WAIT_S = 300.0
_REQUEST = "inngest/http.request"
_BODILESS = frozenset({204, 205, 304})
#: A page of an app, which is shown under this server's name, must not act as one of this server's.
_SANDBOX = (b"content-security-policy", b"sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads")
_NOT_THEIRS = frozenset({
    "set-cookie", "clear-site-data", "strict-transport-security", "service-worker-allowed", "x-inngest-server-kind",
})  # fmt: skip


class _Data(msgspec.Struct):
    domain: str
    method: str = "POST"
    path: str = "/"
    query_params: str = ""
    content_type: str = ""
    ip: str = ""
    fn: str = ""
    body: str | None = None


class _Event(msgspec.Struct):
    data: _Data
    name: str = _REQUEST


class _Begin(msgspec.Struct):
    run_id: str
    event: _Event
    steps: Raw = Raw(b"[]")
    request_version: int = 2
    retries: int = -1
    idempotency: str = ""


class _Steps(msgspec.Struct):
    run_id: str = ""
    steps: Raw = Raw(b"[]")


class _Result(msgspec.Struct):
    status: int = 0
    headers: dict[str, str] | None = None
    body: str = ""


class _Output(msgspec.Struct):
    data: _Result | None = None
    status: int = 0
    headers: dict[str, str] | None = None
    body: str = ""


class Endpoints:
    """Handles `/v1/checkpoint` of durable endpoints."""

    def __init__(
        self, partition: Partition, apps: Apps, history: History, tokens: Tokens, new_id: Callable[[], str]
    ) -> None:
        self._partition = partition
        self._apps = apps
        self._history = history
        self._tokens = tokens
        self._new_id = new_id

    def routes(self) -> list[Route]:
        """The routes, under both of their prefixes."""
        return [
            route
            for prefix in ("/v1/checkpoint", "/v1/http/runs")
            for route in (
                Route(prefix, self.begin, methods=["POST"]),
                Route(prefix + "/{run_id}/steps", self.steps, methods=["POST"]),
                Route(prefix + "/{run_id}/output", self.output, methods=["GET"]),
            )
        ]

    async def begin(self, request: Request) -> Response:
        """A process began a run and may have done steps of it already."""
        body = await request.body()
        try:
            if len(body) > MAX_REQUEST:
                raise ValueError("larger than 4 MiB")
            given = msgspec.json.decode(body, type=_Begin)
            ops = _ops(given.steps)
            if not is_ulid(given.run_id):
                raise ValueError("run_id is not a ULID")
        except (*UNREADABLE, OpcodeError, ValueError) as error:
            return public_error(400, f"Invalid request body: {error}")
        if not self._may_begin(origin := origin_of(_url(given.event.data))):
            return public_error(403, f"{origin} is no registered app: only the signing key begins runs at other hosts")
        await self._tokens.load()
        if self._partition.view.alive(given.run_id) or await self._history.run(given.run_id) is not None:
            return public_error(409, "Run already exists")
        run = self._open(given, request.headers.get("x-inngest-sdk", request.headers.get("user-agent", "")))
        if run is None:
            return public_error(409, "Run already exists")
        if ops:
            self._report(given.run_id, ops)
        await self._partition.committed()
        return self._begun(given.run_id, run[0], run[1], with_token=bool(ops))

    async def steps(self, request: Request) -> Response:
        """The process goes on reporting. Once the body is understood, the answer is 200 whatever comes of it."""
        try:
            given = msgspec.json.decode(await request.body(), type=_Steps)
            ops = _ops(given.steps)
        except (*UNREADABLE, OpcodeError) as error:
            return public_error(400, f"Invalid request body: {error}")
        if ops:
            self._report(request.path_params["run_id"], ops)
        await self._partition.committed()
        return Response(status_code=200)

    async def output(self, request: Request) -> Response:
        """Waits for the run's end and replays the endpoint's response."""
        run_id = request.path_params["run_id"]
        await self._tokens.load()
        if not self._may_read(request.query_params.get("token", ""), run_id):
            return public_error(401, "Unable to find run with auth token")
        try:
            async with asyncio.timeout(_OUTPUT_WAIT_S):
                await while_connected(request.receive, self._partition.ended(run_id))
        except TimeoutError:
            return Response(b'{"status":"running","message":"run did not end within 5 minutes"}', media_type=_JSON)
        run = await self._history.run(run_id)
        if run is None:
            return public_error(404, "Run not found")
        return _replay((await self._history.outputs([run_id])).get(run_id) or b"null")

    def _may_begin(self, origin: str) -> bool:
        """Whether the caller may have the server call, and sign for, a host.

        Who has the signing key could sign without this server. People and their tokens reach registered apps only.
        """
        principal = current.get()
        if principal is None or principal.kind not in {"user", "token"}:
            return True
        return any(origin_of(app.url) == origin for app in self._apps.active() if app.method != "api")

    def _open(self, given: _Begin, sdk: str) -> tuple[str, str] | None:
        data = given.event.data
        data.body = plain_body(data.body or "", sdk)
        slug = data.fn or f"{data.method} {data.path}"
        url = _url(data)
        function = self._apps.endpoint(data.domain, slug, url, 4 if given.retries < 0 else given.retries)
        now, id = self._partition.now(), self._new_id()
        event = Event(
            id, _REQUEST, id, now, now, render_event(_REQUEST, id, now, msgspec.json.encode(data, order="sorted"))
        )
        query = f"?{data.query_params.removeprefix('?')}" if data.query_params else ""
        endpoint = schedule.Endpoint(given.run_id, url + query, data.method, given.request_version)
        request = schedule.Request(function, [event], key=given.idempotency, endpoint=endpoint)

        def begin(engine: Engine, now: int) -> Run | None:
            engine.on_event(event, now)
            return engine.open_endpoint(request, now)

        return (function.id, function.app_id) if self._partition.give(begin) is not None else None

    def _report(self, run_id: str, ops: list[Op]) -> None:
        with contextlib.suppress(CheckpointError, NotAliveError):  # the process goes on, and its end is what counts
            self._partition.give_run(run_id, lambda engine, run, now: engine.on_report(run, ops, now))

    def _begun(self, run_id: str, function_id: str, app_id: str, *, with_token: bool) -> Response:
        now = int(time.time())
        data = {
            "fn_id": function_id, "app_id": app_id, "run_id": run_id,
            "realtime_token": self._tokens.issue(grants.run_stream(run_id, now, self._new_id())),
        }  # fmt: skip
        if with_token:
            claims = {"iss": _ISSUER, "sub": _CLAIM, "iat": now, "exp": now + _TOKEN_S, "Env": ENV_ID, "RunID": run_id}
            data["token"] = self._tokens.issue(claims)
        return json_response({"data": data, "metadata": {"fetched_at": format_rfc3339(now * 1_000, fraction=False)}})

    def _may_read(self, token: str, run_id: str) -> bool:
        try:
            claims = self._tokens.read(token, _ISSUER)
        except TokenError:
            return False
        return claims.get("sub") == _CLAIM and claims.get("RunID") == run_id


def _url(data: _Data) -> str:
    return data.domain.rstrip("/") + data.path


def _ops(steps: Raw) -> list[Op]:
    raw = bytes(steps)
    return parse_ops(raw) if raw not in (b"[]", b"null", b"") else []


def _replay(output: bytes) -> Response:
    """The endpoint's own response, if the output holds one; the output as JSON otherwise."""
    try:
        found = msgspec.json.decode(output, type=_Output)
    except UNREADABLE:
        return Response(output, media_type=_JSON)
    result = found.data or found
    if not 200 <= result.status <= 599:
        return Response(output, media_type=_JSON)
    answer = Response("" if result.status in _BODILESS else result.body, result.status)
    answer.raw_headers += [*_replayed(result.headers or {}), _SANDBOX]
    return answer


def _replayed(given: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    """The headers of an app that can be sent, and that change nothing of this server in a browser."""
    for name, value in given.items():
        with contextlib.suppress(CallFailure):
            if name.lower() not in _NOT_THEIRS and (line := headers.render({name: value})):
                yield name.lower().encode(), line[len(name) + 2 : -2]
