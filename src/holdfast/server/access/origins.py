"""Requests that a browser makes for another site: refused where they could do harm (CSRF, DNS rebinding).

`Host` and `Origin` decide, which a page can't choose; what else a request says of its sender, a page may say, too.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import cache

#: Names that no public DNS has: a page under one of these comes from the local network.
_LOCAL = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")
_LOOPBACK = ".localhost"


def from_elsewhere(host: str, origin: str, fetch_site: str) -> bool:
    """Whether headers tell of another site: `Sec-Fetch-Site`, else `Origin` against `Host`; neither: no browser."""
    if fetch_site:
        return fetch_site not in {"same-origin", "none"}
    return bool(origin) and (origin == "null" or _host(origin).lower() != host.lower())


def local(host: str, allowed: tuple[str, ...] = ()) -> bool:
    """Whether nobody else's DNS can have led to a `Host`: an address, a name of local networks, or one `allowed`."""
    name = _name(host)
    if "*" in allowed or name in allowed or name in _own_names():
        return True
    return "." not in name or name.endswith(_LOCAL) or _address(name) is not None


def of_own_page(origin: str, host: str, address: str, allowed: tuple[str, ...] = ()) -> bool:
    """Return whether a page of this machine makes a request.

    Its `origin` is loopback, the `address` that was called, one `allowed`, or the same local host on whatever port.
    """
    if origin == "null":
        return False
    name = _name(_host(origin))
    if "*" in allowed or name in allowed or name in _own_names() or (name == _name(host) and local(host)):
        return True
    found = _address(name)
    if found is None:
        return name == _LOOPBACK[1:] or name.endswith(_LOOPBACK)
    return found.is_loopback or found == _address(address)


def _host(origin: str) -> str:
    """Name and port of an origin, which has nothing after them; clients may write what no parser of URLs reads."""
    return origin.partition("://")[2]


def _name(host: str) -> str:
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    return name.lower().rstrip(".")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower()})
