"""The bars of Connect: `python -m benchmarks connect [--quick]`. A worker that speaks the protocol by hand is the app.

The official SDKs are slower than the server; this worker answers at once, so that the server is what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from benchmarks import load
from benchmarks.app import STEPS, now
from benchmarks.bars import BARS, Values, percentile, say
from benchmarks.server import Server
from holdfast.protocol import connect_pb2 as pb

APP: Final = "bench"
#: Steps are named so that the worker need not hash: the server takes any id.
IDS: Final = [f"{n:040x}" for n in range(STEPS)]


def start(port: int) -> pb.StartResponse:
    """Ask where the gateway is."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v0/connect/start", b"", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return pb.StartResponse.FromString(answer.read())


def frame(kind: pb.Kind, message: bytes = b"") -> bytes:
    return pb.Frame(kind=kind, payload=message).SerializeToString()


class Worker:
    """One connection. It answers each call with the next step, and after ten with the end."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.hops: list[float] = []
        self.ended = 0
        self._wanted = 0
        self._replied: dict[str, float] = {}
        self._done: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, port: int, instance: str) -> Worker:
        started = await asyncio.to_thread(start, port)
        socket = await connect(
            started.gateway_endpoint, subprotocols=["v0.connect.inngest.com"], compression=None,  # type: ignore[list-item]
            ping_interval=None, max_queue=None,
        )  # fmt: skip
        await socket.recv()
        slug = f"{APP}-steps"
        runtime = {"type": "ws", "url": f"wss://connect?fnId={slug}&stepId=step"}
        steps = {"step": {"id": "step", "name": "step", "runtime": runtime, "retries": {"attempts": 0}}}
        functions = [{"id": slug, "name": "steps", "triggers": [{"event": "connect/steps"}], "steps": steps}]
        hello = pb.Connect(
            connection_id=started.connection_id, instance_id=instance, sdk_language="py", sdk_version="0.5.19",
            auth_data=pb.Auth(session_token=started.session_token), capabilities=b'{"connect":"v1"}',
            apps=[pb.App(app_name=APP, functions=json.dumps(functions).encode())],
        )  # fmt: skip
        await socket.send(frame(pb.WORKER_CONNECT, hello.SerializeToString()))
        await socket.recv()
        return cls(socket)

    def work(self) -> None:
        self._task = asyncio.create_task(self._work())

    async def runs(self, count: int) -> None:
        """Wait until so many more runs have ended."""
        self._wanted = self.ended + count
        self._done = asyncio.get_running_loop().create_future()
        await self._done

    async def _work(self) -> None:
        async for data in self._socket:
            received = pb.Frame.FromString(data if isinstance(data, bytes) else b"")
            if received.kind == pb.GATEWAY_EXECUTOR_REQUEST:
                await self._answer(pb.Request.FromString(received.payload))

    async def _answer(self, request: pb.Request) -> None:
        at = now()
        if (replied := self._replied.pop(request.run_id, 0.0)) > 0:
            self.hops.append(at - replied)
        done = sum(request.request_payload.count(f'"{id}":'.encode()) for id in IDS)
        reply = pb.Reply(
            request_id=request.request_id, app_id=request.app_id, sdk_version="inngest-py:v0.5.19", request_version=2,
            system_trace_ctx=request.system_trace_ctx,
        )  # fmt: skip
        if done < STEPS:
            id = IDS[done]
            reply.body = f'[{{"op":"StepRun","id":"{id}","name":"s","displayName":"s","data":{done}}}]'.encode()
        else:
            reply.status, reply.body = pb.DONE, b"10"
        ack = pb.RequestAck(request_id=request.request_id).SerializeToString()
        await self._socket.send(frame(pb.WORKER_REQUEST_ACK, ack))
        if done < STEPS:
            self._replied[request.run_id] = now()
        await self._socket.send(frame(pb.WORKER_REPLY, reply.SerializeToString()))
        if done == STEPS:
            self.ended += 1
            if self.ended == self._wanted and self._done is not None:
                self._done.set_result(None)

    async def heartbeats(self) -> None:
        while True:
            await asyncio.sleep(10)
            await self._socket.send(frame(pb.WORKER_HEARTBEAT))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._socket.close()


async def _load(server: Server, worker: Worker, runs: int) -> tuple[float, float]:
    """Calls per second and CPU (µs) per call of so many runs."""
    before, began = server.cpu_s(), now()
    waiting = asyncio.create_task(worker.runs(runs))
    await load.send(server.port, load.requests("connect/steps", f"r{began}", runs, 20), 4)
    await waiting
    calls = runs * (STEPS + 1)
    return calls / (now() - began), (server.cpu_s() - before) / calls * 1e6


async def _hops(server: Server, worker: Worker, runs: int) -> list[float]:
    """Milliseconds from a reply to the next call, one run at a time."""
    worker.hops.clear()
    for number in range(runs):
        waiting = asyncio.create_task(worker.runs(1))
        await load.send(server.port, load.requests("connect/steps", f"h{number}{now()}", 1, 1), 1)
        await waiting
    return [hop * 1_000 for hop in worker.hops]


async def _idle(server: Server, count: int, seconds: float) -> tuple[float, float]:
    """Memory (MiB) and CPU (%) of the server with so many idle workers."""
    workers = [await Worker.open(server.port, f"idle-{n}") for n in range(count)]
    beating = [asyncio.create_task(worker.heartbeats()) for worker in workers]
    for worker in workers:
        worker.work()
    await asyncio.sleep(2)
    before, began = server.cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    cpu = (server.cpu_s() - before) / (time.perf_counter() - began) * 100
    rss = server.rss_mib()
    for task in beating:
        task.cancel()
    for worker in workers:
        with contextlib.suppress(Exception):
            await worker.close()
    return rss, cpu


async def measure(values: dict[str, float], *, quick: bool) -> None:
    """All bars of Connect, into `values` by their keys in `BARS`."""
    with tempfile.TemporaryDirectory(prefix="holdfast-connect-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            worker = await Worker.open(server.port, "bench")
            worker.work()
            await _load(server, worker, 30)  # warm
            rounds = [await _load(server, worker, 100 if quick else 400) for _ in range(3)]
            values["connect_calls"] = statistics.median(calls for calls, _ in rounds)
            values["connect_cpu"] = statistics.median(cpu for _, cpu in rounds)
            hops = await _hops(server, worker, 10 if quick else 40)
            values["connect_hop"], values["connect_hop99"] = percentile(hops, 50), percentile(hops, 99)
            await worker.close()
        finally:
            server.stop()
    with tempfile.TemporaryDirectory(prefix="holdfast-connect-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            values["connect_rss"], values["connect_idle"] = await _idle(server, 1_000, 5 if quick else 20)
        finally:
            server.stop()


def main(arguments: list[str]) -> None:
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks connect", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    values = Values()
    asyncio.run(measure(values, quick=parser.parse_args(arguments).quick))
    missed = [BARS[key].name for key, value in values.items() if not BARS[key].met(value)]
    say(f"missed: {', '.join(missed)}" if missed else "all met")
