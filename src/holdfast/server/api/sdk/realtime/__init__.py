"""`/v1/realtime/*` (`protocol/realtime.md`): messages to browsers and other clients that are connected right now."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute, Route, WebSocketRoute

from holdfast.server.access.keys import Keys
from holdfast.server.api.common.asgi import App, Receive, Scope, Send
from holdfast.server.api.common.jwt import Tokens
from holdfast.server.api.sdk.realtime.bearers import Gate
from holdfast.server.api.sdk.realtime.publishing import Publishing
from holdfast.server.api.sdk.realtime.subscribing import Subscriptions
from holdfast.server.realtime.broadcaster import Broadcaster


def routes(broadcaster: Broadcaster, tokens: Tokens, keys: Keys, new_id: Callable[[], str]) -> list[BaseRoute]:
    """The routes. `new_id` makes ULIDs."""
    gate = Gate(tokens, keys)
    publishing = Publishing(broadcaster, gate, tokens, new_id)
    subscriptions = Subscriptions(broadcaster, gate)
    return [
        Route("/v1/realtime/token", publishing.token, methods=["POST"]),
        Route("/v1/realtime/publish", publishing.publish, methods=["POST"]),
        Route("/v1/realtime/publish/tee", publishing.tee, methods=["POST"]),
        WebSocketRoute("/v1/realtime/connect", _Raw(subscriptions.websocket)),
        Route("/v1/realtime/connect", _Raw(subscriptions.plain), methods=["GET"]),
        Route("/v1/realtime/sse", _Raw(subscriptions.sse), methods=["GET"]),
    ]


class _Raw:
    """An ASGI application as a route takes it: an object, not a method."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands over."""
        await self._app(scope, receive, send)
