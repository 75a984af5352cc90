"""An event loop, a clock and a stopwatch whose time passes only when everybody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Generator
from random import Random
from typing import Any
from unittest import mock

from holdfast.server.runtime import intake, partition


class _Selector(selectors.SelectSelector):
    """Nothing ever comes from outside: where the loop would sleep, time jumps."""

    loop: Loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            self.loop.at_rest()
        elif timeout > 0:
            self.loop.advance()
        return []


class Loop(asyncio.SelectorEventLoop):
    """Runs until nobody waits for anything."""

    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self._now = 0.0
        self.failure: BaseException | None = None
        self.on_death: Callable[[], None] = lambda: None
        super().__init__(selector)
        self._clock_resolution = 1e-4  # a year is 3e7 s, of which doubles know no nanoseconds
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        return self._now

    def advance(self) -> None:
        """Let the time of the next timer come."""
        self._now = max(self._now, self._scheduled[0].when())

    def at_rest(self) -> None:
        """Nothing is left to happen."""
        self.stop()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Do it now: threads have no place in a life that can be lived again."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the waiter's
            done.set_exception(error)
        return done

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Crash):
            self.on_death()
        elif self.failure is None:
            self.failure = error or AssertionError(context["message"])
            self.stop()

    def live(self) -> None:
        """Run until nothing is left to happen. Raises what broke."""
        asyncio.set_event_loop(self)
        try:
            self.run_forever()
        finally:
            asyncio.set_event_loop(None)
        if self.failure is not None:
            raise self.failure


class Crash(BaseException):
    """The process died."""


class Alarm:
    """A timer of the server's clock."""

    def __init__(self, clock: ServerClock, due_ms: int, callback: Callable[[], object]) -> None:
        self.clock, self.due_ms, self.callback = clock, due_ms, callback
        self.handle: asyncio.TimerHandle | None = None
        self.set()

    def set(self) -> None:
        """Wait for the moment, as the clock is now."""
        self._drop()
        wait = max(0, self.due_ms - self.clock.now_ms()) / 1_000
        self.handle = self.clock.loop.call_later(wait, self._ring)

    def cancel(self) -> None:
        """Take it back."""
        self._drop()
        self.clock.alarms.discard(self)

    def _drop(self) -> None:
        if self.handle is not None:
            self.handle.cancel()

    def _ring(self) -> None:
        self.clock.alarms.discard(self)
        self.callback()


class ServerClock:
    """The server's clock, which may be wrong, and wakes those who wait for it when it is set."""

    def __init__(self, loop: Loop, start_ms: int) -> None:
        self.loop = loop
        self.start_ms = start_ms
        self.skew_ms = 0
        self.alarms: set[Alarm] = set()

    def now_ms(self) -> int:
        return self.start_ms + round(self.loop.time() * 1_000) + self.skew_ms

    def call_at(self, due_ms: int, callback: Callable[[], object]) -> Alarm:
        alarm = Alarm(self, due_ms, callback)
        self.alarms.add(alarm)
        return alarm

    def jump(self, by_ms: int) -> None:
        """Set the clock."""
        self.skew_ms += by_ms
        for alarm in sorted(self.alarms, key=lambda alarm: alarm.due_ms):
            alarm.set()


class _Stopwatch:
    """Stands for `perf_counter`: what is measured takes some time, the same in each life of a seed."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0

    def perf_counter(self) -> float:
        self._now += self._random.choice((1e-6, 1e-6, 1e-6, 5e-4, 3e-3, 8e-3))
        return self._now


@contextlib.contextmanager
def stopwatch(random: Random) -> Generator[None]:
    """Decide what fits into a turn of the loop by a seed, in place of this machine's speed."""
    watch = _Stopwatch(random)
    with (
        mock.patch.object(intake, "perf_counter", watch.perf_counter),
        mock.patch.object(partition, "time", watch),
    ):
        yield
