"""Serve functions with Tornado, asynchronous or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tornado.web

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import mount

if TYPE_CHECKING:
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Streaming
    from holdfast.sdk.function import Function

FRAMEWORK = Framework.TORNADO


def serve(
    app: tornado.web.Application,
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
    streaming: Streaming | bool | None = None,
) -> None:
    """Add the route of an app's functions, for all hosts.

    Args:
        app: A Tornado application.
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

    class InngestHandler(tornado.web.RequestHandler):
        async def get(self) -> None:
            await self._answer()

        async def post(self) -> None:
            await self._answer()

        async def put(self) -> None:
            await self._answer()

        async def _answer(self) -> None:
            request = self.request
            asked = at.request(
                body=request.body,
                headers=dict(request.headers),
                query=request.query_arguments,
                raw=request,
                url=request.full_url(),
            )
            answer = await at.handler.handle(request.method or "", asked)
            self.set_status(answer.status_code)
            for name, value in answer.headers.items():
                self.set_header(name, value)
            if answer.stream is None:
                self.write(answer.content)
                return
            async for piece in answer.stream():
                self.write(piece)
                await self.flush()

    app.add_handlers(r".*", [(at.path, InngestHandler)])
