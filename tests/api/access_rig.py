"""A whole server in this process, spoken to in ASGI, with users and tokens of every role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from holdfast.server.access.principals import Role
from holdfast.server.app import Server
from holdfast.server.config import Config

from .client import Client, Response

KEY, FALLBACK, EVENT_KEY = "aa" * 32, "bb" * 32, "event-key-1"
PASSWORD = "correct horse battery"
ROLES = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)


class Rig:
    """`holdfast start`, or `dev`, without a socket."""

    def __init__(self, folder: Path, *, dev: bool = False, **config: Any) -> None:
        keys = {} if dev else {
            "kind": "cloud", "signing_key": KEY, "signing_key_fallback": FALLBACK, "event_keys": (EVENT_KEY, "second"),
        }  # fmt: skip
        settings = {"directory": folder, "persist": True, "discovery": False, "poll": False, **keys, **config}
        self.client = Client(None)  # type: ignore[arg-type]
        self.server: Server = self.run(self._make(Config(**settings)))
        self.client._app = self.server
        self.access = self.server.access

    async def _make(self, config: Config) -> Server:
        server = Server(config)
        await server.start()
        return server

    def run(self, work: Any) -> Any:
        return self.client.loop.run(work)

    def close(self) -> None:
        self.run(self.server.close())
        self.client.close()

    def request(self, method: str, path: str, **more: Any) -> Response:
        return self.client.request(method, path, **more)

    def user(self, role: Role, name: str = "") -> str:
        """Adds a user; answers the name."""
        name = name or role.word
        if self.access.users.named(name) is None:
            self.run(self.access.add_user(name, role, PASSWORD))
        return name

    def cookie(self, role: Role) -> dict[str, str]:
        """Headers of a browser in which a user of a role is logged in."""
        name = self.user(role)
        user = self.access.users.named(name)
        assert user is not None
        return {"cookie": f"holdfast_session={self.run(self.access.sessions.open(user.id, ''))}"}

    def token(self, role: Role, name: str = "t", expires_at: int | None = None) -> dict[str, str]:
        return bearer(self.run(self.access.create_token(name, role, expires_at)).secret)

    def routes(self) -> list[tuple[str, str]]:
        """Method and path of every route; `WEBSOCKET` for those. OPTIONS asks for nothing: it passes always."""
        cold: Any = self.server.apis.cold
        while not hasattr(cold, "routes"):
            cold = cold._app
        return sorted({(method, path) for method, path in _walk(cold.routes, "") if method != "OPTIONS"})


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _walk(routes: list[BaseRoute], prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _walk(route.routes, prefix + route.path)
            if not route.routes:
                yield "GET", prefix + route.path + "/{path}"
        elif isinstance(route, Route):
            yield from ((method, prefix + route.path) for method in route.methods or {"GET", "POST"})
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", prefix + route.path
        else:
            raise TypeError(f"a kind of route that this test does not know: {route}")
