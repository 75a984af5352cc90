"""Requests that a browser makes for another site: refused where they could do harm (CSRF, DNS rebinding)."""

from __future__ import annotations

import ipaddress
import socket
from functools import cache

#: Names that no stranger's DNS can point here.
_LOCAL = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")


def from_elsewhere(host: str, origin: str, fetch_site: str) -> bool:
    """Whether headers tell of another site: `Sec-Fetch-Site`, else `Origin` against `Host`; neither: no browser."""
    if fetch_site:
        return fetch_site not in {"same-origin", "none"}
    return bool(origin) and (origin == "null" or _host(origin).lower() != host.lower())


def local(host: str, allowed: tuple[str, ...] = ()) -> bool:
    """Whether a `Host` (or the origin's) is this machine's: an address, a name without dots, or one `allowed`."""
    name = _name(host)
    if "*" in allowed or name in allowed or name in _own_names():
        return True
    return "." not in name or name.endswith(_LOCAL) or _is_address(name)


def of_local_page(origin: str, allowed: tuple[str, ...] = ()) -> bool:
    """Whether a page that was loaded from this machine, or an allowed host, makes a request."""
    return origin != "null" and local(_host(origin), allowed)


def _host(origin: str) -> str:
    """Name and port of an origin, which has nothing after them; clients may write what no parser of URLs reads."""
    return origin.partition("://")[2]


def _name(host: str) -> str:
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    return name.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower()})
