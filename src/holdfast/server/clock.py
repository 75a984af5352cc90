"""Time as the runtime sees it: what it is, and being woken at a moment.

Whatever decides about runs asks the partition's clock, which tests replace by one that they move by hand
(`holdfast.testing`). Sessions, tokens, leases of workers and timeouts of connections are about the outside world, and
stay with the wall clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

#: The longest sleep (seconds) of a timer: the wall clock may be set meanwhile.
LONGEST_S: Final = 60.0


def now_ms() -> int:
    """Return the wall clock's time in ms since the epoch."""
    return time.time_ns() // 1_000_000


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Take it back; does nothing if it was made already."""
        ...


class Clock(Protocol):
    """Where time comes from. Used on the event loop's thread."""

    def now_ms(self) -> int:
        """Return the time in ms since the epoch."""
        ...

    def call_at(self, due_ms: int, callback: Callable[[], object]) -> Timer:
        """Call back at a moment (ms since the epoch), or earlier: who is woken looks at the time."""
        ...


class SystemClock:
    """The wall clock, and timers of the running event loop."""

    now_ms = staticmethod(now_ms)

    def call_at(self, due_ms: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back at a moment, or after a minute, as the wall clock may be set meanwhile."""
        wait = (due_ms - time.time_ns() // 1_000_000) / 1_000
        return asyncio.get_running_loop().call_later(min(LONGEST_S, max(0.0, wait)), callback)
