"""Who may call which route (`protocol/http-apis.md` §14): machine routes want the signing key, once there is one."""

from __future__ import annotations

from holdfast.server.access.keys import Keys
from holdfast.server.api.asgi import App, Receive, Scope, Send, answer, header

#: Open in both modes, though they lie below a guarded prefix.
_OPEN = ("/v0/gql", "/v1/realtime/")
_GUARDED = ("/dev", "/fn/", "/v0/runs", "/v0/telemetry", "/v0/connect", "/v1/", "/api/v2", "/v2")
_OPEN_DEV = "/dev/traces"


class SigningKeyAuth:
    """Guards machine routes with the signing key. Without a key every route is open (`dev`)."""

    def __init__(self, app: App, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request pass, or answers 401."""
        if self._keys.guarded and scope["type"] == "http" and guarded(scope["path"]) and scope["method"] != "OPTIONS":
            scheme, _, token = header(scope, b"authorization").partition(" ")
            if scheme.lower() != "bearer" or not self._keys.opens(token.strip()):
                body = b"Authentication failed\n"
                await answer(send, 401, body, [(b"content-type", b"text/plain; charset=utf-8")])
                return
        await self._app(scope, receive, send)


def guarded(path: str) -> bool:
    """Whether a route wants the signing key."""
    if path.startswith(_OPEN) or path.startswith(_OPEN_DEV):
        return False
    if path.startswith(("/v1/checkpoint/", "/v1/http/runs/")) and path.endswith("/output"):
        return False  # has a token of its own
    if path.startswith(("/v2/operations", "/api/v2/operations")):
        return False
    return path == "/dev" or any(path.startswith(prefix) for prefix in _GUARDED if prefix != "/dev")
