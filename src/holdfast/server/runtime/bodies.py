"""Bodies of parked runs on their way from a store that takes its time (docs/adr/0027).

What is for such a run waits, in order; nothing else does. A store on this machine answers at once and needs none of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import structlog

from holdfast.server.engine.run import Body, Run
from holdfast.server.store.store import StoreError

if TYPE_CHECKING:
    from holdfast.server.runtime.partition import Partition

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Loading:
    """A body that is being loaded, and what waits for it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._waiting: list[tuple[Callable[[], None], Callable[[StoreError], None]]] = []

    def then(self, ready: Callable[[], None], failed: Callable[[StoreError], None] = lambda _: None) -> None:
        """Call back when the body is there, after all who asked before; or when it never will be."""
        self._waiting.append((ready, failed))

    async def do(self, work: Callable[[], T]) -> T:
        """Do something when the body is there, after all who asked before. Raises StoreError, or as `work` does."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def ready() -> None:
            if future.done():  # nobody waits any more
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - told to who waits
                future.set_exception(error)

        self.then(ready, lambda error: None if future.done() else future.set_exception(error))
        return await future

    def ready(self) -> None:
        """Let all go on."""
        while self._waiting:
            ready, _ = self._waiting.pop(0)
            try:
                ready()
            except Exception as error:
                log.error("what waited for a run failed", run=self.run.id, exc_info=error)

    def failed(self, error: StoreError) -> None:
        """Tell all that the body will not come."""
        waiting, self._waiting = self._waiting, []
        for _, failed in waiting:
            failed(error)


class Bodies:
    """The bodies that are being loaded for a partition."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._loading: dict[str, Loading] = {}

    def get(self, run: Run) -> Loading | None:
        """Return what loads a run's body, if anything does."""
        return self._loading.get(run.id)

    def begin(self, run: Run, pending: Awaitable[Body]) -> Loading:
        """Wait for a body that a store is about to give."""
        loading = self._loading[run.id] = Loading(run)
        self._await(loading, pending)
        return loading

    def forget(self, error: StoreError) -> None:
        """Tell all who wait that memory was thrown away."""
        loading, self._loading = self._loading, {}
        for one in loading.values():
            one.failed(error)

    def _await(self, loading: Loading, pending: Awaitable[Body]) -> None:
        asyncio.ensure_future(pending).add_done_callback(lambda done: self._came(loading, done))

    def _came(self, loading: Loading, done: asyncio.Future[Body]) -> None:
        run = loading.run
        if self._loading.get(run.id) is not loading or done.cancelled():
            return  # forgotten
        if (error := done.exception()) is not None:
            self._partition.distrust(error if isinstance(error, StoreError) else StoreError(str(error)))
            return
        body = done.result()
        if not self._partition.take_body(run, body):
            # A step was saved while the body was read, and its commit is not to be seen yet.
            self._partition.on_commit(lambda error: self._again(loading) if error is None else None)
            return
        del self._loading[run.id]
        loading.ready()

    def _again(self, loading: Loading) -> None:
        if self._loading.get(loading.run.id) is loading:
            pending = self._partition.store.load_body(loading.run.id)
            assert not isinstance(pending, Body)
            self._await(loading, pending)
