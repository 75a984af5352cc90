"""Serve functions as a WSGI app of their own. Asynchronous ones run in an event loop beside it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from wsgiref.util import request_uri

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import Mount, mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.answers import CommResponse
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function


FRAMEWORK = Framework.WSGI


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
) -> Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]:
    """Return a WSGI app that answers at every path: the server in front of it decides which.

    Args:
        client: The app's client.
        functions: What to serve.
        enable_unauthed_sync: Whether anybody may have a cloud app registered again; `INNGEST_ENABLE_UNAUTHED_SYNC`.
        public_path: The path by which the server reaches the app, if a proxy rewrites paths.
        serve_origin: Scheme and host by which the server reaches the app; `INNGEST_SERVE_ORIGIN`.
        serve_path: The path of the route, `/api/inngest` unless given; `INNGEST_SERVE_PATH`.

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
    )

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        answer = at.too_large() if at.refuses(environ.get("CONTENT_LENGTH")) else _answer(at, environ)
        reason = HTTPStatus(answer.status_code).phrase
        start_response(f"{answer.status_code} {reason}", list(answer.headers.items()))
        return [answer.content]

    return app


def _answer(at: Mount, environ: dict[str, Any]) -> CommResponse:
    length = environ.get("CONTENT_LENGTH") or "0"
    asked = at.request(
        body=environ["wsgi.input"].read(int(length)) if length.isdigit() else b"",
        headers=_headers(environ),
        query=parse_qs(environ.get("QUERY_STRING", "")),
        raw=environ,
        url=request_uri(environ, include_query=False),
    )
    return at.handler.handle_sync(environ["REQUEST_METHOD"], asked)


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    return {**found, "content-type": environ.get("CONTENT_TYPE", "")}
