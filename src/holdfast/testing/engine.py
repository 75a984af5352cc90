"""The real engine in a test's own process: no server, no socket, no waiting."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from holdfast.protocol.events import read_events
from holdfast.server.app import Server
from holdfast.server.app.parts import MemoryStorage
from holdfast.server.config import Config
from holdfast.server.model.reason import Reason
from holdfast.server.runtime.apps import Refused
from holdfast.server.store.history import RunFilter, RunOrder, RunTime, RunTrace, StoredRun
from holdfast.testing import determinism
from holdfast.testing.apps import ORIGIN, App, Exchange, Host, Reply, app_of
from holdfast.testing.clock import Duration, VirtualClock, milliseconds
from holdfast.testing.driver import DirectDriver
from holdfast.testing.errors import NoRunError, NotEndedError, StalledError
from holdfast.testing.events import event_json
from holdfast.testing.mocks import Mocks
from holdfast.testing.run import Run

T = TypeVar("T")

#: Turns of the loop without work after which nothing more comes by itself.
_CALM_TURNS = 4
_RUNS = 10_000
#: Calls without time passing that look like a loop without end.
_MANY_CALLS = 50


class TestEngine:
    """Runs functions on the real engine, with its store in memory and a clock that stands still.

    Events, retries, sleeps, waits, invocations, flow control, crons and `on_failure` behave as on a server. Time passes
    only in `advance` and `finish`.

    Args:
        functions: Functions made by `create_function`, all of one app.
        client: The client that made them: its middleware, serializer and `send` are used. Functions of the official
            SDK don't know theirs; without it they run with a plain one.
        steps: Outputs of steps that are not to be done, by id; a `Fail` lets the step fail.
        start: Where the clock stands at first; None: at the present time.
        patience: Seconds of real time that a call of user code may take.
        deterministic: Whether every run is checked at the end, as `check_determinism` does.

    Example:
        >>> async with TestEngine(order) as t:
        ...     run = await t.send(inngest.Event(name="shop/order", data={"id": 1}))
        ...     await t.advance("3d")
        ...     assert run.steps["pay"].output == "paid"

    """

    __test__ = False  # pytest: this is no class of tests

    def __init__(
        self,
        *functions: object,
        client: object | None = None,
        steps: Mapping[str, object] | None = None,
        start: datetime | None = None,
        patience: float = 10.0,
        deterministic: bool = False,
    ) -> None:
        self.clock = VirtualClock(None if start is None else int(start.timestamp() * 1_000))
        self._app: App = app_of(functions, client)
        self._mocks = Mocks(steps)
        self._patience = patience
        self._deterministic = deterministic
        self._replaying = False
        self._server: Server | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start the engine and register the functions. Raises ValueError if one can't be registered."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._driver = DirectDriver(self._app, self.clock, self._mocks)
        config = Config(ui=False, discovery=False, poll=False, quiet=True)
        drivers = {"http": self._driver, "https": self._driver}
        self._server = Server(config, storage=MemoryStorage(), clock=self.clock, drivers=drivers, environ={})
        self._asgi = httpx.ASGITransport(self._server)
        self._app.attach(Host(self.clock, self._exchange, self._exchange_from_thread))
        try:
            await self._server.start()
            self._register()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the engine; with `deterministic`, check all runs first."""
        try:
            if self._deterministic and error is None:
                for run in self.runs:
                    await self.check_determinism(run)
        finally:
            await self._close()

    async def _close(self) -> None:
        self._app.detach()
        if self._server is not None:
            self._server.closing()
            await self._server.close()

    @property
    def server(self) -> Server:
        """The server behind it, an ASGI application. Raises RuntimeError outside of `async with`.

        GraphQL, which reads from a thread of its own, needs a store with a file: see `holdfast.testing.server`.
        """
        if self._server is None:
            raise RuntimeError("TestEngine has not started; use it as `async with TestEngine(fn) as t:`")
        return self._server

    def _register(self) -> None:
        try:
            self.server.apps.register(self._app.registration())
        except Refused as error:
            why = self.server.apps.refusals.get(self._app.url, "")
            raise ValueError(f"the functions can't be registered: {error}. {why}".strip()) from None

    # --- events and time ----------------------------------------------------------------------------------------------

    async def send(self, event: object, data: Mapping[str, object] | None = None) -> Run:
        """Send an event, and return the run that it started once that has come as far as it can without time.

        If several functions listen, it is the run of the one that was given first; `runs` has all.

        Raises:
            NoRunError: It started none; the text says why. `emit` is for such events.

        """
        runs = await self.emit(event, data)
        if not runs:
            raise NoRunError(f"{self._why_none()}. For an event that starts no run use `emit`")
        return runs[0]

    async def emit(self, event: object, data: Mapping[str, object] | None = None) -> list[Run]:
        """Send an event that may start any number of runs, or end waits; return the runs that it started.

        Args:
            event: An event of the SDK, a dict, or a name.
            data: The event's data, if `event` is a name.

        """
        server, now = self.server, self.clock.now_ms()
        body = event_json(event, data)
        intake = read_events(body, content_type="application/json", now_ms=now, new_id=server.ids.next)
        if intake.error:
            raise ValueError(f"the event was refused: {intake.error}")
        await server.partition.intake.take(intake.events)
        await self.settle()
        self._last_event = intake.events[0].id
        found = _now(server.history.runs_of_events([self._last_event])).get(self._last_event, [])
        return sorted((Run(run.id, self) for run in found), key=self._place)

    async def invoke(self, function: object, data: Mapping[str, object] | None = None) -> Run:
        """Invoke a function, whatever its triggers are; return its run as `send` does."""
        slug = str(getattr(function, "id", function))
        event_id = await self.server.service.invoke(
            slug, data=msgspec.json.encode(data or {}), user=None, sessions=None
        )
        await self.settle()
        found = _now(self.server.history.runs_of_events([event_id])).get(event_id, [])
        if not found:
            raise NoRunError(f"the invocation of {slug!r} started no run")
        return Run(found[0].id, self)

    async def advance(self, duration: Duration) -> None:
        """Let time pass, step by step: what is due on the way happens at its time."""
        end = self.clock.now_ms() + milliseconds(duration)
        await self.settle()
        while (due := self.clock.next_due()) is not None and due <= end:
            self.clock.move_to(due)
            await self.settle()
        self.clock.move_to(end)
        await self.settle()

    async def finish(self, run: Run, within: Duration = "366d") -> Run:
        """Let as much time pass as a run needs to end, and return it. Waits come to their timeouts.

        Raises:
            NotEndedError: It would not end within that time, or never; the text says what it waits for.

        """
        end = self.clock.now_ms() + milliseconds(within)
        await self.settle()
        while not run.ended:
            due = self.clock.next_due()
            if due is None or due > end:
                raise NotEndedError(f"the run does not end within {within}: it {run.describe()}")
            self.clock.move_to(due)
            await self.settle()
        return run

    async def settle(self) -> None:
        """Wait until nothing more happens without time. Raises StalledError if user code takes too long."""
        calls = len(self._driver.made)
        try:
            async with asyncio.timeout(self._patience):
                await self._settle()
        except TimeoutError:
            raise StalledError(self._why_stalled(calls)) from None

    def _why_stalled(self, calls: int) -> str:
        made = len(self._driver.made) - calls
        if made > _MANY_CALLS:
            return (
                f"functions were called {made} times within {self._patience:g} s and have not come to an end; "
                "does one name its steps anew in each call, or do two call each other?"
            )
        return (
            f"user code has not returned within {self._patience:g} s of real time; a step that waits for real "
            "must be mocked (`steps=`), or give it more time (`patience=`)"
        )

    async def _settle(self) -> None:
        partition, dispatcher, calm = self.server.partition, self.server.dispatcher, 0
        while calm < _CALM_TURNS:
            calm += 1
            if self._driver.busy:
                await self._driver.one_ends()
                calm = 0
            elif dispatcher.in_flight:
                await asyncio.sleep(0.001)  # an exchange of a gateway: rare, and real
                calm = 0
            elif not partition.settled:
                calm = 0
            await asyncio.sleep(0)

    # --- runs ---------------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> list[Run]:
        """All runs, in the order in which they were scheduled; handlers of `on_failure` have runs of their own."""
        page = _now(self.server.history.runs(RunFilter(), [RunOrder(RunTime.QUEUED, descending=False)], _RUNS))
        return [Run(run.id, self) for run in page]

    def runs_of(self, function: object) -> list[Run]:
        """Return the runs of a function, given as such or by its slug."""
        slug = str(getattr(function, "id", function))
        return [run for run in self.runs if run.function == slug]

    def mock(self, step: str, output: object) -> None:
        """Answer for a step from now on instead of doing it: with an output, or as a `Fail` says."""
        self._mocks.set(step, output)

    @property
    def unused_steps(self) -> list[str]:
        """The ids of mocked steps that no run came to."""
        return self._mocks.unused()

    async def check_determinism(self, run: Run) -> int:
        """Repeat all calls of a run and compare what the function did; return how many calls there were.

        What the function's code does between steps happens again, steps don't, and events are not sent again.

        Raises:
            NotDeterministicError: A call came to something else; the text says to what.

        """
        self._replaying = True
        try:
            return await determinism.check(self._driver, run.id)
        finally:
            self._replaying = False

    def trace(self, run_id: str) -> RunTrace:
        """Return the rows of a run."""
        return _now(self.server.history.traces([run_id]))[run_id]

    def output(self, run_id: str) -> bytes:
        """Return the JSON of a run's output."""
        return _now(self.server.history.outputs([run_id])).get(run_id, b"null")

    def why(self, run: StoredRun) -> list[Reason]:
        """Return what a run waits for."""
        return _now(self.server.service.why_runs([run]))[run.id]

    def function_of(self, run: StoredRun) -> str:
        """Return the slug of a run's function."""
        function = self.server.apps.functions.get(run.function_id)
        return function.slug if function is not None else run.function_id

    def _place(self, run: Run) -> int:
        slugs = [function.slug for function in self.server.apps.functions.values()]
        return slugs.index(run.function) if run.function in slugs else len(slugs)

    def _why_none(self) -> str:
        history = self.server.history
        event = _now(history.events_by_id([self._last_event]))[self._last_event]
        reasons = _now(self.server.service.why_event(event, []))
        return f"the event {event.name!r} started no run: " + ("; ".join(r.text for r in reasons) or "no reason known")

    # --- what functions ask of the server -----------------------------------------------------------------------------

    async def _exchange(self, exchange: Exchange) -> Reply:
        """Answer a request of the SDK. What a repeated call sends is not taken."""
        if self._replaying and exchange.method == "POST":
            return Reply(200, {"content-type": "application/json"}, b'{"ids":[],"status":200}')
        url = f"{ORIGIN}{exchange.path}"
        request = httpx.Request(exchange.method, url, headers=dict(exchange.headers), content=exchange.body)
        answer = await self._asgi.handle_async_request(request)
        return Reply(answer.status_code, dict(answer.headers), await answer.aread())

    def _exchange_from_thread(self, exchange: Exchange) -> Reply:
        if threading.get_ident() == self._thread:
            raise RuntimeError(
                "a synchronous call to the server from async code would wait for itself: use `await client.send(...)`"
            )
        return asyncio.run_coroutine_threadsafe(self._exchange(exchange), self._loop).result(self._patience)


def _now(asked: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never waits: readers of a store in memory answer at once."""
    try:
        asked.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    with contextlib.suppress(RuntimeError):
        asked.close()
    raise RuntimeError("a store in memory answers at once")
