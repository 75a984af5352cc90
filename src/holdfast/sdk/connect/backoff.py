"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from typing import Final

_FIRST_S: Final = 0.5
_MOST_S: Final = 30.0


class Backoff:
    """Waits that double, each shortened by chance, so that many workers don't come back at one moment."""

    def __init__(self, first_s: float = _FIRST_S, most_s: float = _MOST_S) -> None:
        self._first = first_s
        self._most = most_s
        self._attempts = 0

    def next(self) -> float:
        """Return the seconds to wait."""
        wait = min(self._most, self._first * 2.0 ** min(self._attempts, 20))
        self._attempts += 1
        return wait * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """An attempt succeeded: the next wait is short."""
        self._attempts = 0
