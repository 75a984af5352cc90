"""Serve functions with aiohttp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import mount

if TYPE_CHECKING:
    from holdfast.sdk.answers import CommResponse
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Streaming
    from holdfast.sdk.function import Function

FRAMEWORK = Framework.AIOHTTP


def serve(
    app: web.Application,
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
    streaming: Streaming | bool | None = None,
) -> None:
    """Add the route of an app's functions.

    Args:
        app: An aiohttp application.
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

    async def inngest_api(request: web.Request) -> web.StreamResponse:
        # Not `request.read()`, which gives up at the megabyte that aiohttp allows forms.
        body = await at.read(request.content.iter_any(), request.headers.get("content-length"))
        if body is None:
            return _response(at.too_large())
        asked = at.request(
            body=body,
            headers=dict(request.headers),
            query=dict(request.query),
            raw=request,
            url=str(request.url),
        )
        answer = await at.handler.handle(request.method, asked)
        if answer.stream is None:
            return _response(answer)
        response = web.StreamResponse(status=answer.status_code, headers=answer.headers)
        await response.prepare(request)
        async for piece in answer.stream():
            await response.write(piece)
        return response

    for method in ("GET", "POST", "PUT"):
        app.router.add_route(method, at.path, inngest_api)


def _response(answer: CommResponse) -> web.Response:
    return web.Response(body=answer.content, status=answer.status_code, headers=answer.headers)
