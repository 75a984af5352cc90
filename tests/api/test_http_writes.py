"""How many writes an answer is: its head goes out with its body, and on its own only if no body follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from holdfast.server.serve.http import GuardedHttp

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from holdfast.server.api.common.asgi import Receive, Scope, Send

LARGE = b"x" * 100_000
TEXT = (b"content-type", b"text/plain")


class Watched:
    """A transport that remembers what was written to it."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Port:
    """A server in this loop, and one client."""

    def __init__(self, server: asyncio.Server, writes: list[bytes], release: asyncio.Event) -> None:
        self.server = server
        self.writes = writes
        self.release = release

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.server.sockets[0].getsockname())

    async def ask(self, request: bytes) -> bytes:
        """What a client gets that closes its side."""
        reader, writer = await self.client()
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
        return answer


def served(play: Callable[[Port], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        writes: list[bytes] = []
        release = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"]
            if path == "/posted":
                assert (await receive())["body"] == b"12345"
            length = {"/large": len(LARGE), "/empty": 0}.get(path, 5)
            headers = [TEXT] if path in {"/slow", "/breaks"} else [TEXT, (b"content-length", b"%d" % length)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if path == "/slow":
                await release.wait()
            if path == "/breaks":
                raise ValueError("after the head")
            await send({"type": "http.response.body", "body": LARGE if path == "/large" else b"hello"[:length]})

        class Protocol(GuardedHttp):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(Watched(transport, writes))  # type: ignore[arg-type]

        config = uvicorn.Config(app, http=Protocol, lifespan="off", access_log=False, log_config=None)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Protocol(config, state, {}), "127.0.0.1", 0)
        try:
            await play(Port(server, writes, release))
        finally:
            server.close()
            while state.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)

    asyncio.run(main())


def get(path: bytes, method: bytes = b"GET", more: bytes = b"Connection: close\r\n") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (method, path, more)


@pytest.mark.parametrize(
    ("request_", "body", "writes"),
    [
        (get(b"/small"), b"hello", 1),
        (get(b"/empty"), b"", 1),
        (get(b"/large"), LARGE, 2),
        (get(b"/small", b"HEAD"), b"", 1),
        (get(b"/small", more=b"") + get(b"/small"), b"hello", 2),
        (get(b"/small", b"HEAD", b"") + get(b"/small"), b"hello", 2),
    ],
    ids=["small", "empty", "large", "HEAD", "pipelined", "pipelined HEAD"],
)
def test_an_answer_is_one_write(request_: bytes, body: bytes, writes: int) -> None:
    async def play(port: Port) -> None:
        answer = await port.ask(request_)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n" + body)
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == request_.count(b"HTTP/1.1")
        assert [len(data) > 0 for data in port.writes] == [True] * writes

    served(play)


def test_the_head_of_a_slow_answer_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def play(port: Port) -> None:
        reader, writer = await port.client()
        writer.write(get(b"/slow"))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 200 OK")
        port.release.set()
        assert await asyncio.wait_for(reader.read(), 10) == b"5\r\nhello\r\n0\r\n\r\n"
        writer.close()
        await writer.wait_closed()

    served(play)
    assert caplog.records == []


def test_a_client_is_told_to_send_its_body() -> None:
    async def play(port: Port) -> None:
        reader, writer = await port.client()
        writer.write(get(b"/posted", b"POST", b"Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n"))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"\r\n\r\nhello")
        assert len(port.writes) == 2
        writer.close()
        await writer.wait_closed()

    served(play)


@pytest.mark.usefixtures("caplog")
def test_an_answer_that_breaks_off_still_has_its_head() -> None:
    async def play(port: Port) -> None:
        answer = await port.ask(get(b"/breaks"))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert not answer.endswith(b"0\r\n\r\n")

    served(play)
