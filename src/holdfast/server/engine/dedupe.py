"""Which event ids have started which function in the last 24 hours (`protocol/flow-control.md` §1.6)."""

from __future__ import annotations

from collections import deque


class Seen:
    """Idempotency keys with their expiry. They all live equally long, so the oldest is always first."""

    __slots__ = ("_keys", "_order")

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()

    def add(self, key: str, expires: int) -> None:
        """Remember a key until `expires` (ms)."""
        self._keys[key] = expires
        self._order.append((expires, key))

    def clamp(self, latest: int) -> None:
        """Let no key live longer than until `latest` (ms)."""
        if self._order and self._order[-1][0] > latest:
            self._keys = {key: min(expires, latest) for key, expires in self._keys.items()}
            self._order = deque((min(expires, latest), key) for expires, key in self._order)

    def holds(self, key: str, now: int) -> bool:
        """Return whether a key is remembered, and its time is not over."""
        return self._keys.get(key, 0) > now

    def forget(self, now: int, most: int = 100) -> list[str]:
        """Drop up to `most` keys whose time is over, and return them."""
        gone: list[str] = []
        while self._order and self._order[0][0] <= now and len(gone) < most:
            expires, key = self._order.popleft()
            if self._keys.get(key) == expires:
                del self._keys[key]
                gone.append(key)
        return gone

    def __len__(self) -> int:
        return len(self._keys)
