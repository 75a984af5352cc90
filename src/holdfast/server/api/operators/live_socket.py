"""`/v0/live`: a WebSocket over which a page of the UI follows what changes (`runtime/live.py`).

The page says which topics it follows: `{"follow": ["runs", "run:01J…"]}`, which takes the place of what it said before.
A WebSocket and no event stream: browsers open six connections to a server, and event streams of six tabs are all.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.common.asgi import Message, Receive, Scope, Send
from holdfast.server.realtime.broadcaster import RefusedError, Subscription
from holdfast.server.runtime.live import Live

#: Topics of one page: each screen follows one or two.
MOST_TOPICS: Final = 20
_LONGEST_TOPIC: Final = 64
_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN_LATER: Final = 1013


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    follow: list[str]


def routes(live: Live) -> list[BaseRoute]:
    """Return the route of this module."""
    return [WebSocketRoute("/v0/live", _Pages(live))]


class _Pages:
    """The connections of pages."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one page until it leaves."""
        await receive()  # the handshake
        await send({"type": "websocket.accept"})
        try:
            subscription = self._live.subscribe()
        except RefusedError as refused:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": str(refused)})
            return
        feed = asyncio.ensure_future(_feed(subscription, send))
        subscription.on_drop = feed.cancel  # it is stuck in sending, most likely
        listening = asyncio.ensure_future(self._listen(subscription, receive))
        try:
            await asyncio.wait((feed, listening), return_when=asyncio.FIRST_COMPLETED)
            code, reason = subscription.ended or (listening.result() if listening.done() else (1000, ""))
            with contextlib.suppress(OSError):  # it went first
                await send({"type": "websocket.close", "code": code, "reason": reason})
        finally:
            self._live.leave(subscription)
            for task in (feed, listening):
                task.cancel()
            await asyncio.gather(feed, listening, return_exceptions=True)

    async def _listen(self, subscription: Subscription, receive: Receive) -> tuple[int, str]:
        """Follow what the page says. Return the close code and the reason once it is gone, or said what can't be."""
        while (message := await receive())["type"] != "websocket.disconnect":
            problem = self._obey(subscription, message)
            if problem:
                return _POLICY_VIOLATION, problem
        return 1000, ""

    def _obey(self, subscription: Subscription, message: Message) -> str:
        """Take one message of the page. Return what is wrong with it, or nothing."""
        try:
            names = msgspec.json.decode(message.get("text") or "", type=_Wanted).follow
        except UNREADABLE:
            return 'expected {"follow": [topics]}'
        if len(names) > MOST_TOPICS or any(len(name) > _LONGEST_TOPIC for name in names):
            return f"at most {MOST_TOPICS} topics of {_LONGEST_TOPIC} characters"
        try:
            self._live.follow(subscription, names)
        except RefusedError as refused:
            return str(refused)
        return ""


async def _feed(subscription: Subscription, send: Send) -> None:
    with contextlib.suppress(OSError):  # the page is gone
        while items := await subscription.take():
            for item in items:
                await send({"type": "websocket.send", "text": item.data.decode()})
