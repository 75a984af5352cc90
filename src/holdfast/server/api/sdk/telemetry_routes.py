"""Telemetry that user code sends in: metadata of runs and steps, and OTLP spans (`protocol/http-apis.md` §6, §8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from holdfast.protocol.rawjson import UNREADABLE, too_deep
from holdfast.server.api.common.error_bodies import public_error
from holdfast.server.api.common.parameters import read_ulid
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.telemetry import otlp
from holdfast.server.telemetry.metadata import MetadataError, Target, Update
from holdfast.server.telemetry.spans import MAX_BODY

if TYPE_CHECKING:
    from starlette.requests import Request

    from holdfast.server.api.common.backend import Runs
    from holdfast.server.telemetry.spans import UserSpans


def routes(backend: Runs, spans: UserSpans) -> list[ApiRoute]:
    """The routes of this module."""
    traces = _Traces(spans)
    return [
        ApiRoute("/v1/runs/{run_id}/metadata", _Metadata(backend).record, methods=["POST"]),
        ApiRoute("/v1/traces/userland", traces.userland, methods=["POST"]),
        ApiRoute("/dev/traces", traces.dev, methods=["POST"]),
    ]


class _Body(msgspec.Struct):
    target: Target = Target()
    metadata: list[Update] = []


class _Metadata:
    def __init__(self, backend: Runs) -> None:
        self._backend = backend

    async def record(self, request: Request) -> Response:
        """Record metadata; answers with nothing once it is durable."""
        given: str = request.path_params["run_id"]
        run_id = read_ulid(given)
        if run_id is None:
            return public_error(400, f"Invalid run ID: {given}")
        sent = await request.body()
        if too_deep(sent):
            return public_error(400, "Invalid metadata: it is nested too deeply")
        try:
            body = msgspec.json.decode(sent, type=_Body)
        except UNREADABLE as error:
            return public_error(400, f"Invalid metadata: {error}")
        try:
            await self._backend.record_metadata(run_id, body.target, body.metadata)
        except MetadataError as error:
            return public_error(error.status, error.text)
        return Response()


class _Traces:
    def __init__(self, spans: UserSpans) -> None:
        self._spans = spans

    async def userland(self, request: Request) -> Response:
        """Take spans of SDKs; those that don't say where they belong are rejected and counted."""
        json = "json" in request.headers.get("content-type", "")
        try:
            body = await _read(request)
            accepted = await self._spans.accept(body, _encoding(request), json=json, strict=True)
        except otlp.TooLargeError:
            return _answer(request, 413, otlp.encode_status("Request body too large", json=json), json=json)
        except otlp.OtlpError as error:
            return _answer(request, 400, otlp.encode_status(f"Invalid payload: {error}", json=json), json=json)
        found = otlp.encode_response(accepted.rejected, accepted.message, json=json)
        return _answer(request, 200, found, json=json)

    async def dev(self, request: Request) -> Response:
        """Take the spans of runs among whatever comes."""
        kind = request.headers.get("content-type", "")
        if kind not in {otlp.PROTOBUF, otlp.JSON}:
            return public_error(400, f"unable to handle unknown content type for traces: {kind}")
        try:
            body = await _read(request)
            await self._spans.accept(body, _encoding(request), json=kind == otlp.JSON, strict=False)
        except otlp.TooLargeError:
            return public_error(413, f"Request body is over the max size: Max {MAX_BODY} bytes")
        except otlp.OtlpError as error:
            return public_error(400, f"unable to read traces: {error}")
        return Response()


async def _read(request: Request) -> bytes:
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MAX_BODY:
            raise otlp.TooLargeError
    return bytes(parts)


def _encoding(request: Request) -> str:
    return request.headers.get("content-encoding", "").strip().lower()


def _answer(request: Request, status: int, body: bytes, *, json: bool) -> Response:
    headers = {"vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = otlp.zipped(body)
    return Response(body, status, headers, otlp.JSON if json else otlp.PROTOBUF)
