"""Many things that live equally long, watched by one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """A queue of items that expire ``lifetime`` seconds after they were added.

    Equal lifetimes make the order of arrival the order of expiry, so adding and discarding are one dict operation each
    and a single timer, set for the oldest item, serves all of them.
    """

    def __init__(self, lifetime: float, expire: Callable[[T], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lifetime = lifetime
        self._expire = expire
        self._due: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, item: T) -> bool:
        return item in self._due

    def __iter__(self) -> Iterator[T]:
        return iter(self._due)

    def add(self, item: T) -> None:
        """Watch ``item`` from now on."""
        self._due[item] = due = self._loop.time() + self._lifetime
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._sweep)

    def discard(self, item: T) -> None:
        """Forget ``item``, if it is watched."""
        self._due.pop(item, None)

    def drain(self) -> list[T]:
        """Stop watching and hand back what was watched."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items = list(self._due)
        self._due.clear()
        return items

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        expired: list[T] = []
        for item, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._sweep)
                break
            expired.append(item)
        for item in expired:
            if self._due.pop(item, None) is not None:  # an earlier expiry may have discarded it
                self._expire(item)
