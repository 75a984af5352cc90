"""Real servers on the loopback device, each behaving as its script says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.server.drivers.http import Answer, Call, CallFailure, HttpClient, Target

if TYPE_CHECKING:
    import ssl


@dataclass
class Request:
    """A request as a peer received it."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """A listening server."""

    host: str
    port: int
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Session:
    """One connection, seen from the peer."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer

    async def request(self) -> Request:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(line, headers, body)
        self.peer.requests.append(request)
        return request

    async def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()
            await asyncio.sleep(0)

    def reset(self) -> None:
        """Close with a RST."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Session], Awaitable[None]]


@asynccontextmanager
async def listening(
    script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    """A peer that runs ``script`` for every connection and closes it when the script ends."""
    sessions: set[asyncio.Task[None]] = set()
    peer = Peer(host, port, "https" if tls else "http")

    async def serve(session: Session) -> None:
        try:
            await script(session)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            session.writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        task = asyncio.get_running_loop().create_task(serve(Session(peer, reader, writer)))
        sessions.add(task)
        task.add_done_callback(sessions.discard)

    server = await asyncio.start_server(connected, host, port, ssl=tls, limit=1 << 24)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        await asyncio.sleep(0.01)


def answering(*chunks: bytes, close: bool = False) -> Script:
    """Answers every request with ``chunks``, sent one by one."""

    async def script(session: Session) -> None:
        while True:
            await session.request()
            await session.send(*chunks)
            if close:
                return

    return script


def ok(body: bytes = b"ok", *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A well-formed answer."""
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


class Outcomes:
    """What ``done`` was called with."""

    def __init__(self) -> None:
        self.all: list[Answer | CallFailure] = []
        self.arrived = asyncio.Event()

    def __call__(self, outcome: Answer | CallFailure) -> None:
        self.all.append(outcome)
        self.arrived.set()


def begin(client: HttpClient, url: str, body: bytes = b"{}", headers: bytes = b"") -> tuple[Call, Outcomes]:
    outcomes = Outcomes()
    return client.post(Target.parse(url), headers, body, outcomes), outcomes


async def post(client: HttpClient, url: str, body: bytes = b"{}", headers: bytes = b"") -> Answer | CallFailure:
    """POST and wait; insists on exactly one outcome."""
    _, outcomes = begin(client, url, body, headers)
    assert not outcomes.all, "done was called from within post"
    await asyncio.wait_for(outcomes.arrived.wait(), 20)
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(outcomes.all) == 1
    return outcomes.all[0]


async def answer(client: HttpClient, url: str, body: bytes = b"{}", headers: bytes = b"") -> Answer:
    outcome = await post(client, url, body, headers)
    assert isinstance(outcome, Answer), outcome
    return outcome


async def failure(client: HttpClient, url: str, body: bytes = b"{}", headers: bytes = b"") -> CallFailure:
    outcome = await post(client, url, body, headers)
    assert isinstance(outcome, CallFailure), outcome
    return outcome
