"""JSON Web Tokens that this server hands out and takes back (HS256)."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Mapping

_ALGORITHM = "HS256"


class TokenError(Exception):
    """A token that is not valid now; the text says why, as the end of "the token …"."""


class Tokens:
    """Signs tokens and reads them again. `secret` outlives rotations of keys (`access.keys`)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    @staticmethod
    async def load() -> None:
        """Bring in the library, a tenth of a second's work, without holding up the event loop."""
        if "jwt" not in sys.modules:
            await asyncio.to_thread(importlib.import_module, "jwt")

    def issue(self, claims: Mapping[str, object]) -> str:
        """Signs claims."""
        return issue(claims, self._secret)

    def read(self, token: str, issuer: str) -> dict[str, object]:
        """Return the claims of a token of ours. Raises TokenError."""
        import jwt  # noqa: PLC0415 - brings a whole cryptography library, which few servers ever need

        try:
            return jwt.decode(token, self._secret, [_ALGORITHM], {"require": ["exp", "iat"]}, issuer=issuer)
        except jwt.ExpiredSignatureError:
            raise TokenError("has expired") from None
        except jwt.InvalidTokenError:
            raise TokenError("is none of this server's") from None


def issue(claims: Mapping[str, object], secret: str) -> str:
    """Signs claims."""
    import jwt  # noqa: PLC0415 - as above

    return jwt.encode(dict(claims), secret, _ALGORITHM)
