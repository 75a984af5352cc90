"""The token that opens a socket: handed out by `POST /v0/connect/start`, shown in a worker's first message."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Final

from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID

#: Seconds in which the socket must be opened; it may stay open for longer.
LIFETIME_S: Final = 300
#: Most apps of one connection.
MOST_APPS: Final = 100
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "connect.inngest.com"
_AUDIENCE: Final = "gateway.connect.inngest.com"


class SessionError(Exception):
    """A token that opens no socket; the text says why."""


async def load() -> None:
    """Load the library in a thread: that takes a tenth of a second."""
    if "jwt" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "jwt")


def issue(secret: str, token_id: str, now_s: int) -> str:
    """Return a token that is good for LIFETIME_S from now (seconds since the epoch)."""
    import jwt  # noqa: PLC0415 - brings a whole cryptography library, which few servers ever need

    claims = {
        "iss": _ISSUER, "aud": [_AUDIENCE], "sub": ACCOUNT_ID, "env": ENV_ID, "iat": now_s, "exp": now_s + LIFETIME_S,
        "jti": token_id, "entitlements": {"appsPerConnection": MOST_APPS},
    }  # fmt: skip
    return jwt.encode(claims, secret, _ALGORITHM)


def check(secret: str, token: str) -> None:
    """Raise SessionError unless a token is one of ours, for a worker's socket, and in its time."""
    import jwt  # noqa: PLC0415 - as above

    try:
        jwt.decode(token, secret, [_ALGORITHM], {"require": ["exp", "iat", "sub"]}, issuer=_ISSUER, audience=_AUDIENCE)
    except jwt.ExpiredSignatureError:
        raise SessionError("the session token has expired; ask /v0/connect/start for another") from None
    except jwt.InvalidTokenError:
        raise SessionError("the session token is not from this server") from None
