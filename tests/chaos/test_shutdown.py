"""SIGTERM: an orderly end with calls in flight, a quick one when asked twice, and going on after the next start."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from api.serving import Served
from holdfast.server.model.status import RunStatus

from .app import ChaosApp
from .test_kill import open_rows, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


async def _stalled(server: Served) -> ChaosApp:
    """An app in the midst of a call."""
    app = ChaosApp(server.url)
    await app.serve()
    await asyncio.to_thread(server.start)
    await sync(server, app)
    await asyncio.to_thread(server.send, "chaos/stall", {"n": 1})
    await asyncio.wait_for(app.stalled.wait(), 5)
    return app


async def _ended(server: Served) -> None:
    deadline = time.monotonic() + 10
    while open_rows(server):
        assert time.monotonic() < deadline, server.tail()
        await asyncio.sleep(0.02)


def test_sigterm_ends_in_order_while_calls_are_in_flight_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Served(tmp_path)
        app = await _stalled(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)  # a client that keeps its connection
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readline()
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began < 5
        writer.close()
        assert open_rows(server) == 1
        await asyncio.to_thread(server.start)
        await _ended(server)
        assert app.watch.calls["stall"] == 2
        assert server.query("SELECT status FROM runs") == [(RunStatus.COMPLETED,)]
        assert server.stop() == 0
        await app.close()
        assert server.errors() == []

    asyncio.run(scenario())


@pytest.fixture
def hangup() -> Iterator[Callable[[signal.Handlers], object]]:
    """Says what a server that is started finds SIGHUP to be: `nohup` has it ignored, and so may have this process."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_the_end_of_its_terminal_is_an_orderly_end(tmp_path: Path, hangup: Callable[[signal.Handlers], object]) -> None:
    hangup(signal.SIG_DFL)
    with Served(tmp_path) as server:
        server.send("a/b", {})
        server.signal(signal.SIGHUP)
        assert server.child is not None
        assert server.child.wait(5) == 0
        assert server.query("SELECT count(*) FROM events") == [(1,)]


def test_nohup_keeps_it_running(tmp_path: Path, hangup: Callable[[signal.Handlers], object]) -> None:
    hangup(signal.SIG_IGN)
    with Served(tmp_path) as server:
        server.signal(signal.SIGHUP)
        server.send("a/b", {})
        assert server.child is not None
        assert server.child.poll() is None


def test_a_second_sigterm_does_not_wait_for_slow_clients(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Served(tmp_path)
        await asyncio.to_thread(server.start)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /e/test HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        await asyncio.sleep(0.2)
        server.signal()
        await asyncio.sleep(0.3)
        assert server.child is not None
        assert server.child.poll() is None, "the first waits for the client"
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.child.wait, 5) == 0
        assert time.monotonic() - began < 1.5
        writer.close()

    asyncio.run(scenario())


def test_a_slow_client_delays_the_end_by_a_few_seconds_at_most(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Served(tmp_path)
        await asyncio.to_thread(server.start)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /e/test HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began < 5
        writer.close()

    asyncio.run(scenario())
