"""The WebSocket side of uvicorn, with clocks: a module of its own, so that only servers that see one load it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from holdfast.server.serve.pace import Pace

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

    from uvicorn._types import ASGISendEvent


class WebSocket(WebSocketsSansIOProtocol):
    """A connection whose refusal is no error, and whose end doesn't wait for a peer that has stopped reading.

    Its states: the handshake (`pace.handshake_s` until it is accepted or refused), open (pings, which the peer has to
    answer), closing (`pace.handshake_s` until the connection is gone).
    """

    pace: Pace = Pace()

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over a connection whose request has come."""
        super().connection_made(transport)
        self._allow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what comes. What is no handshake is refused; after the end nothing is read."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self.handshake_initiated:
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping, unless the peer doesn't read what waits for it already."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    async def send(self, message: ASGISendEvent) -> None:
        """Send one message of the application."""
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()  # the close frame goes behind what is waiting, and shall not wait for it
            self._allow()
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._stop_clock()
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # refused with an answer; uvicorn would log that there was none

    def keepalive_timeout(self) -> None:
        """The peer did not answer a ping: it won't read what is waiting for it either."""
        super().keepalive_timeout()
        self.transport.abort()

    def handle_close(self, event: Any) -> None:
        """The peer ends the conversation: it has a moment to read what is on its way."""
        self._allow()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol."""
        self._allow()
        super().handle_parser_exception()

    def _allow(self) -> None:
        """Start the clock of the handshake, or of the end."""
        self._stop_clock()
        self._limit = self.loop.call_later(self.pace.handshake_s, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


_BODY: Final = b'{"error":"The handshake of the WebSocket can not be read","data":null,"status":400}'
_NO_HANDSHAKE: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_BODY), _BODY)
)
