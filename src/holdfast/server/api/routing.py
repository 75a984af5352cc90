"""Routes as the reference answers them: a wrong method is a 405 without a body (`protocol/http-apis.md` §1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class ApiRoute(Route):
    """A route whose 405 has no body."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the path."""
        if self.methods and scope["method"] not in self.methods:
            allowed = ", ".join(sorted(self.methods - {"HEAD"}))
            await Response(status_code=405, headers={"allow": allowed})(scope, receive, send)
        else:
            await self.app(scope, receive, send)
