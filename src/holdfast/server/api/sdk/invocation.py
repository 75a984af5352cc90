"""`POST /invoke/{slug}` (`protocol/http-apis.md` §3): starts a function directly, whatever its triggers."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.protocol.events import EventError, read_invoke
from holdfast.protocol.limits import MAX_EVENT
from holdfast.server.activity.happening import Happening, refused
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.store import StoreError
from holdfast.server.telemetry.context import keep_trace


def routes(partition: Partition, new_id: Callable[[int], str], tell: Callable[[Happening], None]) -> list[Route]:
    """The invocation route. It doesn't check that the function exists, and never waits for its output.

    `tell` hears of what is refused.
    """

    def refuse(request: Request, text: str, status: int = 400) -> Response:
        tell(refused(partition.now(), status, text, f"an invocation of {request.path_params['slug']}"))
        return public_error(status, text)

    async def invoke(request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_EVENT:
            return refuse(request, f"Event is over the max size: Max {MAX_EVENT} bytes / Size {len(body)} bytes")
        now = partition.now()
        try:
            event = read_invoke(
                body, request.path_params["slug"], now_ms=now, new_id=new_id,
                seed=request.headers.get("x-inngest-event-id-seed", ""),
            )  # fmt: skip
        except EventError as error:
            return refuse(request, str(error))
        parent = request.headers.get("traceparent")
        if parent:
            keep_trace(partition, [event], parent, lambda name: request.headers.get(name.decode(), ""))
        try:
            await partition.submit(lambda engine, now: engine.on_event(event, now))
        except StoreError:
            return refuse(request, "The invocation could not be stored; try again", 503)
        return json_response({"id": event.id, "status": 200})

    return [ApiRoute("/invoke/{slug}", invoke, methods=["POST"])]
