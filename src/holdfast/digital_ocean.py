"""Serve functions from a DigitalOcean Function, with `web: raw`."""

# The platform's events are JSON without types.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urljoin

from holdfast.sdk.answers import error_response
from holdfast.sdk.consts import Framework
from holdfast.sdk.errors import BodyInvalidError, Error, QueryParamMissingError
from holdfast.sdk.mounting import Mount, mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.answers import CommRequest
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function


FRAMEWORK = Framework.DIGITAL_OCEAN


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the `main` of a DigitalOcean Function.

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

    def main(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            method, asked = _request(at, event, context)
            answer = at.handler.handle_sync(method, asked)
        except Error as error:
            answer = error_response(client.logger, error, 400)
        except Exception as error:  # noqa: BLE001 - a server gets an answer
            answer = error_response(client.logger, error)
        # As text, which the platform sends as it is: it would write an object anew, and no signature would fit it.
        return {"body": answer.content.decode(), "headers": answer.headers, "statusCode": answer.status_code}

    return main


def _request(at: Mount, event: dict[str, Any], context: Any) -> tuple[str, CommRequest]:
    http = event.get("http")
    if not isinstance(http, dict):
        raise BodyInvalidError('missing "http" key in event')
    for name in ("headers", "queryString"):
        if http.get(name) is None:
            raise BodyInvalidError(f'missing "{name}" event.http; have you set "web: raw"?')
    method, query = str(http.get("method")), parse_qs(str(http["queryString"]))
    if method == "POST":
        _check_call(http, query)
    asked = at.request(
        body=(http.get("body") or "").encode(),
        headers=http["headers"],
        query=query,
        raw={"context": context, "event": event},
        # The platform shows the path below the function only.
        url=urljoin(context.api_host, f"/api/v1/web{context.function_name}"),
    )
    return method, asked


def _check_call(http: dict[str, Any], query: dict[str, list[str]]) -> None:
    """Refuse what the platform made of a call that is not raw."""
    if http.get("body") is None:
        raise BodyInvalidError('missing "body" event.http; have you set "web: raw"?')
    if "probe" in query:
        return
    for name in ("fnId", "stepId"):
        if name not in query:
            raise QueryParamMissingError(name)
