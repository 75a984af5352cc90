"""Who may subscribe and publish (`protocol/realtime.md` §2.1): bearers of a realtime token, or of the signing key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response

from holdfast.server.access.keys import Keys
from holdfast.server.api.common.asgi import vouch
from holdfast.server.api.common.jwt import TokenError, Tokens
from holdfast.server.realtime import grants
from holdfast.server.realtime.grants import Grant

NOT_FOR_PUBLISHING: Final = "Not authenticated for publishing"

Reply = Callable[[int, str], Response]


class Gate:
    """Who may subscribe and publish."""

    def __init__(self, tokens: Tokens, keys: Keys) -> None:
        self._tokens = tokens
        self._keys = keys

    async def grant(self, connection: HTTPConnection) -> Grant:
        """What the caller's token allows. Raises TokenError; its text is empty if there is no token."""
        token = bearer(connection) or connection.query_params.get("token", "")
        if not token:
            raise TokenError
        await self._tokens.load()
        return self.read(token)

    def read(self, token: str) -> Grant:
        """What a token allows. Raises TokenError."""
        grant = grants.grant(self._tokens.read(token, grants.ISSUER))
        if grant is None:
            raise TokenError("is not for subscribing")
        return grant

    def has_key(self, connection: HTTPConnection) -> bool:
        """Whether the caller has the signing key; everybody, where there is none."""
        return not self._keys.guarded or self._keys.opens(bearer(connection))

    async def refuse_publishing(self, request: Request, reply: Reply) -> Response | None:
        """The answer to a caller who may not publish."""
        try:
            allowed = (await self.grant(request)).publish
        except TokenError:
            if not self.has_key(request):
                return authentication_failed()
            allowed = True
        if not allowed:
            return reply(401, NOT_FOR_PUBLISHING)
        vouch(request.scope)
        return None


def bearer(connection: HTTPConnection) -> str:
    """The bearer token of a request, if any. Clients without a key send the scheme alone."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def authentication_failed() -> Response:
    """The answer of all routes that want the signing key."""
    return text(401, "Authentication failed")


def text(status: int, message: str) -> Response:
    """An error as plain text."""
    return PlainTextResponse(message + "\n", status, {"x-content-type-options": "nosniff"})
