"""A WebSocket that ends with the access of whoever opened it."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from holdfast.server.api.common.asgi import Message, Receive, Send

#: How often (seconds) it is looked whether a login or token is too old by now.
LOOK_S: Final = 30.0
_CLOSE: Final = {"type": "websocket.close", "code": 1008, "reason": "the session or token has expired"}


class Known(Protocol):
    """Whether whoever opened a WebSocket may still have it. `use`: whether asking counts as a use of the login."""

    def __call__(self, *, use: bool) -> bool:
        """Ask."""
        ...


class WatchedSocket:
    """Hands messages on while the access lasts: asked with each message, when access changes, and now and then."""

    def __init__(self, receive: Receive, send: Send, known: Known) -> None:
        self._receive, self._send, self._known = receive, send, known
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._next: asyncio.Future[Message] | None = None
        self._timer = self._loop.call_later(LOOK_S, self._look_again)

    async def receive(self) -> Message:
        """Return the next message; the end once access has ended, however long nothing came."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._receive())
        await asyncio.wait((self._next, self._over), return_when=asyncio.FIRST_COMPLETED)
        if not self._over.done():
            message, self._next = self._next.result(), None
            if message["type"] != "websocket.receive" or self._known(use=True):
                return message
        await self._send(_CLOSE)
        return {"type": "websocket.disconnect", "code": _CLOSE["code"]}

    def look(self) -> None:
        """End it if access has ended."""
        if not self._over.done() and not self._known(use=False):
            self._over.set_result(None)

    def close(self) -> None:
        """Forget it."""
        self._timer.cancel()
        if self._next is not None:
            self._next.cancel()

    def _look_again(self) -> None:
        self.look()
        self._timer = self._loop.call_later(LOOK_S, self._look_again)
