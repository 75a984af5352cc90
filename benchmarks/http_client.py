"""CPU time per call of the HTTP client that calls user code.

    python benchmarks/http_client.py [--concurrency 32] [--calls 40000] [--rounds 5] [--loop uvloop|asyncio]

A raw httptools server runs in a second process and answers every POST with 206 and one small opcode. What is reported
is user plus system time of the client's process alone, divided by the number of calls, so a busy machine matters less
than it would for throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import cast

import httptools
import uvloop

from holdfast.server.drivers.http import Answer, CallFailure, HttpClient, Target

BODY = (
    b'{"ctx":{"attempt":0,"run_id":"01M7Y8ZZX99M8SG83S1EBFFK5E"},"event":{"name":"bench/event","data":{"p":"%b"}}}'
    % (b"x" * 490)
)
OPCODES = b'[{"id":"6b9a0f1c1d5d1c8a1f4c1b0a9e8d7c6b5a493827","op":"StepRun","displayName":"step","data":{"ok":true}}]'
ANSWER = (
    b"HTTP/1.1 206 Partial Content\r\ndate: Sat, 21 Nov 2026 05:24:17 GMT\r\nserver: uvicorn\r\n"
    b"content-type: application/json\r\nx-inngest-sdk: inngest-py:v0.5.19\r\nx-inngest-req-version: 2\r\n"
    b"x-inngest-no-retry: false\r\ncontent-length: %d\r\n\r\n%b" % (len(OPCODES), OPCODES)
)
HEADERS = (
    b"Content-Type: application/json\r\nX-Run-ID: 01M7Y8ZZX99M8SG83S1EBFFK5E\r\n"
    b"X-Request-ID: 01M7Y8ZZY4MW7P2TH74C6AMQ93\r\nX-Inngest-Generation-ID: 1\r\nX-Inngest-Job-ID: 12tu9dhhh0911\r\n"
    b"X-Inngest-Req-Version: 2\r\nX-Inngest-Step-ID: step\r\naccount-id: 00000000-0000-4000-a000-000000000000\r\n"
)


class FakeApp(asyncio.Protocol):
    """Answers every request with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast("asyncio.Transport", transport).write  # uvloop's is no subclass of it
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.write(ANSWER)


def serve(ready: Pipe) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(FakeApp, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


class Load:
    """Keeps ``concurrency`` calls in flight until ``calls`` have been answered."""

    def __init__(self, client: HttpClient, target: Target, calls: int) -> None:
        self.client, self.target, self.unsent, self.unanswered = client, target, calls, calls
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        if self.unsent:
            self.unsent -= 1
            self.client.post(self.target, HEADERS, BODY, self.done)

    def done(self, outcome: Answer | CallFailure) -> None:
        if isinstance(outcome, CallFailure) or outcome.status != 206:
            self.finished.cancel(f"unexpected outcome: {outcome!r}")
            return
        self.unanswered -= 1
        self.start()
        if not self.unanswered:
            self.finished.set_result(None)


async def measure(port: int, calls: int, concurrency: int) -> tuple[float, float]:
    """CPU microseconds per call, and calls per second."""
    client = HttpClient()
    target = Target.parse(f"http://127.0.0.1:{port}/api/inngest?fnId=bench&stepId=step")
    for count in (concurrency * 10, calls):  # the first round opens the connections
        load = Load(client, target, count)
        gc.collect()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(concurrency):
            load.start()
        await load.finished
    after, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - started
    await client.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / calls * 1e6, calls / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    options = parser.parse_args()
    run: Callable[..., tuple[float, float]] = uvloop.run if options.loop == "uvloop" else asyncio.run
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port = ours.recv()
        rounds = [run(measure(port, options.calls, options.concurrency)) for _ in range(options.rounds)]
    finally:
        server.terminate()
    cpu = sorted(r[0] for r in rounds)
    print(f"{options.loop}, {options.concurrency} in flight, {options.calls} calls, {options.rounds} rounds")
    print(f"CPU per call: median {statistics.median(cpu):.1f} us (range {cpu[0]:.1f}-{cpu[-1]:.1f})")
    print(f"calls per second: median {statistics.median(r[1] for r in rounds):,.0f}")


if __name__ == "__main__":
    main()
