"""Where a request goes: a URL, taken apart once."""

from __future__ import annotations

import base64
import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

import msgspec
from msgspec import structs

from holdfast.server.drivers.http import failures

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PATH_SAFE: Final = "/%:=&?~#+!$,;'@()*[]"
_ENCODINGS: Final = b"Accept-Encoding: gzip, br\r\n"
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


class Target(msgspec.Struct, frozen=True):
    """A parsed URL, with all that a request head needs of it already in bytes.

    Attributes:
        url: The URL without user info and fragment.
        scheme: ``http`` or ``https``.
        host: Host to connect to: a name in ASCII or an address without brackets.
        port: TCP port.
        origin: ``scheme://host:port``, what connections are pooled by.
        path: Raw path and query, at least ``/``.
        fixed: The header lines that depend on the URL alone: Host, Accept-Encoding, Authorization from user info.

    """

    url: str
    scheme: str
    host: str
    port: int
    origin: str
    path: bytes
    fixed: bytes

    @property
    def secure(self) -> bool:
        """TLS is wanted."""
        return self.scheme == "https"

    def at(self, path: bytes) -> Target:
        """Point to another raw path and query of the same server; much cheaper than parsing."""
        base = self.url[: len(self.url) - len(self.path)]
        return structs.replace(self, url=base + path.decode("ascii"), path=path)

    def uncompressed(self) -> Target:
        """Ask the same server for an answer that can be read piece by piece."""
        return structs.replace(self, fixed=self.fixed.replace(_ENCODINGS, b""))

    @staticmethod
    def parse(url: str) -> Target:
        """Take ``url`` apart; results are cached.

        Raises:
            CallFailure: It is no absolute http or https URL.

        """
        return _parse(url)


@lru_cache(maxsize=4096)
def _parse(url: str) -> Target:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise failures.other(f"invalid URL {url!r}: {str(error).lower()}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise failures.other(f'unsupported protocol scheme "{parts.scheme}"', failures.UNSUPPORTED_PROTOCOL)
    host = _ascii_host(parts.hostname, url)
    authority = f"[{host}]" if ":" in host else host
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    elif port != _DEFAULT_PORTS[parts.scheme]:
        authority = f"{authority}:{port}"
    path = quote(parts.path, safe=_PATH_SAFE) or "/"
    query = quote(parts.query, safe=_PATH_SAFE)
    line = f"{path}?{query}" if query else path
    return Target(
        url=f"{parts.scheme}://{authority}{line}",
        scheme=parts.scheme,
        host=host,
        port=port,
        origin=f"{parts.scheme}://{host}:{port}",
        path=line.encode("ascii"),
        fixed=_fixed_lines(authority, host, parts),
    )


def _ascii_host(host: str | None, url: str) -> str:
    if not host:
        raise failures.other(f"no host in request URL {url!r}")
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_host = ""
    if not ascii_host or _CONTROL.search(ascii_host):
        raise failures.other(f"invalid host in request URL {url!r}")
    return ascii_host


def _fixed_lines(authority: str, host: str, parts: SplitResult) -> bytes:
    lines = [b"Host: " + authority.encode("ascii")]
    if not _is_loopback(host):  # compressing for a neighbour on the same machine is wasted work on both sides
        lines.append(_ENCODINGS.removesuffix(b"\r\n"))
    if parts.username is not None:
        secret = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        lines.append(b"Authorization: Basic " + base64.b64encode(secret))
    return b"".join(line + b"\r\n" for line in lines)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
