"""Serve functions with Flask. Asynchronous ones run in an event loop beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import mount

if TYPE_CHECKING:
    from holdfast.sdk.answers import CommResponse
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function


FRAMEWORK = Framework.FLASK


def serve(
    app: flask.Flask | flask.Blueprint,
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
) -> None:
    """Add the route of an app's functions.

    Args:
        app: A Flask app, or a blueprint.
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

    @app.route(at.path, methods=["GET", "POST", "PUT"])
    def inngest_api() -> flask.Response:
        request = flask.request
        if at.refuses(request.content_length):
            return _response(at.too_large())
        asked = at.request(
            body=request.get_data(),
            headers=dict(request.headers),
            query=request.args.to_dict(flat=False),
            raw=request,
            url=request.url,
        )
        return _response(at.handler.handle_sync(request.method, asked))


def _response(answer: CommResponse) -> flask.Response:
    return flask.Response(answer.content, answer.status_code, answer.headers)
