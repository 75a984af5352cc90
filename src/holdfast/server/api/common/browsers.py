"""What browsers are told of every answer: not to keep it, nor to guess what it is; of pages: what these may do."""

from __future__ import annotations

from typing import Final

Headers = list[tuple[bytes, bytes]]

_ALL: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_CSP: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)
_PAGES: Final = (
    (b"content-security-policy", _CSP), (b"x-frame-options", b"DENY"), (b"referrer-policy", b"same-origin"),
)  # fmt: skip


def guarded(headers: Headers) -> Headers:
    """Headers with those that a route did not set itself."""
    own = dict(headers)
    defaults = (*_ALL, *_PAGES) if own.get(b"content-type", b"").startswith(b"text/html") else _ALL
    return [*headers, *((name, value) for name, value in defaults if name not in own)]
