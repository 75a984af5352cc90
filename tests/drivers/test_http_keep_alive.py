"""Which connections are used again, and when a request may be sent twice (hardly ever)."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import closing

import pytest

from holdfast.server.drivers.http import kernel

from .peers import Session, answer, answering, begin, failure, listening, ok, post

REQUEST_END = b"\r\n\r\n{}"


def test_sequential_calls_share_a_connection(run, client):
    async def main():
        async with listening(answering(ok())) as peer, client() as http:
            for _ in range(20):
                await answer(http, peer.origin)
            assert (peer.connections, len(peer.requests)) == (1, 20)

    run(main)


def test_parallel_calls_are_not_limited(run, client):
    async def main():
        gate = asyncio.Event()

        async def script(session: Session) -> None:
            while True:
                await session.request()
                if len(session.peer.requests) == 50:
                    gate.set()
                await gate.wait()
                await session.send(ok())

        async with listening(script) as peer, client(max_idle_per_host=3) as http:
            begun = [begin(http, peer.origin)[1] for _ in range(50)]
            await asyncio.gather(*(outcomes.arrived.wait() for outcomes in begun))
            assert peer.connections == 50
            await asyncio.gather(*(answer(http, peer.origin) for _ in range(3)))
            assert peer.connections == 50
            await asyncio.gather(*(answer(http, peer.origin) for _ in range(4)))
            assert peer.connections == 51

    run(main)


@pytest.mark.parametrize(
    "raw",
    [
        ok(b"ok", b"Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ok(b"ok", b"Keep-Alive: timeout=1, max=100"),
        ok(b"ok", b"keep-alive: max=5,timeout=0"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ok() + b"rubbish",
        ok() + ok(b"not yours"),
        ok() + b"HTTP/1.",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ids=[
        "close",
        "1.0",
        "timeout 1",
        "timeout 0",
        "length twice",
        "both lengths",
        "rubbish",
        "second answer",
        "half an answer",
        "101",
    ],
)
def test_not_used_again(run, client, raw):
    async def main():
        async with listening(answering(raw)) as peer, client() as http:
            for _ in range(3):
                assert (await answer(http, peer.origin)).body in {b"ok", b""}
            assert peer.connections == 3

    run(main)


def test_keep_alive_timeout_is_respected(run, client):
    async def main():
        async with listening(answering(ok(b"ok", b"Keep-Alive: timeout=60"))) as peer, client() as http:
            for _ in range(3):
                await answer(http, peer.origin)
            assert peer.connections == 1

    run(main)


def test_an_unasked_answer_on_an_idle_connection_is_never_delivered(run, client):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(ok(b"first"))
        await asyncio.sleep(0.02)
        await session.send(ok(b"poison"))
        await session.reader.read()

    async def main():
        async with listening(script) as peer, client() as http:
            assert (await answer(http, peer.origin)).body == b"first"
            await asyncio.sleep(0.1)
            assert (await answer(http, peer.origin)).body == b"first"
            assert peer.connections == 2

    run(main)


def test_idle_connections_are_closed_after_a_while(run, client):
    closed = []

    async def script(session: Session) -> None:
        await session.request()
        await session.send(ok())
        await session.reader.read()
        closed.append(True)

    async def main():
        async with listening(script) as peer, client(idle_timeout=0.05) as http:
            await answer(http, peer.origin)
            await asyncio.sleep(0.2)
            assert closed == [True]

    run(main)


def test_a_connection_closed_while_idle_is_replaced(run, client):
    async def main():
        async with listening(answering(ok(), close=True)) as peer, client() as http:
            for pause in (0.0, 0.1, 0.0):
                await answer(http, peer.origin)
                await asyncio.sleep(pause)
            await asyncio.sleep(0.05)
            assert (await answer(http, peer.origin)).status == 200
            assert len(peer.requests) == 4

    run(main)


def test_a_request_that_was_read_is_not_sent_again(run, client):
    """The app may have run the step before it died."""

    async def script(session: Session) -> None:
        await session.request()
        await session.send(ok())
        await session.request()

    async def main():
        async with listening(script) as peer, client() as http:
            await answer(http, peer.origin)
            await asyncio.sleep(0.1)
            assert (await failure(http, peer.origin)).text == "Unable to reach SDK URL"
            assert (peer.connections, len(peer.requests)) == (1, 2)

    run(main)


def test_a_reset_is_no_proof_that_nothing_was_read(run, client):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(ok())
        await session.request()
        session.reset()

    async def main():
        async with listening(script) as peer, client() as http:
            await answer(http, peer.origin)
            await asyncio.sleep(0.1)
            assert "reset the connection" in (await failure(http, peer.origin)).text
            assert (peer.connections, len(peer.requests)) == (1, 2)

    run(main)


class BlockingPeer:
    """A server on plain sockets, so that a test decides to the instruction when it closes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.received = 0

    async def accept(self) -> socket.socket:
        sock, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        sock.setblocking(False)
        return sock

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        data = b""
        while not data.endswith(REQUEST_END):
            data += await loop.sock_recv(sock, 65536)
        self.received += 1
        await loop.sock_sendall(sock, ok())


@pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO")
def test_a_request_that_never_arrived_is_sent_again(run, client, monkeypatch):
    """The peer closes between our last look at the connection and our write."""

    async def main():
        peer = BlockingPeer()
        with closing(peer.listener):
            async with asyncio.timeout(10), client() as http:
                first = asyncio.ensure_future(answer(http, peer.url))
                stale = await peer.accept()
                await peer.serve(stale)
                await first
                await asyncio.sleep(0.1)

                looks = []
                real = kernel.peek

                def peek(transport):
                    seen = real(transport)
                    looks.append(seen)
                    stale.close()
                    return seen

                monkeypatch.setattr(kernel, "peek", peek)
                second = asyncio.ensure_future(answer(http, peer.url))
                fresh = await peer.accept()
                await peer.serve(fresh)
                assert (await second).body == b"ok"
                assert looks[0][0], "the connection looked alive"
                assert peer.received == 2
                fresh.close()

    run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO")
def test_servers_that_close_without_a_word_are_no_problem(run, client):
    """The next call goes out before the event loop has seen the FIN."""

    async def main():
        peer = BlockingPeer()
        with closing(peer.listener):
            async with asyncio.timeout(10), client() as http:
                task = asyncio.ensure_future(answer(http, peer.url))
                for _ in range(10):
                    sock = await peer.accept()
                    while True:
                        try:
                            assert sock.recv(65536).endswith(REQUEST_END)
                            break
                        except BlockingIOError:
                            await asyncio.sleep(0)
                    sock.sendall(ok())
                    sock.close()
                    await task
                    task = asyncio.ensure_future(answer(http, peer.url))
                task.cancel()
                await asyncio.sleep(0)

    run(main)


def test_a_request_is_sent_again_once_only(run, client, monkeypatch):
    monkeypatch.setattr(kernel, "peek", lambda _transport: (True, 1))  # "nothing was ever acknowledged"

    async def script(session: Session) -> None:
        await session.request()
        if session.peer.connections == 1:
            await session.send(ok())
            await session.request()

    async def main():
        async with listening(script) as peer, client() as http:
            await answer(http, peer.origin)
            await asyncio.sleep(0.1)
            assert (await failure(http, peer.origin)).text == "Unable to reach SDK URL"
            assert (peer.connections, len(peer.requests)) == (2, 3)

    run(main)


def test_origins_do_not_mix(run, client):
    async def main():
        async with listening(answering(ok(b"a"))) as a, listening(answering(ok(b"b"))) as b, client() as http:
            for _ in range(3):
                assert (await answer(http, a.origin)).body == b"a"
                assert (await answer(http, b.origin)).body == b"b"
            assert (a.connections, b.connections) == (1, 1)

    run(main)


def test_a_call_from_done_may_use_the_same_connection(run, client):
    async def main():
        from holdfast.server.drivers.http import Target

        left = 50
        finished = asyncio.Event()

        async with listening(answering(ok())) as peer, client() as http:
            target = Target.parse(peer.origin)

            def again(_outcome):
                nonlocal left
                left -= 1
                if left:
                    http.post(target, b"", b"{}", again)
                else:
                    finished.set()

            http.post(target, b"", b"{}", again)
            await asyncio.wait_for(finished.wait(), 10)
            assert peer.connections == 1

    run(main)


@pytest.mark.parametrize(("bound", "used"), [("127.0.0.1", "localhost"), ("::1", "localhost"), ("::1", "[::1]")])
def test_both_loopback_addresses_are_tried(run, client, bound, used):
    async def main():
        async with listening(answering(ok()), host=bound) as peer, client() as http:
            assert (await post(http, f"http://{used}:{peer.port}/")).status == 200
            assert peer.requests[0].headers["host"] == f"{used}:{peer.port}"

    run(main)


def test_loopback_apps_are_not_asked_to_compress(run, client):
    async def main():
        async with listening(answering(ok())) as peer, client() as http:
            await answer(http, f"http://localhost:{peer.port}")
            assert "accept-encoding" not in peer.requests[0].headers

    run(main)
