"""Rendering of header lines that come from outside (the fetch gateway takes them from user code)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from holdfast.server.drivers.http import failures

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What the client decides itself: framing, the connection, and where the request goes.
_OWN: Final = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip


def render(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> bytes:
    """Write header lines, each ending in CRLF; those that the client must decide itself are left out.

    Raises:
        CallFailure: A name or value can't be sent.

    """
    pairs: Iterable[tuple[str, str]] = headers.items() if isinstance(headers, Mapping) else headers
    return b"".join(_line(name, value) for name, value in pairs if name.lower() not in _OWN)


def method(name: str) -> bytes:
    """Write a method as it stands in the request line.

    Raises:
        CallFailure: It is no token.

    """
    if not _TOKEN.fullmatch(name):
        raise failures.other(f"invalid method {name!r}")
    return name.upper().encode("ascii")


def has(lines: bytes, name: bytes) -> bool:
    """Return whether rendered ``lines`` contain the field ``name`` (lower case)."""
    return b"\r\n" + name + b":" in b"\r\n" + lines.lower()


def _line(name: str, value: str) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise failures.other(f"invalid header field name {name!r}")
    if _BAD_VALUE.search(value):
        raise failures.other(f'invalid header field value for "{name}"')
    return b"%b: %b\r\n" % (name.encode("ascii"), value.strip(" \t").encode("utf-8", "surrogateescape"))
