"""Registration of an app's functions: in the answer to a server's PUT, or by a request to its API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

import msgspec

from holdfast.sdk import env, inspection, typed
from holdfast.sdk.answers import CommResponse, error_response, json_response
from holdfast.sdk.config import strip_none
from holdfast.sdk.consts import AUTHOR, ErrorCode, HeaderKey, QueryParamKey, ServerKind, SyncKind
from holdfast.sdk.errors import BodyInvalidError, FunctionConfigInvalidError, RegistrationFailedError
from holdfast.sdk.logs import log
from holdfast.sdk.transport import headers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from holdfast.sdk.answers import CommRequest
    from holdfast.sdk.function import Function
    from holdfast.sdk.handler import CommHandler

_TIMEOUT_S = 30.0


class _InBandRequest(msgspec.Struct):
    url: str


def in_band(handler: CommHandler, request: CommRequest) -> CommResponse:
    """Answer with all that is registered."""
    try:
        url = msgspec.json.decode(request.body, type=_InBandRequest).url
    except msgspec.DecodeError as error:
        raise BodyInvalidError(f"the body of an in-band sync needs a url: {error}") from None
    client, app_url = handler.client, _app_url(request, url)
    body = {
        "app_id": client.app_id,
        "appVersion": client.app_version,
        "env": client.env,
        "framework": handler.framework.value,
        "functions": configs(handler.functions.values(), app_url),
        "inspection": inspection.describe(handler, request, signed=True),
        "sdk_author": AUTHOR,
        "sdk_language": client.identity.language,
        "sdk_version": client.identity.version,
        "url": app_url,
    }
    return json_response(strip_none(body), headers={HeaderKey.SYNC_KIND.value: SyncKind.IN_BAND.value})


async def out_of_band(handler: CommHandler, request: CommRequest, *, sync: bool) -> CommResponse:
    """Register at the server's API, and pass its answer on, status included."""
    client = handler.client
    kind = inspection.server_kind(client, request.headers)
    if kind is not None and kind is not client.mode:
        return _mismatch(handler, kind)
    body = typed.encode(strip_none(registration(handler, _app_url(request, request.request_url))))
    headers = headers_of(client.identity, client.env, handler.framework.value, None if kind is None else kind.value)
    response = await client.transport.send(
        "POST", _register_url(handler, request), headers=headers, content=body, sync=sync, timeout_s=_TIMEOUT_S
    )
    return _passed_on(handler, response)


def registration(handler: CommHandler, app_url: str, deploy_type: str = "ping") -> dict[str, Any]:
    """Return the body of a registration."""
    return {
        "appname": handler.client.app_id,
        "appVersion": handler.client.app_version,
        "capabilities": inspection.CAPABILITIES,
        "deploy_type": deploy_type,
        "framework": handler.framework.value,
        "functions": configs(handler.functions.values(), app_url),
        "sdk": handler.client.identity.registered,
        "url": app_url,
        "v": "0.1",
    }


def configs(functions: Iterable[Function[Any]], app_url: str) -> list[dict[str, object]]:
    """Return all functions as they are registered, on-failure handlers after their functions."""
    found = [each.get_config(app_url) for each in functions]
    if not found:
        raise FunctionConfigInvalidError("no functions found")
    return [part for each in found for part in (each.main, each.on_failure) if part is not None]


def _app_url(request: CommRequest, request_url: str) -> str:
    return env.create_serve_url(
        public_path=request.public_path,
        request_url=request_url,
        serve_origin=request.serve_origin,
        serve_path=request.serve_path,
    )


def _register_url(handler: CommHandler, request: CommRequest) -> str:
    name = QueryParamKey.SYNC_ID.value
    query = f"?{urlencode({name: request.query_params[name]})}" if request.query_params.get(name) else ""
    return urljoin(handler.client.api_origin, "/fn/register") + query


def _mismatch(handler: CommHandler, kind: ServerKind) -> CommResponse:
    theirs, mine = ("a Dev Server", "Cloud") if kind is ServerKind.DEV_SERVER else ("Cloud", "Dev Server")
    message = f"Sync rejected since it's from {theirs} but expected {mine}"
    log(handler.client.logger, "error", message)
    return json_response({"code": ErrorCode.SERVER_KIND_MISMATCH.value, "message": message}, 400)


def _passed_on(handler: CommHandler, response: httpx.Response) -> CommResponse:
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        text = f"response is not valid JSON: HTTP {response.status_code} {response.text[:200]}"
        return error_response(handler.client.logger, RegistrationFailedError(text))
    if response.status_code >= 400:
        message = body.get("error") if isinstance(body.get("error"), str) else "registration failed"
        log(handler.client.logger, "error", f"registration failed: {message}")
    headers = {HeaderKey.SYNC_KIND.value: SyncKind.OUT_OF_BAND.value}
    return json_response(body, response.status_code if response.status_code >= 400 else 200, headers)
