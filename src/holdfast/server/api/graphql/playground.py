"""`GET /v0/`: a page to try GraphQL on. It is whole in itself: nothing is loaded from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def routes() -> list[BaseRoute]:
    """Return the page, with and without its slash."""
    return [Route(path, _show, methods=["GET"]) for path in ("/v0", "/v0/")]


async def _show(_: Request) -> Response:
    return HTMLResponse(_page(), headers=_HEADERS)


@cache
def _page() -> str:
    return resources.files("holdfast.server.api.graphql").joinpath("playground.html").read_text("utf-8")
