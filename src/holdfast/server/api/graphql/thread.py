"""A thread with an event loop of its own, for what computes long: it never holds up the engine's loop.

Parsing, validating, resolving and writing a large GraphQL answer takes Python seconds. Here it takes turns with the
engine, which gets the interpreter back after a tenth of a millisecond (`sys.setswitchinterval` in `serve/run.py`).

Only a few pieces of work are under way at a time, the others wait in their order. More would be done no sooner, and
what they all hold would make the collections of Python's garbage, during which everything stands still, longer: 120 ms
with sixty large answers begun, 12 ms with four.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_AT_ONCE = 4
_JOIN_S = 5.0


class Worker:
    """The thread; it starts with the first piece of work. Close it when done."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do some work in the thread; it ends when whoever waits for it is cancelled."""
        loop = self._started()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._in_turn(work), loop))

    def begin(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do some work in the thread that nobody waits for."""
        asyncio.run_coroutine_threadsafe(self._in_turn(work), self._started())

    def close(self) -> None:
        """End the thread; work under way is given up."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_JOIN_S)

    async def _in_turn(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with self._places:
            return await work()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
