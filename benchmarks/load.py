"""The load: events over keep-alive connections, as bytes that are ready before the clock starts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Self

from benchmarks.app import now

PAD = "x" * 64


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, request: bytes) -> bytes:
        """Sends a whole request. Raises unless the answer is 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await self._reader.readexactly(int(length))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head!r} {body[-300:]!r}")
        return body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def request(path: str, body: bytes) -> bytes:
    """A POST as bytes."""
    lines = (f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def event(name: str, label: str, i: int) -> dict[str, object]:
    return {"name": name, "data": {"i": i, "k": f"{label}:{i}", "b": label, "pad": PAD}}


def requests(name: str, label: str, count: int, size: int) -> list[bytes]:
    """`count` events, `size` to a request."""
    events = [event(name, label, i) for i in range(count)]
    groups = [events[k : k + size] for k in range(0, count, size)]
    return [request("/e/bench", json.dumps(group if size > 1 else group[0]).encode()) for group in groups]


async def send(port: int, ready: Iterable[bytes], connections: int) -> tuple[float, list[float]]:
    """Posts all requests over some connections; the seconds it took, and those of each request."""
    todo, took = iter(ready), list[float]()

    async def work(client: Client) -> None:
        for one in todo:
            began = now()
            await client.post(one)
            took.append(now() - began)

    clients = [await Client.open(port) for _ in range(connections)]
    began = now()
    await asyncio.gather(*map(work, clients))
    seconds = now() - began
    for client in clients:
        await client.close()
    return seconds, took
