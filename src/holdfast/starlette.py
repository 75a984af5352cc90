"""Serve functions with Starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import Mount, mount

if TYPE_CHECKING:
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Streaming
    from holdfast.sdk.function import Function

FRAMEWORK = Framework.STARLETTE


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
    streaming: Streaming | bool | None = None,
) -> Route:
    """Return the route of an app's functions, for the list of a Starlette app.

    Args:
        client: The app's client.
        functions: What to serve.
        enable_unauthed_sync: Whether anybody may have a cloud app registered again; `INNGEST_ENABLE_UNAUTHED_SYNC`.
        public_path: The path by which the server reaches the app, if a proxy rewrites paths.
        serve_origin: Scheme and host by which the server reaches the app; `INNGEST_SERVE_ORIGIN`.
        serve_path: The path of the route, `/api/inngest` unless given; `INNGEST_SERVE_PATH`.
        streaming: Whether answers are kept alive by blanks; `INNGEST_STREAMING`.

    Raises:
        SigningKeyMissingError: The client is in cloud mode and has no signing key.

    """
    at = mount(
        FRAMEWORK,
        client,
        functions,
        enable_unauthed_sync=enable_unauthed_sync,
        public_path=public_path,
        serve_origin=serve_origin,
        serve_path=serve_path,
        streaming=streaming,
    )

    async def endpoint(request: Request) -> Response:
        return await answer_request(at, request)

    return Route(at.path, endpoint, methods=["GET", "POST", "PUT"])


async def answer_request(at: Mount, request: Request) -> Response:
    """Answer a request of Starlette or FastAPI."""
    query = {name: request.query_params.getlist(name) for name in request.query_params}
    body = await at.read(request.stream(), request.headers.get("content-length"))
    answer = at.too_large()
    if body is not None:
        asked = at.request(body=body, headers=request.headers, query=query, raw=request, url=str(request.url))
        answer = await at.handler.handle(request.method, asked)
    if answer.stream is not None:
        return StreamingResponse(answer.stream(), answer.status_code, answer.headers)
    return Response(answer.content, answer.status_code, answer.headers)
