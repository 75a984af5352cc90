"""Replies that no server has acknowledged yet: kept in bounded memory, in the order in which they were given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: Bytes of replies that are kept; the oldest go first.
MOST_BYTES: Final = 256 * 1024 * 1024


class Replies:
    """Unacknowledged replies by the id of their request; times are in seconds of the loop's clock."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: dict[str, tuple[bytes, float]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._kept

    def add(self, request_id: str, payload: bytes, now: float) -> list[str]:
        """Keep a reply; return the ids of those that had to go for it, which may be its own."""
        self.drop(request_id)
        self._kept[request_id] = payload, now
        self.bytes += len(payload)
        gone: list[str] = []
        while self.bytes > self._most:
            gone.append(next(iter(self._kept)))
            self.drop(gone[-1])
        return gone

    def drop(self, request_id: str) -> None:
        """Forget a reply."""
        payload, _ = self._kept.pop(request_id, (b"", 0.0))
        self.bytes -= len(payload)

    def older_than(self, moment: float) -> Iterator[tuple[str, bytes]]:
        """Yield replies that were given before a moment, the oldest first."""
        for request_id, (payload, since) in list(self._kept.items()):
            if since <= moment:
                yield request_id, payload
