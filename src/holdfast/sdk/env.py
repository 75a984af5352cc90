"""Environment variables, and the URLs that they or their defaults give."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlparse, urlunparse

from holdfast.sdk import consts
from holdfast.sdk.consts import EnvKey, ServerKind, Streaming
from holdfast.sdk.errors import URLInvalidError

_FALSE: Final = ("false", "0")
_BRANCHES: Final = (EnvKey.ENV, EnvKey.RAILWAY_GIT_BRANCH, EnvKey.RENDER_GIT_BRANCH, EnvKey.VERCEL_GIT_BRANCH)


def get(key: EnvKey) -> str | None:
    """Return a variable without blanks around it; None if it is not set."""
    value = os.environ.get(key.value)
    return None if value is None else value.strip()


def is_false(key: EnvKey) -> bool:
    """Whether a variable says no: `0` or `false`."""
    return (get(key) or "").lower() in _FALSE


def is_truthy(key: EnvKey) -> bool:
    """Whether a variable is set to anything but no."""
    return bool(get(key)) and not is_false(key)


def get_int(key: EnvKey) -> int | None:
    """Return a variable that is a number; None if it is not set or no number."""
    try:
        return int(get(key) or "")
    except ValueError:
        return None


def max_body_bytes() -> int:
    """Return how large the body of a request may be."""
    return get_int(EnvKey.MAX_BODY_BYTES) or consts.MAX_BODY_BYTES


def environment_name() -> str | None:
    """Return the branch environment: of Inngest's variable, else of a hosting platform's."""
    return next(filter(None, map(get, _BRANCHES)), None)


def streaming() -> Streaming | None:
    """Return what `INNGEST_STREAMING` says; `allow` is the word of other SDKs for `force`."""
    value = (get(EnvKey.STREAMING) or "").lower()
    value = "force" if value == "allow" else value
    return Streaming(value) if value in {each.value for each in Streaming} else None


def _or_env(given: str | None, key: EnvKey) -> str | None:
    return given if given is not None else get(key)


def route(given: str | None) -> str:
    """Return the path to mount a handler at."""
    return _or_env(given, EnvKey.SERVE_PATH) or consts.DEFAULT_SERVE_PATH


def api_origin(given: str | None, mode: ServerKind) -> str:
    """Return the origin of the REST API; raise URLInvalidError if what was given is no URL."""
    default = consts.DEFAULT_API_ORIGIN
    return _origin(given, mode, EnvKey.API_BASE_URL, default)


def event_api_origin(given: str | None, mode: ServerKind) -> str:
    """Return the origin of the event API; raise URLInvalidError if what was given is no URL."""
    return _origin(given, mode, EnvKey.EVENT_API_BASE_URL, consts.DEFAULT_EVENT_API_ORIGIN)


def parse_url(url: str, mode: ServerKind) -> str:
    """Return a URL with a scheme, https in cloud mode; raise URLInvalidError if it has no domain and no port."""
    bare = url.removeprefix("https://").removeprefix("http://")
    if "." not in bare and ":" not in bare:
        raise URLInvalidError("invalid URL: no domain or port")
    if not url.startswith("http"):
        url = f"{'https' if mode is ServerKind.CLOUD else 'http'}://{url}"
    try:
        parsed = urlparse(url)
    except ValueError as error:
        raise URLInvalidError(f"invalid URL: {error}") from None
    if not parsed.netloc:
        raise URLInvalidError("invalid URL")
    return parsed.geturl()


def create_serve_url(
    *, public_path: str | None, request_url: str, serve_origin: str | None, serve_path: str | None
) -> str:
    """Return the URL by which a server reaches an app: the request's, with what was given put in its place.

    The arguments win over the environment; query and fragment are dropped.
    """
    return _serve_url(
        public_path, request_url, _or_env(serve_origin, EnvKey.SERVE_ORIGIN), _or_env(serve_path, EnvKey.SERVE_PATH)
    )


def _serve_url(public_path: str | None, request_url: str, origin: str | None, path: str | None) -> str:
    url = urlparse(request_url)
    scheme, host = url.scheme, url.netloc
    if origin:
        given = urlparse(origin if "://" in origin else f"https://{origin}")
        scheme, host = given.scheme or scheme, given.netloc or host
    found = public_path if public_path is not None else path if path is not None else url.path
    return urlunparse((scheme, host, found, "", "", ""))


def _origin(given: str | None, mode: ServerKind, key: EnvKey, cloud: str) -> str:
    if given:
        return parse_url(given, mode)
    found = next(filter(None, (_url(each, mode) for each in (key, EnvKey.BASE_URL, EnvKey.DEV))), None)
    return found or (consts.DEV_SERVER_ORIGIN if mode is ServerKind.DEV_SERVER else cloud)


def _url(key: EnvKey, mode: ServerKind) -> str | None:
    """Return a variable that is a URL. Others are ignored: `INNGEST_DEV=1` is one."""
    try:
        return parse_url(get(key) or "", mode)
    except URLInvalidError:
        return None
