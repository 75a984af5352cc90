"""`GET /`: a page for whoever opens the server's address in a browser. The web UI will take its place."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from holdfast.server.access.principals import current
from holdfast.server.api.backend import Backend

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Holdfast</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --accent: light-dark(#2f5fd0, #8fb0ff) }}
body {{ max-width: 52rem; margin: 2.5rem auto; padding: 0 1rem }}
header {{ display: flex; justify-content: space-between; align-items: center; gap: 1rem }}
h2 {{ margin: 2rem 0 .5rem; font-size: 1.15rem }}
table {{ border-collapse: collapse; width: 100% }}
td {{ padding: .45rem .8rem .45rem 0; border-bottom: 1px solid #8884; vertical-align: top }}
td:first-child {{ white-space: nowrap }}
code {{ font-size: .85em; overflow-wrap: anywhere }}
a {{ color: var(--accent) }}
button {{ font: inherit; font-size: .9rem; padding: .2rem .7rem; color: inherit; background: none; cursor: pointer;
  border: 1px solid #8886; border-radius: .35rem }}
</style>
<header><h1>Holdfast</h1>{you}</header>
<p>This {kind} is up, version {version}. There is no web UI yet; everything it would show can be asked of the APIs.</p>
<h2>Apps</h2>
{apps}
<h2>Where to go from here</h2>
<table>
<tr><td>Send an event</td><td><code>curl {origin}/e/{key} -d '{{"name": "demo/hello", "data": {{}}}}'</code></td></tr>
<tr><td>Its runs</td><td><code>curl {bearer}{origin}/v1/events/&lt;id&gt;/runs</code></td></tr>
<tr><td>Events and runs</td><td><a href="/v1/events">/v1/events</a>, <a href="/v2/runs">/v2/runs</a>, and what else
<a href="/openapi.json">the API</a> has</td></tr>
<tr><td>GraphQL</td><td><a href="/v0/">try it here</a>, or ask <code>{origin}/v0/gql</code></td></tr>
<tr><td>Figures</td><td><a href="/metrics">/metrics</a> for Prometheus</td></tr>
</table>
</html>
"""
_NO_APPS = "<p>None has registered yet. Name one with <code>holdfast {mode} -u {url}</code>, {or_else}.</p>"
_APP = "http://localhost:8000/api/inngest"
_NO_APPS_HERE = {
    "dev": _NO_APPS.format(mode="dev", url=_APP, or_else="or let the dev server find it on one of the usual ports"),
    "cloud": _NO_APPS.format(mode="start", url=_APP, or_else=f"or have it register: <code>curl -X PUT {_APP}</code>"),
}


def routes(backend: Backend) -> list[Route]:
    """The page."""

    async def show(request: Request) -> Response:
        info = backend.info
        origin = f"{request.url.scheme}://{request.url.netloc}"
        page = _PAGE.format(
            kind="dev server" if info.kind == "dev" else "server",
            version=escape(info.version),
            apps=await _apps(backend),
            origin=escape(origin),
            you=_you(),
            key="any-key" if info.kind == "dev" else "&lt;event key&gt;",
            bearer="" if info.kind == "dev" else '-H "Authorization: Bearer &lt;token&gt;" ',
        )
        return HTMLResponse(page)

    return [Route("/", show, methods=["GET"])]


def _you() -> str:
    """Who is logged in, with a way out."""
    principal = current.get()
    if principal is None or not principal.by_cookie:
        return ""
    who = f"{escape(principal.name)}, {principal.role.word}"
    return f'<form method="post" action="/logout">{who} <button>Log out</button></form>'


async def _apps(backend: Backend) -> str:
    if backend.info.kind != "dev" and current.get() is None:
        return "<p>Ask the APIs: this page tells nothing to strangers.</p>"
    apps = await backend.history.apps()
    functions = await backend.history.functions_of_apps([app.id for app in apps])
    rows = [
        f"<tr><td>{escape(app.name or app.url)}</td><td>{_count(len(functions.get(app.id, ())))}</td>"
        f"<td>{escape(app.error or 'connected')}</td><td><code>{escape(app.url)}</code></td></tr>"
        for app in apps
    ]
    return f"<table>{''.join(rows)}</table>" if rows else _NO_APPS_HERE[backend.info.kind]


def _count(functions: int) -> str:
    return "1 function" if functions == 1 else f"{functions:,} functions"
