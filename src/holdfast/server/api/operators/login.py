"""`/login` and `/logout`: a page for people, without scripts; also JSON, for a UI that has a form of its own."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from holdfast.server.access.access import COOKIE, Access, LoginRefused
from holdfast.server.access.oidc import Oidc, OidcError
from holdfast.server.access.principals import current
from holdfast.server.api.common.auth import about_other_site, other_site
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.routing import ApiRoute

#: Cookie that ties a login at the identity provider to the browser that began it.
_OIDC_COOKIE = "holdfast_oidc"

#: The colours are those of the UI (`ui/src/styles/tokens.css`); the theme is the system's.
_STYLE = """
:root { color-scheme: light; font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  --paper: #fff; --ground: #f5f6f8; --ink: #14171c; --soft: #545b68; --line: #e1e4e9; --line-strong: #c5cad3;
  --accent: #2457c5; --on-accent: #fff; --bad: #b3201a; --bad-tint: #fdeae8 }
@media (prefers-color-scheme: dark) { :root { color-scheme: dark; --paper: #15181d; --ground: #0e1014;
  --ink: #e9ebef; --soft: #a5adba; --line: #262b33; --line-strong: #3b424e; --accent: #7ea6ff;
  --on-accent: #0b1530; --bad: #ff8d85; --bad-tint: #351514 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px;
  background: var(--ground); color: var(--ink) }
main { width: 100%; max-width: 360px; padding: 28px; background: var(--paper);
  border: 1px solid var(--line); border-radius: 10px }
h1 { display: flex; gap: 10px; align-items: center; margin: 0 0 4px; font-size: 19px; font-weight: 650;
  letter-spacing: -.01em }
h1 rect { fill: var(--accent) }
h1 path { fill: none; stroke: var(--on-accent); stroke-width: 4; stroke-linecap: round }
p { margin: 0 0 18px; color: var(--soft) }
label { display: block; margin-bottom: 14px; color: var(--soft); font-size: 12px; font-weight: 500 }
input { display: block; width: 100%; height: 36px; margin-top: 4px; padding: 0 10px; font: inherit; font-size: 14px;
  font-weight: 400; color: var(--ink); background: var(--paper); border: 1px solid var(--line-strong);
  border-radius: 6px }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
button, a { display: block; width: 100%; height: 36px; padding: 0 12px; font: inherit; font-weight: 500;
  line-height: 34px; text-align: center; text-decoration: none; cursor: pointer; color: var(--on-accent);
  background: var(--accent); border: 1px solid var(--accent); border-radius: 6px }
button { margin-top: 20px }
form + a { margin-top: 10px; color: var(--ink); background: none; border-color: var(--line-strong) }
.problem { padding: 8px 12px; color: var(--bad); background: var(--bad-tint); border-radius: 6px }
code { display: block; padding: 8px 12px; font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  background: var(--ground); border: 1px solid var(--line); border-radius: 6px; overflow-wrap: anywhere }
"""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in · Holdfast</title>
<style>{style}</style>
<main>
<h1><svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true"><rect width="32" height="32" rx="8"/>
<path d="M9 6v20M23 6v20M9 16h14"/></svg>Holdfast</h1>
{body}
</main>
</html>
"""
_FORM = """<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<label>Name
<input name="name" value="{name}" autocomplete="username" autocapitalize="none" required{name_focus}></label>
<label>Password
<input type="password" name="password" autocomplete="current-password" required{password_focus}></label>
<button>Log in</button>
</form>
"""
_NOBODY = """<p>Nobody can log in yet: there are no users.
Add the first one on the server, then reload this page.</p>
<code>holdfast users add NAME --role admin</code>
"""
_CSP = "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class _Given(msgspec.Struct):
    name: str = ""
    password: str = ""
    next: str = "/"


class Login:
    """The pages. `oidc` is the identity provider, if there is one."""

    def __init__(self, access: Access, oidc: Oidc | None) -> None:
        self._access = access
        self._oidc = oidc

    def routes(self) -> list[ApiRoute]:
        """Return the routes of this module."""
        found = [
            ApiRoute("/login", self.handle, methods=["GET", "POST"]),
            ApiRoute("/logout", self.leave, methods=["POST"]),
        ]
        if self._oidc is not None:
            found.append(ApiRoute("/login/oidc", self.depart, methods=["GET"]))
            found.append(ApiRoute("/login/oidc/callback", self.arrive, methods=["GET"]))
        return found

    async def handle(self, request: Request) -> Response:
        """Show the form, or take it."""
        if request.method == "POST":
            return await self._enter(request)
        next = _path(request.query_params.get("next", "/"))
        principal = current.get()
        if not self._access.guarded or (principal is not None and principal.by_cookie):
            return RedirectResponse(next, 303)
        return self._page(200, next)

    async def leave(self, request: Request) -> Response:
        """End the session. Without its cookie, too: a browser forgets it by this answer whoever's page asked."""
        if other_site(request.scope):
            return public_error(403, about_other_site(request.scope))
        principal = current.get()
        if principal is not None and principal.by_cookie:
            await self._access.log_out(principal)
        answer = Response(status_code=204) if _wants_json(request) else RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    # --- name and password ------------------------------------------------------------------------------------------

    async def _enter(self, request: Request) -> Response:
        if other_site(request.scope):
            return public_error(403, about_other_site(request.scope))
        body = await request.body()  # a small one: the policy has a limit for those whom nobody knows
        as_json = _wants_json(request)
        try:
            given = msgspec.json.decode(body, type=_Given) if as_json else _form(body)
        except (ValueError, RecursionError):
            return public_error(
                400, 'invalid request body: send {"name": …, "password": …}, or a form with these fields'
            )
        next = _path(given.next)
        try:
            secret = await self._access.log_in(given.name.strip(), given.password, _address(request))
        except LoginRefused as refused:
            status = 429 if refused.retry_after else 401
            text = str(refused)
            refusal = public_error(status, text) if as_json else self._page(status, next, text, given.name)
            if refused.retry_after:
                refusal.headers["retry-after"] = str(refused.retry_after)
            return refusal
        answer = json_response({"name": given.name.strip()}) if as_json else RedirectResponse(next, 303)
        return self._with_session(answer, request, secret)

    def _with_session(self, answer: Response, request: Request, secret: str) -> Response:
        answer.set_cookie(
            COOKIE, secret, max_age=self._access.sessions.most_ms // 1_000, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        answer.headers["cache-control"] = "no-store"
        return answer

    # --- identity provider ------------------------------------------------------------------------------------------

    async def depart(self, request: Request) -> Response:
        """Send the browser to the identity provider."""
        assert self._oidc is not None
        try:
            where, state = await self._oidc.begin(_callback(request), _path(request.query_params.get("next", "/")))
        except OidcError as error:
            return self._page(502, "/", str(error))
        answer = RedirectResponse(where, 303)
        answer.set_cookie(
            _OIDC_COOKIE, state, max_age=600, path="/login", httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    async def arrive(self, request: Request) -> Response:
        """Take the browser back, with the identity provider's word for who it is."""
        assert self._oidc is not None
        given = request.query_params
        state = given.get("state", "")
        if not state or request.cookies.get(_OIDC_COOKIE) != state:
            return self._page(400, "/", "This login was started in another browser, or has expired. Log in again.")
        if problem := given.get("error_description") or given.get("error"):
            return self._page(401, "/", f"The identity provider refused: {problem[:200]}")
        try:
            user, next = await self._oidc.finish(state, given.get("code", ""))
        except OidcError as error:
            return self._page(401, "/", str(error))
        secret = await self._access.begin(user, _address(request))
        answer = RedirectResponse(next, 303)
        answer.delete_cookie(_OIDC_COOKIE, path="/login")
        return self._with_session(answer, request, secret)

    # --- the page ---------------------------------------------------------------------------------------------------

    def _page(self, status: int, next: str, problem: str = "", name: str = "") -> Response:
        parts = ["<p>Log in to continue.</p>"]
        if problem:
            parts.append(f'<p class="problem" role="alert">{escape(problem)}</p>')
        locals = any(not user.subject for user in self._access.users.all())
        if locals:
            focus = ("", " autofocus") if name else (" autofocus", "")
            parts.append(
                _FORM.format(next=escape(next), name=escape(name), name_focus=focus[0], password_focus=focus[1])
            )
        if self._oidc is not None:
            where = f"/login/oidc?next={quote(next, safe='/')}"
            parts.append(f'<a href="{escape(where)}">Single sign-on</a>')
        elif not locals:
            parts = [_NOBODY]
        answer = HTMLResponse(_PAGE.format(style=_STYLE, body="\n".join(parts)), status)
        answer.headers.update({
            "content-security-policy": _CSP.format(hash=_digest(_STYLE)), "x-frame-options": "DENY",
            "cache-control": "no-store", "referrer-policy": "same-origin",
        })  # fmt: skip
        return answer


@cache
def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _path(next: str) -> str:
    """Return where to go after the login: a path of this server, whatever was asked for."""
    fine = next.startswith("/") and not next.startswith(("//", "/\\", "/login", "/logout"))
    return next if fine and next.isprintable() and "\\" not in next else "/"


def _form(body: bytes) -> _Given:
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return _Given(fields.get("name", ""), fields.get("password", ""), fields.get("next", "/"))


def _wants_json(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/json")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _callback(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}/login/oidc/callback"
