"""Serve functions from AWS Lambda: function URLs, API Gateway (both versions), load balancers."""

# The platform's events are JSON without types.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import Mount, mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.answers import CommRequest
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function


FRAMEWORK = Framework.AWS_LAMBDA


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
) -> Callable[[dict[str, Any], object], dict[str, Any]]:
    """Return the handler of a Lambda function.

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

    def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
        method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
        answer = at.handler.handle_sync(method, _request(at, event, context))
        return {"statusCode": answer.status_code, "headers": answer.headers, "body": answer.content.decode()}

    return handler


def _request(at: Mount, event: dict[str, Any], context: object) -> CommRequest:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    body = (event.get("body") or "").encode()
    return at.request(
        body=base64.b64decode(body) if event.get("isBase64Encoded") else body,
        headers=headers,
        query=_query(event),
        raw={"event": event, "context": context},
        url=_url(event, headers),
    )


def _query(event: dict[str, Any]) -> dict[str, Any]:
    """Return the query: of version 2 as text, of version 1 and of load balancers as names with values."""
    if "rawQueryString" in event:
        return dict(parse_qs(event["rawQueryString"]))
    several = event.get("multiValueQueryStringParameters")
    return dict(several or event.get("queryStringParameters") or {})


def _url(event: dict[str, Any], headers: dict[str, str]) -> str:
    """Return the URL of a request, with the stage that API Gateway hides from the path of version 1."""
    about = event.get("requestContext") or {}
    host = headers.get("host") or about.get("domainName") or "localhost"
    path = event.get("rawPath") or about.get("path") or event.get("path") or "/"
    return f"{headers.get('x-forwarded-proto', 'https')}://{host}{path}"
