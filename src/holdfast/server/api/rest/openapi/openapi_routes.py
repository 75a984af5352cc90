"""`/openapi.json`, and a page that lists what is in it."""

from __future__ import annotations

from functools import cache
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, Response

from holdfast.server.api.common.routing import ApiRoute

if TYPE_CHECKING:
    from starlette.requests import Request

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "h2{margin:2rem 0 .5rem;font-size:1.15rem}table{width:100%;border-collapse:collapse;table-layout:fixed}"
    "td{padding:.2rem 1rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}td:first-child{width:5rem}"
    "code{font-size:.95em}@media(max-width:40rem){td{display:block;padding:0}td:last-child{padding-bottom:.75rem}}"
)


def routes(version: str) -> list[ApiRoute]:
    """Return the routes of this module. What they show is made when it is first asked for."""

    async def document(_request: Request) -> Response:
        from holdfast.server.api.rest.openapi import document as made  # noqa: PLC0415 - half of it is only for this

        return Response(made.document(version), media_type="application/json")

    async def page(_request: Request) -> Response:
        return HTMLResponse(_page(version))

    return [
        ApiRoute("/openapi.json", document, methods=["GET"]),
        ApiRoute("/docs/api", page, methods=["GET"]),
    ]


@cache
def _page(version: str) -> bytes:
    """Return the page. It costs milliseconds, and strangers may ask for it: it is made once."""
    from holdfast.server.api.rest.openapi import reference  # noqa: PLC0415 - as above

    groups = groupby(reference.lines(version), key=itemgetter(0))
    tables = "".join(f"<h2>{escape(tag)}</h2><table>{''.join(map(_row, lines))}</table>" for tag, lines in groups)
    title = "HTTP API of this Holdfast server"
    meta = "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
    head = f"<!doctype html><html lang=en>{meta}<title>{title}</title><style>{_STYLE}</style>"
    link = '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
    return f"{head}<h1>{title}</h1>{link}{tables}".encode()


def _row(line: tuple[str, str, str, str]) -> str:
    _, method, path, summary = (escape(text) for text in line)
    return f"<tr><td><code>{method}</code><td><code>{path}</code><td>{summary}"
