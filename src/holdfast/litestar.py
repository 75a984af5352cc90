"""Serve functions with Litestar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, Response, route
from litestar.enums import MediaType
from litestar.response import Stream

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import mount

if TYPE_CHECKING:
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Streaming
    from holdfast.sdk.function import Function

FRAMEWORK = Framework.LITESTAR


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
    streaming: Streaming | bool | None = None,
) -> Any:
    """Return the route handler of an app's functions, for the list of a Litestar app.

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

    limit = at.max_body_bytes

    @route(at.path, http_method=["GET", "POST", "PUT"], include_in_schema=False, request_max_body_size=limit)
    async def inngest_api(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = at.request(
            body=await request.body(),
            headers=dict(request.headers.items()),
            query=request.query_params.dict(),
            raw=request,
            url=str(request.url),
        )
        answer = await at.handler.handle(request.method, asked)
        if answer.stream is not None:
            return Stream(answer.stream(), status_code=answer.status_code, headers=answer.headers)
        content = answer.content
        return Response(content, status_code=answer.status_code, headers=answer.headers, media_type=MediaType.JSON)

    return inngest_api
