"""JSON Web Tokens that this server hands out and takes back (HS256)."""

from __future__ import annotations

from collections.abc import Mapping

_ALGORITHM = "HS256"


def issue(claims: Mapping[str, object], secret: str) -> str:
    """Signs claims."""
    import jwt  # noqa: PLC0415 - brings a whole cryptography library, which few servers ever need

    return jwt.encode(dict(claims), secret, _ALGORITHM)


def read(token: str, secret: str, issuer: str) -> dict[str, object] | None:
    """The claims of a token of ours that is valid now, else None."""
    import jwt  # noqa: PLC0415 - as above

    try:
        return jwt.decode(token, secret, [_ALGORITHM], issuer=issuer)
    except jwt.InvalidTokenError:
        return None
