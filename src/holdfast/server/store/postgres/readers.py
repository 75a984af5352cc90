"""Reading beside the writer: a thread with an event loop and connections of its own.

What rows cost to decode is not the engine's loop's: it waits for nothing here. Searches have connections of their own:
they are slow by nature, and must not hold up anything else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from holdfast.server.store.history import TooSlowError
from holdfast.server.store.postgres.link import Link
from holdfast.server.store.postgres.settings import Settings

if TYPE_CHECKING:
    from holdfast.server.store.sql.reader import Reader

T = TypeVar("T")

_SEARCHES: Final = 2


class PostgresReaders:
    """`holdfast.server.store.sql.reader.Readers`. Close it when done."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reads = Link(settings, max(1, settings.most - _SEARCHES))
        self._searches = Link(settings, _SEARCHES)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def call(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Do something with one state of the database. What takes too long ends with TooSlowError.

        Raises StoreError. When the caller is cancelled, so is the query.
        """
        return await self._elsewhere(self._reads, work)

    async def search(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """The same over the connections of searches."""
        return await self._elsewhere(self._searches, work)

    async def _elsewhere(self, link: Link, work: Callable[[Reader], Awaitable[T]]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._work(link, work), self._loop))

    async def _work(self, link: Link, work: Callable[[Reader], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._settings.read_s), link.snapshot() as snapshot:
                return await work(snapshot)
        except TimeoutError:
            raise TooSlowError from None

    def close(self) -> None:
        """End reading."""
        if not self._loop.is_closed():
            try:
                asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()

    async def _close(self) -> None:
        mine = asyncio.current_task()
        under_way = [task for task in asyncio.all_tasks() if task is not mine]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._reads.close()
        await self._searches.close()
