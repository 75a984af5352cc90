"""The web UI: its page at every address that no API has, and its files under `/assets`.

The files are built from `ui/` when the package is built (`ui/build.py`), into `holdfast/_ui`: names carry a hash of
their content, so that browsers keep them for good, and each lies beside its compressed forms.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
import secrets
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

import holdfast
from holdfast.protocol.rawjson import encode
from holdfast.server.access.principals import current
from holdfast.server.api.common.error_bodies import page_not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from holdfast.server.api.common.backend import ServerInfo

FOLDER: Final = Path(holdfast.__file__).parent / "_ui"
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))  # the smaller one first
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_CSP: Final = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Holdfast</title>
<h1>The web UI is not built</h1>
<p>This server runs from a checkout whose UI was not built, or could not be. Build it, then load this page again:</p>
<pre>scripts/setup</pre>
<p>The APIs work without it: <a href="/docs/api">REST</a>, <a href="/v0/">GraphQL</a>.
"""


def routes() -> list[BaseRoute]:
    """Return the route of the UI's files. Its page is no route: see `Page.add_to`."""
    return [Route("/assets/{name}", _file, methods=["GET"])]


class Page:
    """The page that loads the UI, with what that shall know at once: the server, and who is logged in."""

    def __init__(self, info: ServerInfo, *, open: bool, on_show: Callable[[], None]) -> None:
        self._info = info
        self._open = open
        self._on_show = on_show
        self._taken: frozenset[str] = frozenset()

    def add_to(self, app: Starlette) -> None:
        """Answer browsers with the page wherever there is no route, except below the addresses of APIs."""
        self._taken = frozenset(_first(getattr(route, "path", "")) for route in app.routes) - {""}
        app.router.default = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle what no route is for."""
        answer = self.show(scope["path"]) if self._is_wanted(scope) else page_not_found()
        await answer(scope, receive, send)

    def show(self, path: str) -> Response:
        """Return the page for an address, or what to do if it was not built."""
        try:
            text = (FOLDER / "index.html").read_text("utf-8")
        except FileNotFoundError:
            return HTMLResponse(_NOT_BUILT, 503)
        hashes = "".join(f" 'sha256-{_digest(script)}'" for script in _INLINE.findall(text))
        nonce = secrets.token_urlsafe(16)  # for the styles that the editor makes
        links = "".join(_link(file) for file in _needed(path) if file not in text)
        about = f'<meta name="holdfast" content="{escape(self._about(nonce))}">'
        text = text.replace("</head>", f"{about}{links}</head>", 1)
        self._on_show()
        return HTMLResponse(text, headers={"content-security-policy": _CSP.format(scripts=hashes, nonce=nonce)})

    def _is_wanted(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"} or _first(scope["path"]) in self._taken:
            return False
        accepted = b", ".join(value for name, value in scope["headers"] if name == b"accept")
        return b"text/html" in accepted or (scope["path"] == "/" and (not accepted or b"*/*" in accepted))

    def _about(self, nonce: str) -> str:
        principal = current.get()
        about = {
            "kind": self._info.kind, "version": self._info.version, "open": self._open, "nonce": nonce,
            "user": principal.name if principal is not None else "",
            "role": principal.role.word if principal is not None else "viewer",
        }  # fmt: skip
        return encode(about).decode()


async def _file(request: Request) -> Response:
    """Return a file of the UI, in the best encoding that the browser takes."""
    name = request.path_params["name"]
    if not _NAME.fullmatch(name) or not (FOLDER / "assets" / name).is_file():
        return page_not_found()
    path = FOLDER / "assets" / name
    headers = {"cache-control": _FOR_GOOD, "vary": "accept-encoding"}
    accepted = request.headers.get("accept-encoding", "")
    for encoding, suffix in _ENCODINGS:
        packed = path.with_name(name + suffix)
        if encoding in accepted and packed.is_file():
            path, headers["content-encoding"] = packed, encoding
            break
    return Response(path.read_bytes(), 200, headers, mimetypes.guess_type(name)[0] or "application/octet-stream")


def _needed(path: str) -> list[str]:
    """Return the files of the screen at an address, which its page asks for at once."""
    try:
        known = msgspec.json.decode((FOLDER / "preload.json").read_bytes(), type=dict[str, list[str]])
    except FileNotFoundError:
        return []
    nothing: list[str] = []
    return next((files for address, files in known.items() if _fits(address, path)), nothing)


def _fits(address: str, path: str) -> bool:
    """Whether a path is one of an address such as `/runs/$runID`."""
    parts, given = address.strip("/").split("/"), path.strip("/").split("/")
    same = (part == word or part.startswith("$") for part, word in zip(parts, given, strict=False))
    return len(parts) == len(given) and all(same)


def _link(file: str) -> str:
    kind = "stylesheet" if file.endswith(".css") else "modulepreload"
    return f'<link rel="{kind}" href="/{escape(file)}" crossorigin>'


def _first(path: str) -> str:
    return path.strip("/").partition("/")[0]


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
