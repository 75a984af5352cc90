"""`POST /invoke/{slug}` (`protocol/http-apis.md` §3): starts a function directly, whatever its triggers."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.events import EventError, read_invoke
from holdfast.protocol.limits import MAX_EVENT
from holdfast.server.runtime.partition import Partition, now_ms
from holdfast.server.store.store import StoreError


def routes(partition: Partition) -> list[Route]:
    """The invocation route. It doesn't check that the function exists, and never waits for its output."""

    async def invoke(request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_EVENT:
            return _error(400, f"Event is over the max size: Max {MAX_EVENT} bytes / Size {len(body)} bytes")
        now = now_ms()
        try:
            event = read_invoke(
                body, request.path_params["slug"], now_ms=now, new_id=partition.engine.core.new_id,
                seed=request.headers.get("x-inngest-event-id-seed", ""),
            )  # fmt: skip
        except EventError as error:
            return _error(400, str(error))
        partition.engine.on_event(event, now)
        try:
            await partition.committed()
        except StoreError:
            return _error(503, "The invocation could not be stored; try again")
        return _json(200, {"id": event.id, "status": 200})

    return [Route("/invoke/{slug}", invoke, methods=["POST"])]


def _error(status: int, message: str) -> Response:
    return _json(status, {"error": message, "data": None, "status": status})


def _json(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
