"""Answers in every shape that HTTP/1 allows."""

from __future__ import annotations

import gzip

import brotli
import pytest

from .peers import Session, answer, answering, listening, ok, post

HELLO = b"Content-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHAPES = {
    "content-length": (b"HTTP/1.1 200 OK\r\n" + HELLO, 200, b"hello"),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", 200, b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n", 200, b"hello"),
    "padded chunk size": (CHUNKED + b"5  \r\nhello\r\n0\r\n\r\n", 200, b"hello"),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nhello", 200, b"hello"),
    "http/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, b"hello"),
    "http/1.0 kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + HELLO, 200, b"hello"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304 with length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "no reason": (b"HTTP/1.1 200\r\n" + HELLO, 200, b"hello"),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, b"hello"),
    "leading blank line": (b"\r\nHTTP/1.1 200 OK\r\n" + HELLO, 200, b"hello"),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + HELLO, 200, b"hello"),
    "103s first": (b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\n" + HELLO, 200, b"hello"),
    "101": (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x00\x01", 101, b""),
    "upgrade offered": (b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + HELLO, 200, b"hello"),
    "teapot": (b"HTTP/1.1 418 I'm a teapot\r\n" + HELLO, 418, b"hello"),
    "length and chunks": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + CHUNKED[17:] + b"5\r\nhello\r\n0\r\n\r\n", 200,
                          b"hello"),
    "chunks and length": (CHUNKED[:-2] + b"content-length: 99999999999\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
    "length twice": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\ncontent-length:  5\r\n\r\nhello", 200, b"hello"),
    "length in a list": (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", 200, b"hello"),
    "length twice, bare": (b"\nHTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5\n\nhello", 200, b"hello"),
    "length twice after 100": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + HELLO, 200,
                               b"hello"),
    "http/1.0 with chunks": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", 200, b"5\r\nhello"),
    "http/1.0 with both": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" + HELLO, 200, b"hello"),
    "http/1.0 with any coding": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", 200, b"hello"),
    "status 999": (b"HTTP/1.1 999 X\r\n" + HELLO, 999, b"hello"),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
def test_shape(run, client, shape, bytewise):
    raw, status, body = SHAPES[shape]
    chunks = [raw[i : i + 1] for i in range(len(raw))] if bytewise else [raw]

    async def main():
        async with listening(answering(*chunks, close=True)) as peer, client() as http:
            got = await answer(http, peer.origin + "/x")
            assert (got.status, got.body) == (status, body)
            assert "link" not in got.headers
            assert "x-a" not in got.headers

    run(main)


def test_request_on_the_wire(run, client):
    async def main():
        async with listening(answering(ok())) as peer, client() as http:
            await answer(http, f"{peer.origin}/api/inngest?fnId=a-b&stepId=step#frag", b'{"a":1}', b"X-Run-ID: 01\r\n")
            request = peer.requests[0]
            assert request.line == "POST /api/inngest?fnId=a-b&stepId=step HTTP/1.1"
            assert request.headers == {
                "host": f"127.0.0.1:{peer.port}",
                "user-agent": "Inngest",
                "x-run-id": "01",
                "content-length": "7",
            }
            assert request.body == b'{"a":1}'

    run(main)


def test_user_info_becomes_basic_auth(run, client):
    async def main():
        async with listening(answering(ok())) as peer, client() as http:
            await answer(http, f"http://al%40x:se:cret@127.0.0.1:{peer.port}/")
            assert peer.requests[0].headers["authorization"] == "Basic YWxAeDpzZTpjcmV0"

    run(main)


def test_headers_are_lower_case_and_joined(run, client):
    lines = (
        b"X-Inngest-SDK:  inngest-py:v0.5.18 ",
        b"Set-Cookie: a=1",
        b"set-COOKIE: b=2",
        b"X-E:",
        b"X-U: \xc3\xa9",
        b"X-L: \xe9",
    )

    async def main():
        async with listening(answering(ok(b"", *lines))) as peer, client() as http:
            got = await answer(http, peer.origin)
            assert got.headers == {
                "x-inngest-sdk": "inngest-py:v0.5.18",
                "set-cookie": "a=1, b=2",
                "x-e": "",
                "x-u": "é",
                "x-l": "é",
                "content-length": "0",
            }

    run(main)


def test_fetch_sends_what_it_is_told(run, client):
    async def main():
        async with listening(answering(ok())) as peer, client() as http:
            fields = [
                ("X-A", "1"),
                ("x-a", "2"),
                ("Content-Length", "99"),
                ("Transfer-Encoding", "chunked"),
                ("X-U", "é"),
            ]
            await http.fetch("PUT", peer.origin + "/app", fields, b"body")
            await http.fetch("get", peer.origin + "/app", {"User-Agent": "mine", "Host": "other"})
            put, get = peer.requests
            assert put.line == "PUT /app HTTP/1.1"
            assert put.headers["x-a"] == "2"
            assert put.headers["x-u"] == "é".encode().decode("latin-1")
            assert (put.headers["content-length"], put.body) == ("4", b"body")
            assert "transfer-encoding" not in put.headers
            assert get.line == "GET /app HTTP/1.1"
            assert get.headers == {"host": f"127.0.0.1:{peer.port}", "user-agent": "mine"}

    run(main)


def test_head_has_no_body(run, client):
    async def main():
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
        async with listening(answering(raw)) as peer, client() as http:
            for _ in range(2):
                got = await http.fetch("HEAD", peer.origin)
                assert (got.status, got.body) == (200, b"")

    run(main)


@pytest.mark.parametrize(
    ("encoding", "encode"), [(b"gzip", gzip.compress), (b"x-gzip", gzip.compress), (b"br", brotli.compress)]
)
def test_compressed(run, client, encoding, encode):
    body = b'{"hello":"world"}' * 1000

    async def main():
        async with listening(answering(ok(encode(body), b"Content-Encoding: " + encoding))) as peer, client() as http:
            got = await answer(http, peer.origin)
            assert got.body == body
            assert "content-encoding" not in got.headers
            assert "content-length" not in got.headers

    run(main)


def test_large_bodies_both_ways(run, client):
    sent, received = b"s" * (4 << 20), b"r" * (8 << 20)

    async def main():
        async with listening(answering(ok(received))) as peer, client() as http:
            for _ in range(2):
                assert (await answer(http, peer.origin, sent)).body == received
            assert [r.body == sent for r in peer.requests] == [True, True]
            assert peer.connections == 1

    run(main)


def test_streamed_answer_with_keep_alive_whitespace(run, client):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 50)
        await session.send(b'f\r\n{"status": 206}\r\n', b"0\r\n\r\n")

    async def main():
        async with listening(script) as peer, client() as http:
            got = await answer(http, peer.origin)
            assert (got.status, got.body) == (201, b" " * 50 + b'{"status": 206}')

    run(main)


def test_answer_before_the_request_is_written(run, client):
    async def script(session: Session) -> None:
        await session.reader.readuntil(b"\r\n\r\n")
        await session.send(ok(b"too much", status=b"413 Payload Too Large"))
        await session.reader.read()  # until the client gives up

    async def main():
        async with listening(script) as peer, client() as http:
            body = b"x" * (64 << 20)
            for _ in range(2):
                got = await answer(http, peer.origin, body)
                assert (got.status, got.body) == (413, b"too much")
            assert peer.connections == 2

    run(main)


def test_a_slow_reader_blocks_nobody(run, client):
    async def script(session: Session) -> None:
        import asyncio

        await asyncio.sleep(0.05)
        await session.request()
        await session.send(ok())

    async def main():
        import asyncio

        async with listening(script) as slow, listening(answering(ok())) as quick, client() as http:
            big = asyncio.ensure_future(post(http, slow.origin, b"x" * (4 << 20)))
            await asyncio.sleep(0.01)
            await answer(http, quick.origin)
            assert not big.done()
            assert (await big).status == 200

    run(main)


def test_timings(run, client):
    async def script(session: Session) -> None:
        import asyncio

        while True:
            await session.request()
            await asyncio.sleep(0.02)
            await session.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            await asyncio.sleep(0.02)
            await session.send(b"k")

    async def main():
        async with listening(script) as peer, client() as http:
            first, second = await answer(http, peer.origin), await answer(http, peer.origin)
            assert first.connect_ns > 0
            assert first.tls_ns == 0
            assert (second.dns_ns, second.connect_ns) == (0, 0)
            for got in (first, second):
                assert got.wait_ns > 15_000_000
                assert got.transfer_ns > 15_000_000
                assert got.total_ns >= got.wait_ns + got.transfer_ns

    run(main)
