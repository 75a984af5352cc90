"""Paths and routes: parameters may hold `/`, a wrong method is a 405 without a body (`protocol/http-apis.md` §1.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9a-fA-F]{2})")
_UNTOLD: Final = {"HEAD", "NONE"}  # what comes with GET, and what a route has that takes no method
_HIDDEN: Final = re.compile(rb"%(?=2f|25)", re.IGNORECASE)  # a slash, and the sign itself


class EscapedPaths:
    """Leaves the slashes escaped that a path has within its parameters, for the middleware and the routes alike."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        raw: bytes = scope.get("raw_path") or b""
        if b"%" in raw:
            if scope["type"] == "http" and _BAD_ESCAPE.search(raw):
                await PlainTextResponse("400 Bad Request", 400)(scope, receive, send)
                return
            scope["path"] = unquote(_HIDDEN.sub(b"%25", raw).decode("latin-1"))
        await self._app(scope, receive, send)


class ApiRoute(Route):
    """A route whose parameters are unescaped one by one, and whose 405 has no body."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request is for this route, and its parameters."""
        match, found = super().matches(scope)
        if match is not Match.NONE and "%" in scope["path"]:
            found["path_params"] = {name: unquote(value) for name, value in found["path_params"].items()}
        return match, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the path."""
        if self.methods and scope["method"] not in self.methods:
            await wrong_method(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def wrong_method(scope: Scope) -> Response:
    """The 405 of a path that is there, with what all routes of this path take."""
    routes = [route for route in scope["router"].routes if isinstance(route, Route)]
    taken = {method for route in routes if route.matches(scope)[0] is not Match.NONE for method in route.methods or ()}
    return Response(status_code=405, headers={"allow": ", ".join(sorted(taken - _UNTOLD))})
