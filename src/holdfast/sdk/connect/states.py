"""Where a worker stands, for all threads to read and wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import Enum


class ConnectionState(Enum):
    """Where a worker's connection stands."""

    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"
    CLOSING = "CLOSING"
    CONNECTING = "CONNECTING"
    PAUSED = "PAUSED"
    RECONNECTING = "RECONNECTING"


class WatchedState:
    """A state that one thread sets, and any may read or wait for. CLOSED is final."""

    def __init__(self, on_change: Callable[[ConnectionState], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Future[None], ConnectionState] = {}
        self.value = ConnectionState.CONNECTING

    def set(self, state: ConnectionState) -> None:
        """Move to another state, unless the connection is closed."""
        with self._lock:
            if state is self.value or self.value is ConnectionState.CLOSED:
                return
            self.value = state
            reached = [future for future, wanted in self._waiting.items() if wanted is state]
            for future in reached:
                del self._waiting[future]
        self._on_change(state)
        for future in reached:
            _wake(future)

    async def wait_for(self, state: ConnectionState) -> None:
        """Wait until a state is reached."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.value is state:
                return
            self._waiting[future] = state
        try:
            await future
        finally:
            with self._lock:
                self._waiting.pop(future, None)


def _wake(future: asyncio.Future[None]) -> None:
    loop = future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(None))
