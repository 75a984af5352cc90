"""Peers that vanish without a word: their packets go nowhere, and no one closes the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect

from holdfast.protocol import connect_pb2 as pb
from holdfast.server.connect.gateway import DEAD_MS, QUIET_MS

from .rig import SUBPROTOCOL, App, Rig, TestWorker, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

SHOP = App("shop", "order")
PAST = """{ workerConnections(first: 9, orderBy: [], filter: {status: [DISCONNECTED]})
    { edges { node { disconnectReason } } } }"""


class Network:
    """A way to a port, which may swallow everything."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._up = asyncio.Event()
        self._up.set()
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0

    def vanish(self) -> None:
        """Forward nothing more, and tell nobody."""
        self._up.clear()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._tasks += [asyncio.create_task(self._pump(reader, back)), asyncio.create_task(self._pump(there, writer))]

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._up.wait()
                sink.write(data)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def network(rig: Rig) -> AsyncGenerator[Network]:
    way = Network(rig.server.gateway.port)
    server = await asyncio.start_server(way.accept, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    yield way
    way.close()
    server.close()


async def far_worker(rig: Rig, way: Network) -> TestWorker:
    socket = await connect(f"ws://127.0.0.1:{way.port}/v0/connect", subprotocols=[SUBPROTOCOL], compression=None)  # type: ignore[list-item]
    worker = TestWorker(socket, await rig.start(), [SHOP], instance="far")
    await worker.shake_hands()
    return worker


def test_a_vanished_worker_gets_no_more_calls_and_loses_those_that_it_has(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        gateway, driver = rig.server.gateway, rig.server.gateway.driver
        later = [gateway.clock()]
        gateway.clock = lambda: later[0]
        async with network(rig) as way:
            far = await far_worker(rig, way)
            kept = await rig.send("order")
            accepted = await far.request()
            await eventually(lambda: driver._calls[accepted.request_id].accepted)
            way.vanish()
            unheard = await rig.send("order")
            await eventually(lambda: len(driver) == 2)
            near = await rig.worker(SHOP, instance="near")
            later[0] += QUIET_MS + 1
            await near.say(pb.WORKER_HEARTBEAT)
            await near.hear(pb.GATEWAY_HEARTBEAT)
            gateway._look()
            third = await rig.send("order")
            assert (await near.complete("third")).run_id == (await rig.ended(third))["run_id"]
            await near.hears_nothing(0.05)  # what the other one has is still its own
            later[0] += DEAD_MS - QUIET_MS
            await near.say(pb.WORKER_HEARTBEAT)
            await near.hear(pb.GATEWAY_HEARTBEAT)
            gateway._look()
            await near.complete("second")  # which the vanished one never got
            assert (await rig.ended(unheard))["output"] == "second"
            assert [conn["instance_id"] for conn in await rig.conns()] == ["near"]
            rows = (await rig.gql(PAST))["workerConnections"]["edges"]
            assert rows[0]["node"]["disconnectReason"] == "CONSECUTIVE_HEARTBEATS_MISSED"
            assert (await rig.runs(kept))[0]["status"] == "Running", "an accepted call waits for its lease"
            driver._lapsed(driver._calls[accepted.request_id])
            assert "connect_worker_stopped_responding" in json.dumps(await rig.ended(kept, "Failed"))
            far.cut()

    play(scene)


def test_a_worker_that_was_only_suspended_is_told_to_come_back(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(SHOP)
        gateway = rig.server.gateway
        at = gateway.clock()
        gateway.clock = lambda: at + DEAD_MS + 1
        gateway._look()
        assert await worker.closed() == (1011, "connect_internal_error"), "Go's SDK ends for good without a reason"

    play(scene)
