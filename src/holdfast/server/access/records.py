"""What the parts of access share: ids, what is stored of a secret, and the news that something changed."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable

from holdfast.protocol.ids import UlidSource
from holdfast.server.store.records import Sink
from holdfast.server.store.store import Write


class Watched:
    """A sink that tells when rows are durable, and what they are about has changed in memory."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.on_change: Callable[[], object] = lambda: None

    def write(self, write: Write) -> None:
        """Add rows to the next commit."""
        self._sink.write(write)

    async def committed(self) -> None:
        """Wait until they are durable. Raises StoreError if they were not written."""
        await self._sink.committed()
        asyncio.get_running_loop().call_soon(self.changed)  # whoever waits here changes its memory first

    def changed(self) -> None:
        """Call `on_change`."""
        self.on_change()


def new_ids() -> UlidSource:
    """Where ids are from."""
    return UlidSource(secrets.randbits)


def digest(secret: str) -> str:
    """What is stored of a random secret: its SHA-256, in hex. No salt: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
