"""App and step URLs: normalising, and setting the step of a call (`protocol/execution.md` §1.6, §2.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote_plus, urlsplit

_DROPPED: Final = frozenset({"deployId", "probe"})
_DEFAULT_PORTS: Final = {"http": ":80", "ws": ":80", "https": ":443", "wss": ":443"}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "0.0.0.0"})  # noqa: S104 - compared with, not bound to
_HAS_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_UNUSABLE: Final = re.compile(r"[\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})")


def normalize_url(url: str) -> str:
    """Write a URL in the form that identifies an app: no `deployId` or `probe`, no default port, one loopback name.

    The query is re-encoded, sorted by key. A loopback host without a port stays, as does a text that is no URL.
    """
    parts = split_url(url)
    if parts is None:
        return url
    query = _encode([pair for pair in _pairs(parts.query) if pair[0] not in _DROPPED])
    return parts._replace(netloc=_normal_host(parts), query=query).geturl()


def with_scheme(url: str) -> str:
    """Put `http://` before a URL that has no scheme."""
    return url if _HAS_SCHEME.match(url) else f"http://{url}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, normalised, without user info; empty for a text that is no URL."""
    parts = split_url(url)
    if parts is None or not parts.scheme or not parts.hostname:
        return ""
    return f"{parts.scheme}://{_normal_host(parts).rpartition('@')[2]}"


def set_step_id(url: str, step_id: str) -> str:
    """Replace the query's `stepId`; the query is re-encoded, sorted by key. A text that is no URL stays."""
    before, after = _around_step_id(url)
    return before + quote_plus(step_id) + after if before else url


def split_url(url: str) -> SplitResult | None:
    """Take a URL apart; None if it has control characters, broken escapes or a malformed host."""
    if _UNUSABLE.search(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


@lru_cache(maxsize=1024)
def _around_step_id(url: str) -> tuple[str, str]:
    # Every call of a function sets the step of the same URL.
    parts = split_url(url)
    if parts is None:
        return "", ""
    pairs = [pair for pair in _pairs(parts.query) if pair[0] != "stepId"]
    earlier, later = [pair for pair in pairs if pair[0] < "stepId"], [pair for pair in pairs if pair[0] > "stepId"]
    before = "&".join([*filter(None, [_encode(earlier)]), "stepId="])
    after = "".join(f"&{text}" for text in [_encode(later)] if text)
    return parts._replace(query=before, fragment="").geturl(), f"{after}#{parts.fragment}" if parts.fragment else after


def _normal_host(parts: SplitResult) -> str:
    if parts.port is None:
        return parts.netloc
    user, at, host_and_port = parts.netloc.rpartition("@")
    host = host_and_port.rpartition(":")[0]
    if host in _LOOPBACK:
        host = "localhost"
    port = f":{parts.port}"
    return f"{user}{at}{host}{'' if _DEFAULT_PORTS.get(parts.scheme) == port else port}"


def _pairs(query: str) -> list[tuple[str, str]]:
    # Go drops a part with a semicolon.
    return parse_qsl("&".join(part for part in query.split("&") if ";" not in part), keep_blank_values=True)


def _encode(pairs: list[tuple[str, str]]) -> str:
    ordered = sorted(pairs, key=lambda pair: pair[0])
    return "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in ordered)
