"""Idle connections, kept for the next call to the same origin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.server.drivers.deadlines import Deadlines

if TYPE_CHECKING:
    from holdfast.server.drivers.http.connection import Connection


class Pool:
    """Idle connections by origin; the most recently used one is taken first, so that surplus ones grow old and go.

    Args:
        capacity: Most idle connections kept per origin.
        lifetime: Seconds after which an idle connection is closed.

    """

    def __init__(self, capacity: int, lifetime: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._idle: dict[str, list[Connection]] = {}
        self._lifetimes: Deadlines[Connection] = Deadlines(lifetime, self._expire)

    def __len__(self) -> int:
        return len(self._lifetimes)

    def take(self, origin: str) -> Connection | None:
        """Hand out a connection that still looks alive, or None."""
        stack = self._idle.get(origin)
        while stack:
            connection = stack.pop()
            self._lifetimes.discard(connection)
            if connection.usable(self._loop.time()):
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Keep ``connection``, or close it if there are enough."""
        stack = self._idle.setdefault(connection.origin, [])
        if len(stack) >= self._capacity:
            connection.close()
            return
        connection.resting_since = self._loop.time()
        stack.append(connection)
        self._lifetimes.add(connection)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that the peer has closed."""
        self._lifetimes.discard(connection)
        stack = self._idle.get(connection.origin)
        if stack is None:
            return
        if connection in stack:
            stack.remove(connection)
        if not stack:
            del self._idle[connection.origin]

    def close(self) -> None:
        """Close all of them."""
        self._idle.clear()
        for connection in self._lifetimes.drain():
            connection.close()

    def _expire(self, connection: Connection) -> None:
        self.discard(connection)
        connection.close()
