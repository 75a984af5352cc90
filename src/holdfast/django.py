"""Serve functions with Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import django
import django.http
import django.urls
from django.core.exceptions import RequestDataTooBig
from django.views.decorators.csrf import csrf_exempt

from holdfast.sdk.consts import Framework
from holdfast.sdk.mounting import Mount, mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.sdk.answers import CommRequest, CommResponse
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.function import Function


FRAMEWORK = Framework.DJANGO


def serve(
    client: Inngest,
    functions: list[Function[Any]],
    *,
    enable_unauthed_sync: bool | None = None,
    public_path: str | None = None,
    serve_origin: str | None = None,
    serve_path: str | None = None,
) -> django.urls.URLPattern:
    """Return the route of an app's functions, for `urlpatterns`.

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
    view = _async_view(at) if at.handler.has_async else _view(at)
    return django.urls.path(at.path.lstrip("/"), csrf_exempt(view))


def _view(at: Mount) -> Callable[[django.http.HttpRequest], django.http.HttpResponse]:
    def inngest_api(request: django.http.HttpRequest) -> django.http.HttpResponse:
        if at.refuses(request.META.get("CONTENT_LENGTH")):
            return _response(at.too_large())
        return _response(at.handler.handle_sync(request.method or "", _request(at, request)))

    return inngest_api


def _async_view(at: Mount) -> Callable[..., Any]:
    if django.VERSION[0] < 5:
        raise RuntimeError("Django version 5 or higher is required for async mode")

    async def inngest_api(request: django.http.HttpRequest) -> django.http.HttpResponse:
        if at.refuses(request.META.get("CONTENT_LENGTH")):
            return _response(at.too_large())
        return _response(await at.handler.handle(request.method or "", _request(at, request)))

    return inngest_api


def _request(at: Mount, request: django.http.HttpRequest) -> CommRequest:
    return at.request(
        body=_body(request),
        headers=dict(request.headers.items()),
        query=dict(request.GET.lists()),
        raw=request,
        url=request.build_absolute_uri(),
    )


def _body(request: django.http.HttpRequest) -> bytes:
    """Return the body, also if it is larger than what `DATA_UPLOAD_MAX_MEMORY_SIZE` allows forms."""
    try:
        return cast("bytes", request.body)
    except RequestDataTooBig:
        return cast("bytes", request.read())


def _response(answer: CommResponse) -> django.http.HttpResponse:
    return django.http.HttpResponse(answer.content, status=answer.status_code, headers=answer.headers)
