"""`connect`: a worker, as a program sees it. Its connection lives on a thread, so that busy code can't starve it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from holdfast.sdk.connect.states import ConnectionState, WatchedState
from holdfast.sdk.logs import log

if TYPE_CHECKING:
    from holdfast.sdk.answers import CommRequest, CommResponse
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.connect.session import Session
    from holdfast.sdk.function import Function
    from holdfast.sdk.handler import CommHandler

_GATEWAY_URL: Final = "INNGEST_CONNECT_GATEWAY_URL"
#: Seconds within which a worker whose `start` was cancelled ends.
_CANCELLED_S: Final = 10.0


def connect(
    apps: Sequence[tuple[Inngest, list[Function[Any]]]],
    *,
    instance_id: str | None = None,
    rewrite_gateway_endpoint: Callable[[str], str] | None = None,
    shutdown_signals: Sequence[signal.Signals] | None = None,
    max_worker_concurrency: int | None = None,
    on_state_change: Callable[[ConnectionState], None] | None = None,
) -> WorkerConnection:
    """Make a worker for the functions of one or more apps; `await worker.start()` has it work.

    It connects again for ever once it was connected, or while no server is there. Functions run on the event loop of
    `start`, synchronous ones on threads beside it; socket, heartbeats and leases have a thread of their own.

    Args:
        apps: Clients with their functions. All clients have the same server, mode, keys and environment.
        instance_id: What the worker is called, the same over restarts; by default the name of the host.
        rewrite_gateway_endpoint: Gets the URL of the gateway as the server told it, returns the one to dial.
        shutdown_signals: Signals on which the worker drains, while `start` is awaited on the main thread; none unless
            given. The same signal once more does what it did before.
        max_worker_concurrency: Most calls at once, of all apps together; any number unless given, here or as
            `INNGEST_CONNECT_MAX_WORKER_CONCURRENCY`.
        on_state_change: Called with each new state, on the worker's thread.

    Raises:
        FunctionConfigInvalidError: There is no app, one has no functions, or they belong to different servers.
        ModuleNotFoundError: The packages `websockets` and `protobuf` are missing.

    """
    return WorkerConnection(
        apps, instance_id, rewrite_gateway_endpoint, shutdown_signals, max_worker_concurrency, on_state_change
    )


class WorkerConnection:
    """A worker. Made by `connect`; it works once, from `start` to `close`."""

    def __init__(
        self, apps: Sequence[tuple[Inngest, list[Function[Any]]]], instance_id: str | None,
        rewrite: Callable[[str], str] | None, signals: Sequence[signal.Signals] | None, limit: int | None,
        on_state_change: Callable[[ConnectionState], None] | None,
    ) -> None:  # fmt: skip
        _require_packages()
        from holdfast.sdk.connect.apps import Apps  # noqa: PLC0415 - wants packages that serving does without

        self._apps = Apps(apps, instance_id, limit)
        self._rewrite = rewrite or _rewrite
        self._signals = signals or ()
        self._told = on_state_change
        self._state = WatchedState(self._changed)
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # of the worker's thread
        self._main: asyncio.AbstractEventLoop | None = None  # of user code
        self._thread: threading.Thread | None = None
        self._hurry = False
        self._error: BaseException | None = None

    def get_connection_id(self) -> str:
        """Return the id of the connection, as the server lists it. Raises RuntimeError before there is one."""
        if self._session is None or not self._session.connection_id:
            raise RuntimeError("connection not established")
        return self._session.connection_id

    def get_state(self) -> ConnectionState:
        """Return where the connection stands."""
        return self._state.value

    async def wait_for_state(self, state: ConnectionState) -> None:
        """Wait until the connection stands there."""
        await self._state.wait_for(state)

    async def start(self) -> None:
        """Work until the worker is closed. Cancelled, it cancels its calls, hands in their replies, and ends.

        Raises:
            UnauthorizedError: The server refused the signing keys at the first attempt.
            RefusedError: The server refused the functions at the first attempt.
            RuntimeError: The worker was started before.

        """
        if self._thread is not None or self._state.value is ConnectionState.CLOSED:
            raise RuntimeError("a worker starts once: make another with connect()")
        self._main = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="holdfast-worker", daemon=True)
        with self._handling_signals():
            self._thread.start()
            try:
                await self._state.wait_for(ConnectionState.CLOSED)
            except asyncio.CancelledError:
                self._close(hurry=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CANCELLED_S):
                        await self._state.wait_for(ConnectionState.CLOSED)
                raise
        if self._error is not None:
            raise self._error

    async def close(self, *, wait: bool = False) -> None:
        """Take no more calls, and end once those under way have; with `wait`, return then."""
        self._close(hurry=False)
        if wait:
            await self.closed()

    async def closed(self) -> None:
        """Wait until the worker has ended."""
        await self._state.wait_for(ConnectionState.CLOSED)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._work())
        except BaseException as error:  # noqa: BLE001 - `start` raises it
            self._error = error
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            self._state.set(ConnectionState.CLOSED)

    async def _work(self) -> None:
        from holdfast.sdk.connect.replies import Replies  # noqa: PLC0415 - as above
        from holdfast.sdk.connect.session import Session  # noqa: PLC0415 - as above

        self._session = session = Session(self._apps, self._state, self._submit, self._rewrite, Replies())
        if self._state.value is ConnectionState.CLOSING:  # before it began
            session.close(hurry=self._hurry)
        await session.run()

    def _submit(self, handler: CommHandler, request: CommRequest) -> Future[CommResponse]:
        assert self._main is not None
        return asyncio.run_coroutine_threadsafe(handler.handle("POST", request), self._main)

    def _close(self, *, hurry: bool) -> None:
        """Begin to close; called from any thread, and from signal handlers."""
        self._hurry = self._hurry or hurry
        loop = self._loop
        self._state.set(ConnectionState.CLOSED if loop is None else ConnectionState.CLOSING)
        session = self._session
        if loop is not None and session is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(lambda: session.close(hurry=hurry))

    def _changed(self, state: ConnectionState) -> None:
        logger = self._apps.client.logger
        log(logger, "debug", f"the worker is {state.value.lower()}")
        if self._told is not None:
            try:
                self._told(state)
            except Exception as error:  # noqa: BLE001 - a listener must not end the worker
                log(logger, "error", f"on_state_change failed: {error!r}")

    # --- signals ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _handling_signals(self) -> Generator[None]:
        """Drain on the signals that were asked for; on the next one do what was done before."""
        if not self._signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in self._signals}

        def drain(number: int, _frame: object) -> None:
            signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)
            self._close(hurry=False)

        for number in before:
            signal.signal(number, drain)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)


def _rewrite(endpoint: str) -> str:
    return os.environ.get(_GATEWAY_URL) or endpoint


def _require_packages() -> None:
    try:
        for name in ("google.protobuf", "websockets"):
            import_module(name)
    except ModuleNotFoundError as error:
        text = f"a worker needs the package {error.name}: pip install websockets protobuf"
        raise ModuleNotFoundError(text, name=error.name) from None
