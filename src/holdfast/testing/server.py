"""A whole server in the test's own process, on a port: for tests of apps over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from holdfast.server.app import Server
from holdfast.server.app.parts import open_storage
from holdfast.server.config import Config
from holdfast.server.serve.run import listen, listen_to_workers, make_http
from holdfast.testing.clock import Duration, VirtualClock, milliseconds
from holdfast.testing.errors import StalledError
from holdfast.testing.graphql import GraphQLClient
from holdfast.testing.replaced import Replaced, sdk_modules

T = TypeVar("T")

_START_S = 10.0
_CALM_TURNS = 20
_CALM_S = 0.001


class LocalServer:
    """A dev server in a thread, its rows in a temporary folder: nothing is left behind.

    Args:
        clock: What tells the time of runs; None: the wall clock. SDKs in this process read it too, while it runs.
        patience: Seconds of real time within which calls must be answered while virtual time passes.

    """

    def __init__(self, *, clock: VirtualClock | None = None, patience: float = 10.0) -> None:
        self._config = Config(host="127.0.0.1", port=0, discovery=False, poll=False, quiet=True)
        self.virtual = clock
        self._patience = patience
        self._replaced = Replaced()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-server", daemon=True)
        self._failure: BaseException | None = None
        self.port = 0
        """Its port on 127.0.0.1, a free one."""

    def __enter__(self) -> Self:
        """Start; returns when it answers."""
        if self.virtual is not None:
            self._replaced.tell_time(self.virtual, *sdk_modules())
        self._thread.start()
        started = self._ready.wait(_START_S)
        if self._failure is not None or not started:
            self._replaced.undo()
            raise self._failure or StalledError(f"the server did not start within {_START_S:g} s")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the end."""
        self._replaced.undo()
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    @property
    def url(self) -> str:
        """Its origin: `INNGEST_BASE_URL` of SDKs."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> GraphQLClient:
        """A client that waits for runs and reads their steps."""
        return GraphQLClient(self.url)

    def advance(self, duration: Duration) -> None:
        """Let virtual time pass, step by step; apps are called meanwhile. Raises RuntimeError without such a clock."""
        if self.virtual is None:
            raise RuntimeError("this server lives in real time; use the fixture `clock`, or LocalServer(clock=...)")
        self._do(self._advance(self.virtual, milliseconds(duration)))

    def settle(self) -> None:
        """Wait until nothing more happens without time."""
        self._do(self._settle())

    # --- its thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to who started it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as sockets:
            listeners = [sockets.enter_context(one) for one in listen(self._config)]
            self.port = listeners[0].getsockname()[1]
            gateway = [sockets.enter_context(one) for one in listen_to_workers(self._config, self.port)]
            self._server = server = Server(
                self._config, storage=await open_storage(self._config), clock=self.virtual, environ={}
            )
            self._http = make_http(self._config, server)
            await server.start()
            await server.gateway.listen(gateway)
            self._loop.call_soon(self._ready.set)
            await self._http.serve(sockets=listeners)
            await server.close()

    def _stop(self) -> None:
        self._server.closing()
        self._http.stop()
        self._http.stop()  # at once

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _advance(self, clock: VirtualClock, ms: int) -> None:
        end = clock.now_ms() + ms
        await self._settle()
        while (due := clock.next_due()) is not None and due <= end:
            clock.move_to(due)
            await self._settle()
        clock.move_to(end)
        await self._settle()

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._quiet()
        except TimeoutError:
            raise StalledError(f"apps have not answered within {self._patience:g} s of real time") from None

    async def _quiet(self) -> None:
        calm = 0
        while calm < _CALM_TURNS:
            busy = self._server.dispatcher.in_flight or not self._server.partition.settled
            calm = 0 if busy else calm + 1
            await asyncio.sleep(_CALM_S if busy else 0)


class ServerClock:
    """The clock of a `LocalServer`, as the fixture `clock` hands it out."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server

    @property
    def now_ms(self) -> int:
        """The time in ms since the epoch."""
        assert self._server.virtual is not None
        return self._server.virtual.now_ms()

    def advance(self, duration: Duration) -> None:
        """Let time pass (`LocalServer.advance`)."""
        self._server.advance(duration)
