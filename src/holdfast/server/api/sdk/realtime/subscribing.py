"""`/v1/realtime/connect` and `/v1/realtime/sse` (`protocol/realtime.md` §4.4, §5): a connection follows its topics.

Keepalives of WebSockets are ping frames, which the HTTP server below sends; those of SSE are comments.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from typing import Final

import msgspec
from msgspec import Raw
from starlette.requests import HTTPConnection
from starlette.responses import Response

from holdfast.protocol.limits import ENV_ID
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.common.asgi import Message, Receive, Scope, Send
from holdfast.server.api.common.error_bodies import public_error
from holdfast.server.api.common.jwt import TokenError
from holdfast.server.api.sdk.realtime.bearers import Gate, authentication_failed
from holdfast.server.realtime.broadcaster import Broadcaster, Item, RefusedError, Subscription
from holdfast.server.realtime.grants import Grant, Wanted

KEEPALIVE_S: Final = 15.0
#: A stream over SSE ends after this; clients connect again.
SSE_LIMIT_S: Final = 15 * 60.0
_NOT_AUTHENTICATED: Final = "Not authenticated"
_NORMAL: Final = 1000
_COMMENT: Final = b":\n\n"
_PIECE: Final = 32 * 1024
_SSE_HEADERS: Final = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "Content-Type",
    "x-accel-buffering": "no",  # proxies pass every event on at once
}


class _Frame(msgspec.Struct):
    kind: str
    data: Raw = Raw()


class Subscriptions:
    """ASGI applications for both ways of subscribing."""

    def __init__(
        self, broadcaster: Broadcaster, gate: Gate, *, keepalive: float = KEEPALIVE_S, sse_limit: float = SSE_LIMIT_S
    ) -> None:
        self._broadcaster = broadcaster
        self._gate = gate
        self._keepalive = keepalive
        self._sse_limit = sse_limit

    async def sse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Server-sent events, for at most 15 minutes."""
        opened = await self._open(HTTPConnection(scope))
        if isinstance(opened, Response):
            await opened(scope, receive, send)
            return
        try:
            headers = [(name.encode(), value.encode()) for name, value in _SSE_HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await _first(self._sse_limit, self._feed_sse(opened, send), _gone(receive))
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._broadcaster.leave(opened)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: for as long as the client likes. It may change its topics."""
        await receive()  # the handshake
        opened = await self._open(HTTPConnection(scope))
        if isinstance(opened, Response):
            await opened(scope, receive, send)
            return
        try:
            await send({"type": "websocket.accept"})
            feed = asyncio.ensure_future(self._feed_socket(opened, send))
            opened.on_drop = feed.cancel  # it is stuck in sending, most likely
            await _first(None, feed, self._listen(opened, receive))
            code, reason = opened.ended or (_NORMAL, "")
            with contextlib.suppress(OSError):  # it went first
                await send({"type": "websocket.close", "code": code, "reason": reason})
        finally:
            self._broadcaster.leave(opened)

    async def plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers an ordinary request to the WebSocket's address."""
        opened = await self._grant(HTTPConnection(scope))
        if not isinstance(opened, Response):
            opened = public_error(426, "This is a WebSocket; for ordinary requests there is /v1/realtime/sse")
            opened.headers["upgrade"] = "websocket"
        await opened(scope, receive, send)

    # --- beginning --------------------------------------------------------------------------------------------------

    async def _open(self, connection: HTTPConnection) -> Subscription | Response:
        granted = await self._grant(connection)
        if isinstance(granted, Response):
            return granted
        try:
            return self._broadcaster.subscribe(granted.topics)
        except RefusedError as refused:
            return public_error(503, f"Can't subscribe: {refused}")

    async def _grant(self, connection: HTTPConnection) -> Grant | Response:
        try:
            return await self._gate.grant(connection)
        except TokenError as error:
            if not self._gate.has_key(connection):
                return authentication_failed()
            why = f": the token {error}; get one from POST /v1/realtime/token" if str(error) else ""
            return public_error(401, _NOT_AUTHENTICATED + why)

    # --- feeding ----------------------------------------------------------------------------------------------------

    async def _feed_socket(self, subscription: Subscription, send: Send) -> None:
        with contextlib.suppress(OSError):  # the client is gone
            while items := await subscription.take():
                for data, _ in items:
                    await send({"type": "websocket.send", "text": data.decode("utf-8", "replace")})

    async def _feed_sse(self, subscription: Subscription, send: Send) -> None:
        await _write(send, _COMMENT)
        between = True  # raw bytes may stop within an event, which a comment would end
        while True:
            try:
                async with asyncio.timeout(self._keepalive):
                    items = await subscription.take()
            except TimeoutError:
                if between:
                    await _write(send, _COMMENT)
                continue
            if not items:
                break
            for text in _pieces(items):
                await _write(send, text)
                between = text.endswith(b"\n\n")
        if subscription.ended is not None:
            await _write(send, f": {subscription.ended.reason}\n\n".encode())

    # --- listening --------------------------------------------------------------------------------------------------

    async def _listen(self, subscription: Subscription, receive: Receive) -> None:
        """Follows the client's `sub` and `unsub`. What can't be understood is ignored, and nothing is answered."""
        while (message := await receive())["type"] != "websocket.disconnect":
            self._obey(subscription, message)

    def _obey(self, subscription: Subscription, message: Message) -> None:
        try:
            frame = msgspec.json.decode(message.get("text") or "", type=_Frame)
            if frame.kind == "sub":
                token = msgspec.json.decode(frame.data, type=str)
                self._broadcaster.add(subscription, self._gate.read(token).topics)
            elif frame.kind == "unsub":
                topics = msgspec.json.decode(frame.data, type=list[Wanted])
                self._broadcaster.remove(subscription, [topic.topic for topic in topics if topic.env_id == ENV_ID])
        except (*UNREADABLE, TokenError, RefusedError):
            pass


async def _first(limit: float | None, *works: Awaitable[None]) -> None:
    """Waits until one of several things is done, or some seconds; the others are given up."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _pieces(items: list[Item]) -> Iterator[bytes]:
    """Items as they are sent: small ones together, large ones alone, as who reads slowly has his copy for long."""
    text = b""
    for item in items:
        text += _sse_event(item)
        if len(text) >= _PIECE:
            yield text
            text = b""
    if text:
        yield text


def _sse_event(item: Item) -> bytes:
    return item.data if item.raw else b"data: " + item.data + b"\n\n"


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
