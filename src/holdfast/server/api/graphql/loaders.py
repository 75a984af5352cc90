"""Batching of look-ups: what the fields of one level ask for is read together (no statement per row)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from holdfast.server.api.graphql.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.reason import Reason

V = TypeVar("V")

_TURNS = 2


class Loader(Generic[V]):
    """Loads values by key, each once. Keys asked for in a few turns of the event loop go into one call of `fetch`."""

    def __init__(self, fetch: Callable[[Collection[str]], Awaitable[Mapping[str, V]]]) -> None:
        self._fetch = fetch
        self._known: dict[str, asyncio.Future[V | None]] = {}
        self._waiting: dict[str, asyncio.Future[V | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, key: str) -> asyncio.Future[V | None]:
        """Return the value of a key, None if there is none."""
        future = self._known.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._known[key] = loop.create_future()
            if not self._waiting:
                # Not at once: what is asked for a few awaits deeper comes a turn or two later.
                loop.call_soon(self._start, _TURNS)
            self._waiting[key] = future
        return future

    async def get(self, key: str) -> V | None:
        """As `load`, as a coroutine."""
        return await self.load(key)

    def forget(self) -> None:
        """Drop what was loaded."""
        self._known.clear()

    def _start(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._start, turns - 1)
            return
        waiting, self._waiting = self._waiting, {}
        task = asyncio.get_running_loop().create_task(self._run(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, waiting: dict[str, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._fetch(waiting.keys())
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
            return
        for key, future in waiting.items():
            if not future.done():
                future.set_result(found.get(key))


class Context:
    """What resolvers of one request share."""

    def __init__(self, backend: Backend, home: asyncio.AbstractEventLoop) -> None:
        history = backend.history
        self._backend = backend
        self._home = home
        self.budget = Budget()
        self.history = history
        self.now = backend.now_ms()
        self.runs = Loader(history.runs_by_id)
        self.outputs = Loader(history.outputs)
        self.traces = Loader(history.traces)
        self.reasons = Loader(self._why)
        self.doing = Loader(self._doing)
        self.paused = Loader(self._paused)
        self.runs_of_event = Loader(history.runs_of_events)
        self.deferred_runs = Loader(history.deferred_runs)
        self.jobs = Loader(history.jobs)
        self.failed_attempts = Loader(history.failed_attempts)
        self.ai_runs = Loader(history.ai_runs)
        self.events = Loader(history.events_by_id)
        self.apps = Loader(history.apps_by_id)
        self.functions = Loader(history.functions_by_id)
        self.functions_by_slug = Loader(history.functions_by_slug)
        self.functions_of_app = Loader(history.functions_of_apps)

    def forget(self) -> None:
        """Drop what was loaded, once the request has ended: cycles keep this object until a collection."""
        for part in vars(self).values():
            if isinstance(part, Loader):
                part.forget()

    async def _why(self, run_ids: Collection[str]) -> Mapping[str, list[Reason]]:
        runs = await self.history.runs_by_id(run_ids)
        return await self.ask(lambda backend: backend.why_runs(list(runs.values())))

    async def _doing(self, run_ids: Collection[str]) -> Mapping[str, Reason]:
        return await self.ask(lambda backend: backend.doing(list(run_ids)))

    async def _paused(self, function_ids: Collection[str]) -> Mapping[str, str]:
        async def asked(backend: Backend) -> dict[str, str]:
            found = {id: backend.paused(id) for id in function_ids}
            return {id: paused.mode for id, paused in found.items() if paused is not None}

        return await self.ask(asked)

    async def ask(self, question: Callable[[Backend], Awaitable[V]]) -> V:
        """Ask the server itself, on its own loop: resolvers run on another one."""

        async def asked() -> V:
            return await question(self._backend)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked(), self._home))

    async def new_id(self) -> str:
        """Return a new ULID."""

        async def made(backend: Backend) -> str:
            return backend.new_id()

        return await self.ask(made)
