"""A clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from holdfast.protocol.durations import DurationError, ceil_ms, parse_duration
from holdfast.server.clock import now_ms

Duration: TypeAlias = str | timedelta
"""A length of time: `"3d"`, `"1h30m"`, `"90s"`, or a timedelta."""


def milliseconds(duration: Duration) -> int:
    """Return a duration in ms, rounded up. Raises ValueError if it is none, or negative."""
    try:
        ms = ceil_ms(_nanoseconds(duration))
    except DurationError as error:
        raise ValueError(f'{error}; write "3d", "1h30m" or "90s", or give a timedelta') from None
    if ms < 0:
        raise ValueError(f"time does not go back: {duration!r}")
    return ms


def _nanoseconds(duration: Duration) -> int:
    if isinstance(duration, str):
        return parse_duration(duration)
    return duration // timedelta(microseconds=1) * 1_000


class VirtualTimer:
    """A call that is to come at a moment of a virtual clock."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Take the call back."""
        self.callback = None

    def fire(self) -> None:
        """Make the call, unless it was taken back."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class VirtualClock:
    """Time that only its owner moves (`holdfast.server.clock.Clock`).

    Args:
        start: Where it stands at first, ms since the epoch; None: at the present time.

    """

    def __init__(self, start: int | None = None) -> None:
        self._now = now_ms() if start is None else start
        self._timers: list[tuple[int, int, VirtualTimer]] = []
        self._count = 0

    def now_ms(self) -> int:
        """Return the time in ms since the epoch."""
        return self._now

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._now / 1_000, UTC)

    def call_at(self, due_ms: int, callback: Callable[[], object]) -> VirtualTimer:
        """Call back when the clock comes to a moment; in the next turn of the loop if it is there already."""
        timer = VirtualTimer(callback)
        if due_ms <= self._now:
            asyncio.get_running_loop().call_soon(timer.fire)
        else:
            self._count += 1
            heapq.heappush(self._timers, (due_ms, self._count, timer))
        return timer

    def next_due(self) -> int | None:
        """Return when the next timer is due, in ms since the epoch; None if there is none."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def move_to(self, moment: int) -> None:
        """Move on to a moment (ms since the epoch), and make the calls that are due then, the earliest first."""
        self._now = max(self._now, moment)
        while (due := self.next_due()) is not None and due <= self._now:
            heapq.heappop(self._timers)[2].fire()
