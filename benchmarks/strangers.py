"""What clients without credentials can cost the others: `python -m benchmarks strangers [--quick]`.

A server as it is run (`start`), and thousands of connections that ask for nothing, or for something large, and come
again when they are closed. Beside them: how long `/health` takes on a new connection, and a step to the
next one; and how much memory the server needs more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import resource
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import load
from benchmarks.app import App, Watch, now
from benchmarks.server import Server

MAX_MS: Final = 50.0
MAX_MIB: Final = 128.0
KEY: Final = "ab" * 32

#: Seconds until a stranger whose connection was closed comes again: they idle, and don't flood.
_AGAIN_S: Final = 20.0
_HOST: Final = b"Host: x\r\n"
_UPGRADE: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def post(path: bytes, length: int, body: bytes) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + _HOST + b"Content-Length: %d\r\n\r\n" % length + body


IDLE: Final = (
    b"", b"\r\n", b"GET / HT",
    b"GET /health HTTP/1.1\r\n" + _HOST + b"\r\n",  # answered, and kept
    b"GET / HTTP/1.1\r\n" + _HOST + b"A: " + b"x" * 60_000,
    b"GET / HTTP/1.1\r\n" + _HOST + _UPGRADE + b"Content-Length: 1\r\n\r\n",
    b"GET /v0/gql HTTP/1.1\r\n" + _HOST + _UPGRADE + b"\r\n",
    post(b"/login", 16_000, b"name=" + b"x" * 15_000),
    post(b"/v1/events", 16_000_000, b"x" * 60_000),
    post(b"/e/wrong", 60_000_000, b"x" * 60_000),
)  # fmt: skip
"""What strangers send, and then nothing."""

LARGE: Final = tuple(
    post(path, 16_000_000, b"x" * 16_000_000) for path in (b"/login", b"/v1/events", b"/e/wrong", b"/webhooks/wrong")
)


class Sizes(msgspec.Struct, frozen=True):
    """How many connections, and how often is looked."""

    idle: int = 10_000
    large: int = 100
    looks: int = 100
    runs: int = 20


QUICK = Sizes(idle=600, large=40, looks=40, runs=5)


class Scene(msgspec.Struct):
    """What was seen beside one kind of strangers: milliseconds and MiB."""

    name: str
    health_ms: float
    hop_ms: float
    more_mib: float

    @property
    def met(self) -> bool:
        return max(self.health_ms, self.hop_ms) <= MAX_MS and self.more_mib <= MAX_MIB


def table(scenes: Sequence[Scene]) -> str:
    """Markdown."""
    lines = ["| beside | `/health`, p99 | step \u2192 next step, p99 | memory | met |", "|---|---|---|---|---|"]
    lines += [
        f"| {scene.name} | {scene.health_ms:.1f} ms | {scene.hop_ms:.1f} ms | +{scene.more_mib:.0f} MiB | "
        f"{'yes' if scene.met else '**no**'} |"
        for scene in scenes
    ]
    return "\n".join(lines)


class Bench:
    """One server, its app, and strangers."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.sizes = sizes
        self.app = App()
        self.server = Server(folder, "--signing-key", KEY, "--event-key", "bench", mode="start")
        self._labels = itertools.count()

    async def run(self) -> list[Scene]:
        """Measure all scenes."""
        await self.app.serve()
        self.server.start()
        try:
            await self._register()
            await self._hops(5)  # warm
            sizes = self.sizes
            return [
                await self._beside("nobody", (), 0),
                await self._beside(f"{sizes.idle:,} idle or half-sent connections", IDLE, sizes.idle),
                await self._beside(f"{sizes.large} bodies of 16 MB", LARGE, sizes.large),
            ]
        finally:
            self.server.stop()
            self.app.close()

    async def _register(self) -> None:
        body = load.request("/fn/register", self.app.registration())
        client = await load.Client.open(self.server.port)
        await client.post(body.replace(b"host: x", b"host: x\r\nauthorization: Bearer " + KEY.encode(), 1))
        await client.close()

    async def _beside(self, name: str, sent: Sequence[bytes], count: int) -> Scene:
        before = self.server.rss_mib()
        async with self._strangers(sent, count):
            most = asyncio.ensure_future(self._most_memory())
            health, hops = await self._health(), await self._hops(self.sizes.runs)
            most.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await most
        return Scene(name, _p99(health), _p99(hops), self._peak - before)

    @contextlib.asynccontextmanager
    async def _strangers(self, sent: Sequence[bytes], count: int) -> AsyncIterator[None]:
        """So many connections, from a process of their own: what is measured here shall not wait for them."""
        self._peak = self.server.rss_mib()
        crowd = multiprocessing.get_context("spawn").Process(target=flood, args=(self.server.port, sent, count))
        crowd.start()
        try:
            await asyncio.sleep(3 + count / 400)  # they come one after the other
            yield
        finally:
            crowd.kill()
            crowd.join()

    async def _most_memory(self) -> None:
        while True:
            self._peak = max(self._peak, self.server.rss_mib())
            await asyncio.sleep(0.1)

    async def _health(self) -> list[float]:
        """Milliseconds, each on a connection of its own."""
        took = list[float]()
        for _ in range(self.sizes.looks):
            began = now()
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if not (await reader.read()).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("/health is refused")
            took.append((now() - began) * 1e3)
            writer.close()
            await asyncio.sleep(0.02)
        return took

    async def _hops(self, runs: int) -> list[float]:
        """Milliseconds between steps, of runs one after the other."""
        found = list[float]()
        client = await load.Client.open(self.server.port)
        for _ in range(runs):
            watch = self.app.watch = Watch(f"s{next(self._labels)}", 1)
            await client.post(load.requests("bench/steps", watch.label, 1, 1)[0])
            await asyncio.wait_for(watch.done.wait(), 60)
            found += [gap * 1e3 for gap in watch.gaps]
        await client.close()
        return found


def flood(port: int, sent: Sequence[bytes], count: int) -> None:
    """Hold so many connections, until the process is killed."""
    _many_files()
    asyncio.run(_flood(port, sent, count))


async def _flood(port: int, sent: Sequence[bytes], count: int) -> None:
    tasks = list[asyncio.Task[None]]()
    for n in range(count):
        tasks.append(asyncio.create_task(_stranger(port, sent[n % len(sent)])))
        if n % 50 == 49:
            await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)


async def _stranger(port: int, sent: bytes) -> None:
    """One connection, that comes again when it is closed."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
            try:
                writer.write(sent)
                await writer.drain()
                while await reader.read(4_096):
                    pass
            finally:
                writer.transport.abort()
        await asyncio.sleep(_AGAIN_S)


def _many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def measure(sizes: Sizes) -> list[Scene]:
    """Run the bench."""
    _many_files()
    with tempfile.TemporaryDirectory(prefix="holdfast-strangers-") as folder:
        return asyncio.run(Bench(Path(folder), sizes).run())


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks strangers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some hundreds of connections")
    print(table(measure(QUICK if parser.parse_args(arguments).quick else Sizes())))
