"""Serve functions as an ASGI app of their own, to be mounted anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import Mount, mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.consts import Streaming
    from holdfast.sdk.function import Function

FRAMEWORK = Framework.ASGI


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
    streaming: Streaming | bool | None = None,
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an ASGI app that answers at every path: the server in front of it decides which.

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

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _answer(at, scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(client, receive, send)

    return app


async def _answer(at: Mount, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    body = await at.read(_body(receive), headers.get("content-length"))
    answer = at.too_large()
    if body is not None:
        asked = at.request(body=body, headers=headers, query=query, raw=scope, url=_url(scope, headers))
        answer = await at.handler.handle(scope["method"], asked)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": pairs})
    if answer.stream is not None:
        async for piece in answer.stream():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if answer.stream is not None else answer.content})


async def _live(client: Inngest, receive: Receive, send: Send) -> None:
    """Close the client with the server that runs the app."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await client.close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the caller went away before its request was complete")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _url(scope: Scope, headers: dict[str, str]) -> str:
    host, port = scope.get("server") or ("localhost", None)
    where = headers.get("host") or (host if port is None else f"{host}:{port}")
    path = scope["path"]
    root = scope.get("root_path", "")
    path = path if path.startswith(root) else root + path
    return f"{scope.get('scheme', 'http')}://{where}{quote(path)}"
