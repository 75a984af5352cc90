"""Short works of many owners: no turn of the loop does more than a slice of them, and owners take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

#: How long the works of one turn of the loop may take together (seconds).
SLICE_S: Final = 0.004


class Rotation:
    """Does works at once while the turn of the loop has time left, else in the next turns.

    An owner with a thousand works waiting holds another one's up by one of them.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, deque[Callable[[], object]]] = {}
        self._spent = 0.0
        self._armed = False

    @property
    def free(self) -> bool:
        """Whether a work that comes now is done at once."""
        return self._spent < SLICE_S and not self._waiting

    def do(self, owner: str, work: Callable[[], object]) -> None:
        """Do a work, or let it wait for its owner's turn."""
        if self.free:
            self._now(work)
        else:
            self._waiting.setdefault(owner, deque()).append(work)

    def _now(self, work: Callable[[], object]) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._next_turn)
        began = perf_counter()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the others wait behind it
            self._loop.call_exception_handler({"message": "an answer could not be taken", "exception": error})
        self._spent += perf_counter() - began

    def _next_turn(self) -> None:
        self._armed = False
        self._spent = 0.0
        while self._waiting and self._spent < SLICE_S:
            self._now(self._next_work())

    def _next_work(self) -> Callable[[], object]:
        owner = next(iter(self._waiting))
        works = self._waiting.pop(owner)
        work = works.popleft()
        if works:
            self._waiting[owner] = works  # behind the others
        return work
