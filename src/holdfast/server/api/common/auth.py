"""Authentication middleware: identifies the caller and enforces the access policy (`access.policy`).

Without a signing key (`dev`) everybody may do everything, except for pages of other sites in a browser.
"""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote

import msgspec
import structlog
from starlette.requests import cookie_parser

from holdfast.server.access.access import COOKIE, Access
from holdfast.server.access.origins import from_elsewhere, local, of_own_page
from holdfast.server.access.policy import Rule, Who, rule_of
from holdfast.server.access.principals import ANYONE, UNKNOWN, Principal, Role, current
from holdfast.server.api.common.asgi import JSON, App, Message, Receive, Scope, Send, answer, header, vouch
from holdfast.server.api.common.watched import WatchedSocket

log = structlog.get_logger(__name__)

#: Seconds between two lines about apps that are refused.
_QUIET_S: Final = 60.0
_TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
_SAFE = frozenset({"GET", "HEAD"})
_WHO_ARE_YOU = "Log in, or send an API token or the signing key: Authorization: Bearer <token>"
_OTHER_SITE = (
    "Refused: a page of another site sent this request ({origin}; the server was addressed as {host}). "
    "If both are this server, the proxy in front of it must forward Host unchanged, with its port"
)
_NOT_OURS = (
    "Refused: a page of {origin} sent this request; a dev server accepts only pages of its own machine. "
    "If you trust that site, start with --allowed-host {name}"
)
_OTHER_NAME = (
    "Refused: this dev server was addressed as {host}, a name that another site could have pointed at it. "
    "If it is yours, start with --allowed-host {host}"
)


class Guard:
    """Lets requests pass, with their principal in `access.principals.current`, or refuses them."""

    def __init__(self, app: App, access: Access, *, login: bool = True) -> None:
        self._app = app
        self._access = access
        self._login = login  # whether there is a page to log in at
        self._told_at = float("-inf")
        self._watches: set[WatchedSocket] = set()
        access.changes.on_change = self._look

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in {"http", "websocket"} or scope.get("method") == "OPTIONS":
            await self._app(scope, receive, send)
            return
        rule = rule_of(scope["path"])
        if self._access.guarded:
            principal = self._identify(scope, rule)
            refusal = self._judge(scope, rule, principal)
        else:
            text = "" if rule.takes_pages else foreign(scope, self._access.options.hosts)
            principal, refusal = ANYONE, _forbidden(text) if text else None
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
            return
        if principal is not None:
            vouch(scope)
        if rule.audit and self._access.guarded and not (rule.often and _is_key(principal)):
            send = self._audited(scope, send, rule)
        if principal is not None and self._access.guarded and scope["type"] == "websocket":
            await self._watch(scope, receive, send, rule, principal)
            return
        if principal is None and rule.who is Who.OWN:
            principal = UNKNOWN
        await self._pass(scope, receive, send, principal)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, principal: Principal | None) -> None:
        token = current.set(principal)
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(token)

    # --- who --------------------------------------------------------------------------------------------------------

    def _identify(self, scope: Scope, rule: Rule, *, use: bool = True) -> Principal | None:
        client = scope.get("client")
        address = client[0] if client else ""
        authorization = header(scope, b"authorization")
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                return None
            token = token.strip()
            if rule.who is Who.INVOKE and self._access.keys.sends(token.encode()):
                return Principal("event-key", Role.OPERATOR, address=address)
            return self._access.by_bearer(token, address, use=use)
        secret = session_cookie(header(scope, b"cookie"))
        return self._access.by_session(secret, address, use=use) if secret else None

    # --- may they ---------------------------------------------------------------------------------------------------

    def _judge(self, scope: Scope, rule: Rule, principal: Principal | None) -> _Refusal | None:
        safe = scope.get("method") in _SAFE
        if principal is not None and principal.by_cookie and not safe and other_site(scope):
            return _forbidden(about_other_site(scope))
        if rule.who in {Who.OPEN, Who.OWN}:
            return None
        if principal is None:
            return self._nobody(scope, rule)
        role = rule.read if safe else rule.write
        if principal.role < role:
            return _forbidden(f"This needs the role {role.word}; {principal.actor} is {principal.role.word}")
        return None

    def _nobody(self, scope: Scope, rule: Rule) -> _Refusal:
        if rule.who is not Who.CONSOLE:
            if scope["path"] == "/fn/register":
                self._tell_of_app(scope)
            return _Refusal(401, b"Authentication failed\n", _TEXT)
        reads_a_page = scope.get("method") in _SAFE and "text/html" in header(scope, b"accept")
        if self._login and reads_a_page and not header(scope, b"authorization"):
            query = scope["query_string"].decode("latin-1")
            wanted = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
            where = "/login" if wanted == "%2F" else f"/login?next={wanted}"
            return _Refusal(303, b"", [(b"location", where.encode()), (b"cache-control", b"no-store")])
        return _public(401, _WHO_ARE_YOU, (b"www-authenticate", b'Bearer realm="holdfast"'))

    def _tell_of_app(self, scope: Scope) -> None:
        """An app with another key fails far from here, with an error that says little: the log tells why."""
        now = time.monotonic()
        if now - self._told_at < _QUIET_S:
            return
        self._told_at = now
        log.warning(
            "refused an app's registration: its signing key is missing or differs from this server's",
            address=(scope.get("client") or ("",))[0], sdk=header(scope, b"x-inngest-sdk")[:100],
        )  # fmt: skip

    def _audited(self, scope: Scope, send: Send, rule: Rule) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                outcome = "ok" if message["status"] < 400 else f"failed: {message['status']}"
                self._access.audit.note(rule.audit, scope["path"].removeprefix(rule.path).strip("/"), outcome)
            await send(message)

        return sending

    async def _watch(self, scope: Scope, receive: Receive, send: Send, rule: Rule, principal: Principal) -> None:
        """Serve a WebSocket until the login or the token that it was opened with has ended."""

        def known(*, use: bool) -> bool:
            found = self._identify(scope, rule, use=use)
            return found is not None and found.role >= principal.role

        watched = WatchedSocket(receive, send, known)
        self._watches.add(watched)
        try:
            await self._pass(scope, watched.receive, send, principal)
        finally:
            self._watches.discard(watched)
            watched.close()

    def _look(self) -> None:
        for watched in list(self._watches):
            watched.look()


class _Refusal(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


def session_cookie(text: str) -> str:
    """The session's secret in a `Cookie` header, whatever other services of this host have put there; or nothing."""
    return cookie_parser(text).get(COOKIE, "") if COOKIE in text else ""


def other_site(scope: Scope) -> bool:
    """Return whether a browser made a request for a page of another site."""
    return from_elsewhere(header(scope, b"host"), header(scope, b"origin"), header(scope, b"sec-fetch-site"))


def about_other_site(scope: Scope) -> str:
    """Return why a request was refused as one of another site, and what to do if it is none."""
    origin = header(scope, b"origin")[:100] or "of unknown origin"
    return _OTHER_SITE.format(origin=origin, host=header(scope, b"host")[:100] or "nothing")


def foreign(scope: Scope, allowed: tuple[str, ...]) -> str:
    """Return why `dev`, where nothing else protects what is open, refuses a request: for a page of another site."""
    host, origin = header(scope, b"host"), header(scope, b"origin")
    address = (scope.get("server") or ("",))[0]
    if origin and not of_own_page(origin, host, address, allowed):
        return _NOT_OURS.format(origin=origin[:100], name=origin.partition("://")[2].partition(":")[0][:100] or "NAME")
    if host and not local(host, allowed):
        return _OTHER_NAME.format(host=host.partition(":")[0])
    return ""


def _is_key(principal: Principal | None) -> bool:
    return principal is not None and principal.kind == "signing-key"


def _forbidden(text: str) -> _Refusal:
    return _public(403, text)


def _public(status: int, text: str, *headers: tuple[bytes, bytes]) -> _Refusal:
    body = msgspec.json.encode({"error": text, "data": None, "status": status})
    return _Refusal(status, body + b"\n", [(b"content-type", JSON), *headers])


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: _Refusal) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await answer(send, refusal.status, refusal.body, refusal.headers)
