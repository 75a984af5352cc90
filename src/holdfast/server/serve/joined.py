"""An answer leaves in one piece if it is small: a write to a socket is the dearest part of it.

ASGI sends a head when there is body; uvicorn writes it on its own, so that each answer is two writes and two packets.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

#: Larger pieces aren't copied behind the head.
_JOIN_BELOW: Final = 65_536
_CONTINUE: Final = b"HTTP/1.1 100"


class Counter(Protocol):
    """Who wants to know how much was written: `sent` bytes."""

    sent: int


class Joined(asyncio.Transport):
    """A connection as one answer sees it: its head waits for what is written next, within the same turn of the loop."""

    __slots__ = ("_counter", "_head", "_loop", "_started", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, counter: Counter) -> None:
        self._counter = counter
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._started = False

    def write(self, data: bytes) -> None:  # type: ignore[override]  # uvicorn writes nothing else
        """Keep the head; write whatever follows, behind it."""
        self._counter.sent += len(data)
        if self._started:
            if self._head:
                head, self._head = self._head, b""
                if len(data) < _JOIN_BELOW:
                    data = head + data
                else:
                    self._transport.write(head)
            self._transport.write(data)
        elif data.startswith(_CONTINUE):
            self._transport.write(data)
        else:
            self._started = True
            self._head = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close the connection, once all is written."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Return whether the connection is closing, or closed."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        """Write a head that no body followed: an event stream that has nothing to say yet, or the answer to HEAD."""
        if self._head:
            head, self._head = self._head, b""
            if not self._transport.is_closing():
                self._transport.write(head)
