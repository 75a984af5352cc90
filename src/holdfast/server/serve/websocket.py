"""The WebSocket side of uvicorn, in an orderly way: a module of its own, so that only servers that see one load it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

#: Seconds that a peer has to read what was sent before the connection ends.
LINGER_S = 10.0


class WebSocket(WebSocketsSansIOProtocol):
    """A connection whose refusal is no error, and whose end doesn't wait for a peer that has stopped reading."""

    async def send(self, message: ASGISendEvent) -> None:
        """Sends one message of the application."""
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()  # the close frame goes behind what is waiting, and shall not wait for it
            self.loop.call_later(LINGER_S, self.transport.abort)
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # refused with an answer; uvicorn would log that there was none

    def keepalive_timeout(self) -> None:
        """The peer did not answer a ping: it won't read what is waiting for it either."""
        super().keepalive_timeout()
        self.transport.abort()
