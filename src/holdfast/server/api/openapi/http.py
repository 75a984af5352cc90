"""`/openapi.json`, and a page that lists what is in it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, Response

from holdfast.server.api.routing import ApiRoute

if TYPE_CHECKING:
    from starlette.requests import Request

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "td{padding:.15rem 1rem .15rem 0;vertical-align:top}code{font-size:.95em}"
)


def routes(version: str) -> list[ApiRoute]:
    """The routes of this module. What they show is made when it is first asked for."""

    async def document(_request: Request) -> Response:
        from holdfast.server.api.openapi import document as made  # noqa: PLC0415 - half of it is only for this

        return Response(made.document(version), media_type="application/json")

    async def page(_request: Request) -> Response:
        from holdfast.server.api.openapi import reference  # noqa: PLC0415 - as above

        rows = "".join(_row(line) for line in reference.lines(version))
        title = "HTTP API of this Holdfast server"
        head = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        link = '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        return HTMLResponse(f"{head}<h1>{title}</h1>{link}<table>{rows}</table>")

    return [
        ApiRoute("/openapi.json", document, methods=["GET"]),
        ApiRoute("/docs/api", page, methods=["GET"]),
    ]


def _row(line: tuple[str, str, str, str]) -> str:
    tag, method, path, summary = (escape(text) for text in line)
    return f"<tr><td>{tag}<td><code>{method}</code><td><code>{path}</code><td>{summary}"
