"""What realtime costs: messages a second, latency, idle subscribers, and what the engine notices.

    python -m benchmarks.realtime

The server is a process of its own; publishers, subscribers and the app share this one, so the figures are lower bounds
on a machine with few cores.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from benchmarks.bars import QUICK, Bench, Scene
from benchmarks.load import Client, request
from benchmarks.server import Server

_HANDSHAKE = (
    "GET /v1/realtime/connect?token={} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Subscriber(asyncio.Protocol):
    """Counts frames as cheaply as Python can, so that the server is what is measured."""

    def __init__(self, stamped: bool) -> None:
        self.count = 0
        self.took: list[float] = []
        self._stamped = stamped
        self._buffer = b""
        self._upgraded = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded, self._buffer = True, rest
            self.ready.set_result(None)
        self._frames()

    def _frames(self) -> None:
        data, at = self._buffer, 0
        while len(data) - at >= 4:
            short = data[at + 1]
            start, size = (at + 4, int.from_bytes(data[at + 2 : at + 4], "big")) if short == 126 else (at + 2, short)
            if len(data) < start + size:
                break
            if data[at] == 0x81:
                self.count += 1
                if self._stamped:
                    self._stamp(data[start : start + size])
            at = start + size
        self._buffer = data[at:]

    def _stamp(self, message: bytes) -> None:
        self.took.append(time.perf_counter() - float(message.partition(b'"t":')[2].partition(b",")[0]))


def _publication(i: int) -> bytes:
    body = {"t": time.perf_counter(), "i": i, "pad": "x" * 64}
    return request("/v1/realtime/publish?channel=bench&topic=t", json.dumps(body, separators=(",", ":")).encode())


async def _token(port: int) -> str:
    body = b'[{"channel":"bench","name":"t","kind":"run"}]'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/v1/realtime/token", body))
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    answer = json.loads(await reader.readexactly(size))
    writer.close()
    return str(answer["jwt"])


async def subscribers(port: int, count: int, *, stamped: bool = True) -> list[tuple[asyncio.BaseTransport, Subscriber]]:
    """Connected clients of the one topic."""
    loop, made = asyncio.get_running_loop(), list[tuple[asyncio.BaseTransport, Subscriber]]()
    token = await _token(port)
    for _ in range(count):
        transport, protocol = await loop.create_connection(lambda: Subscriber(stamped), "127.0.0.1", port)
        transport.write(_HANDSHAKE.format(token).encode())
        await protocol.ready
        made.append((transport, protocol))
    return made


async def _publish(port: int, count: int, connections: int, rate: float = 0) -> float:
    """Publishes, as fast as it goes or at a rate; the seconds it took."""
    clients = [await Client.open(port) for _ in range(connections)]
    began, numbers = time.perf_counter(), iter(range(count))

    async def work(client: Client) -> None:
        for i in numbers:
            if rate and (ahead := began + i / rate - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            await client.post(_publication(i))

    await asyncio.gather(*map(work, clients))
    seconds = time.perf_counter() - began
    for client in clients:
        await client.close()
    return seconds


async def fan_out(server: Server, listeners: int, count: int, rate: float = 0) -> None:
    """One topic, some subscribers."""
    connected = await subscribers(server.port, listeners)
    cpu, began = server.cpu_s(), time.perf_counter()
    await _publish(server.port, count, 8, rate)
    while sum(each.count for _, each in connected) < count * listeners:  # noqa: ASYNC110 - counted in many places
        await asyncio.sleep(0.002)
    seconds = time.perf_counter() - began
    took = sorted(ms for _, each in connected for ms in each.took)
    how = f"at {rate:g}/s" if rate else "at full speed"
    print(
        f"{listeners:>5} subscribers, {count} messages {how}: {count / seconds:,.0f} messages/s,"
        f" {count * listeners / seconds:,.0f} deliveries/s, latency p50 {took[len(took) // 2] * 1e3:.2f} ms"
        f" p99 {took[len(took) * 99 // 100] * 1e3:.2f} ms,"
        f" server CPU {(server.cpu_s() - cpu) / count / listeners * 1e6:.0f} µs per delivery"
    )
    for transport, _ in connected:
        transport.close()
    await asyncio.sleep(0.2)


async def idle(server: Server, count: int) -> None:
    """Subscribers to whom nothing is said."""
    before = server.rss_mib()
    connected = await subscribers(server.port, count, stamped=False)
    after, cpu = server.rss_mib(), server.cpu_s()
    await asyncio.sleep(20)
    print(
        f"{count:>5} idle subscribers: {(after - before) * 1024 / count:.1f} KiB each,"
        f" {(server.cpu_s() - cpu) / 20 * 100:.2f} % CPU"
    )
    for transport, _ in connected:
        transport.close()
    await asyncio.sleep(0.5)


async def beside_the_engine(scene: Scene, rate: float) -> None:
    """From a step's answer to the request of the next one, with and without publishing to many."""
    bench, port = Bench(QUICK), scene.server.port
    for listeners in (0, 100):
        connected = await subscribers(port, listeners) if listeners else []
        publishing = asyncio.ensure_future(_publish(port, int(rate * 4), 4, rate)) if listeners else None
        hop, first, accepted = await bench._one_by_one(scene)  # noqa: SLF001 - the same measurement as the bars
        if publishing is not None:
            await publishing
        for transport, _ in connected:
            transport.close()
        beside = f"beside {rate:g} messages/s to {listeners}" if listeners else "alone"
        print(
            f"{beside}: step to step {hop:.2f} ms, event to first step {first:.2f} ms, accepted {accepted:.2f} ms (p50)"
        )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Scene(Path(folder) / "scene") as scene:
            server = scene.server
            await fan_out(server, 1, 10_000)
            await fan_out(server, 100, 1_000)
            await fan_out(server, 1, 1_000, rate=200)
            await fan_out(server, 100, 300, rate=50)
            await beside_the_engine(scene, 50)
            await idle(server, 1_000)


if __name__ == "__main__":
    asyncio.run(main())
