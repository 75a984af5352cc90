"""Telemetry that user code sends in: metadata of runs and steps (`protocol/http-apis.md` §8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from holdfast.server.api.errors import public_error
from holdfast.server.api.parse import read_ulid
from holdfast.server.api.routing import ApiRoute
from holdfast.server.telemetry.metadata import MetadataError, Target, Update

if TYPE_CHECKING:
    from starlette.requests import Request

    from holdfast.server.api.backend import Backend


def routes(backend: Backend) -> list[ApiRoute]:
    """The routes of this module."""
    return [ApiRoute("/v1/runs/{run_id}/metadata", _Metadata(backend).record, methods=["POST"])]


class _Body(msgspec.Struct):
    target: Target = Target()
    metadata: list[Update] = []


class _Metadata:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def record(self, request: Request) -> Response:
        """Record metadata; answers with nothing once it is durable."""
        given: str = request.path_params["run_id"]
        run_id = read_ulid(given)
        if run_id is None:
            return public_error(400, f"Invalid run ID: {given}")
        try:
            body = msgspec.json.decode(await request.body(), type=_Body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return public_error(400, f"Invalid metadata: {error}")
        try:
            await self._backend.record_metadata(run_id, body.target, body.metadata)
        except MetadataError as error:
            return public_error(error.status, error.text)
        return Response()
