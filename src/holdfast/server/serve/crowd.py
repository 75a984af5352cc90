"""What all connections share: the bytes of requests that are not whole, and the room for connections.

Neither runs out for a newcomer: who has held bytes for longest gives way, and so do connections that do nothing.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Final

from holdfast.protocol.limits import MAX_UNKNOWN_BYTES


class Guest(ABC):
    """A connection, as the others see it."""

    @abstractmethod
    def idle_since(self) -> tuple[bool, float] | None:
        """Return whether it has shown a credential, and when it last did something; None: it is being served."""

    @abstractmethod
    def give_way(self) -> None:
        """End it: others need its place, or its bytes."""


class Budget:
    """Bytes of requests that are not whole, of all clients who have shown no credential."""

    def __init__(self, most: int = MAX_UNKNOWN_BYTES) -> None:
        self.most = most
        self.held = 0
        self._by_holder: dict[Guest, int] = {}  # who began first comes first

    def hold(self, holder: Guest, size: int) -> None:
        """Set what a holder has in all. Over the budget, those who began first give way."""
        self.held += size - self._by_holder.get(holder, 0)
        self._by_holder[holder] = size
        while self.held > self.most:
            oldest = next(iter(self._by_holder))
            self.release(oldest)
            oldest.give_way()

    def release(self, holder: Guest) -> None:
        """Forget a holder."""
        self.held -= self._by_holder.pop(holder, 0)


class Room:
    """Room for connections: once all places are taken, the idlest give theirs to newcomers, strangers first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made = 0  # places that were given up, and not taken yet
        self._full_until = 0.0

    def take(self, newcomer: Guest, guests: Collection[object], most: int) -> bool:
        """Whether there is a place for a newcomer, who is among the `guests` already, of whom there may be `most`."""
        if len(guests) <= most:
            self._made = 0
            return True
        if not self._made and self._clock() >= self._full_until:
            self._made = self._make(newcomer, guests, max(1, most // _SHARE))
        if not self._made:
            return False
        self._made -= 1
        return True

    def _make(self, newcomer: Guest, guests: Collection[object], wanted: int) -> int:
        others = (guest for guest in guests if isinstance(guest, Guest) and guest is not newcomer)
        idle = [(since, guest) for guest in others if (since := guest.idle_since())]
        idle.sort(key=lambda found: found[0])
        for _, guest in idle[:wanted]:
            guest.give_way()
        if not idle:
            self._full_until = self._clock() + _AGAIN_S  # looking through thousands of connections costs milliseconds
        return min(len(idle), wanted)


#: One in so many places is made free at a time: a look through all connections serves many newcomers.
_SHARE: Final = 50
#: Seconds until the next look, after one that found nobody.
_AGAIN_S: Final = 0.1
