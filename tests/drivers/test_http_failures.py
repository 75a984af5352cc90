"""Everything that can go wrong on the way, and the text that users read about it."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time

import brotli
import pytest

from holdfast.server.drivers.http import Answer, CallFailure

from .peers import Session, answer, answering, begin, failure, listening, ok

UNREACHABLE = "Unable to reach SDK URL"
READING = "Your server reset the connection while we were reading the reply: Unexpected ending response"
SENDING = "Your server reset the connection while we were sending the request."
CLOSED = "Your server closed the request before finishing."
BLOCKED = "Your server connection experienced a timeout or was blocked"
TOO_LARGE = "Your function's response body exceeds the maximum size limit"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_refused(run, client, host):
    async def main():
        async with client() as http:
            got = await failure(http, f"http://{host}:{free_port()}/")
            assert (got.text, got.code) == (UNREACHABLE, None)

    run(main)


def test_unknown_host(run, client):
    async def main():
        async with client() as http:
            got = await failure(http, "http://no-such-host.invalid:3000/api/inngest")
            assert got.text.startswith("error performing request: lookup no-such-host.invalid: ")

    run(main)


TRUNCATED = {
    "in the status line": b"HTTP/1.1 2",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "before the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "before the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "in the trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "gzip": ok(gzip.compress(b"x" * 1000)[:-4], b"Content-Encoding: gzip"),
    "brotli": ok(brotli.compress(b"some text that is not that short")[:-4], b"Content-Encoding: br"),
}


@pytest.mark.parametrize("where", TRUNCATED)
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_truncated(run, client, where, reset):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(TRUNCATED[where])
        await asyncio.sleep(0.02)
        if reset:
            session.reset()

    async def main():
        async with listening(script) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == READING

    run(main)


def test_closed_without_an_answer(run, client):
    async def script(session: Session) -> None:
        await session.request()

    async def main():
        async with listening(script) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == UNREACHABLE
            assert len(peer.requests) == 1

    run(main)


def test_closed_at_once(run, client):
    async def script(session: Session) -> None:
        return

    async def main():
        async with listening(script) as peer, client() as http:
            assert (await failure(http, peer.origin)).text in {UNREACHABLE, CLOSED, READING}
            assert peer.connections == 1

    run(main)


def test_reset_before_the_answer(run, client):
    async def script(session: Session) -> None:
        await session.request()
        session.reset()

    async def main():
        async with listening(script) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == READING

    run(main)


@pytest.mark.parametrize("reset", [False, True], ids=["close", "rst"])
def test_gone_while_we_send(run, client, reset):
    async def script(session: Session) -> None:
        await session.reader.readuntil(b"\r\n\r\n")
        if reset:
            session.reset()

    async def main():
        async with listening(script) as peer, client() as http:
            got = await failure(http, peer.origin, b"x" * (64 << 20))
            assert got.text in {SENDING, CLOSED, UNREACHABLE}
            if reset:
                assert got.text in {SENDING, CLOSED}

    run(main)


MALFORMED = {
    "garbage": b"garbage\r\n\r\n",
    "http/0.9": b"<html>hello</html>",
    "http/2 preface": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "bad status": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths in a list": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
    "bad chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "missing chunk end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "header without colon": b"HTTP/1.1 200 OK\r\nfoo\r\n\r\n",
    "nul in header": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    "bad gzip": ok(b"not gzip", b"Content-Encoding: gzip"),
    "bad brotli": ok(b"\xff\xff\xff\xffnot brotli", b"Content-Encoding: br"),
    "compressed transfer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(run, client, kind):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(MALFORMED[kind])
        await session.reader.read()  # the client must give up by itself

    async def main():
        async with listening(script) as peer, client() as http:
            got = await failure(http, peer.origin)
            assert got.text.startswith("error performing request: ")
            assert got.code is None

    run(main)


@pytest.mark.parametrize("value", ["deflate", "zstd", "gzip, br", "gzip, gzip"])
def test_unsupported_encoding(run, client, value):
    async def main():
        async with listening(answering(ok(b"x", b"Content-Encoding: " + value.encode()))) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == f'unsupported content encoding: "{value}"'

    run(main)


def forever(head: bytes, more: bytes):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(head)
        while True:
            await session.send(more)

    return script


ENDLESS = {
    "header line": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10000),
    "header name": (b"HTTP/1.1 200 OK\r\n", b"x" * 65536),
    "reason": (b"HTTP/1.1 200 ", b"x" * 65536),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" * 1000),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 10000),
    "chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=", b"x" * 65536),
    "blank lines": (b"", b"\r\n" * 30000),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_endless_head(run, client, what):
    async def main():
        async with listening(forever(*ENDLESS[what])) as peer, client() as http:
            got = await failure(http, peer.origin)
            assert got.text.startswith("error performing request: ")

    run(main)


BIG = b"\x00" * (1 << 20)


@pytest.mark.parametrize(
    "script",
    [
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"),
        answering(ok(b"x" * 100_001)),
        forever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        forever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"),
        answering(ok(gzip.compress(BIG), b"Content-Encoding: gzip")),
        answering(ok(gzip.compress(BIG[:60_000]) * 2, b"Content-Encoding: gzip")),
        answering(ok(brotli.compress(BIG), b"Content-Encoding: br")),
        answering(ok(gzip.compress(b"x" * 100_001), b"Content-Encoding: gzip")),
    ],
    ids=["length", "body", "until close", "chunks", "gzip bomb", "gzip members", "brotli bomb", "gzip by one"],
)
def test_too_large(run, client, script):
    async def main():
        async with listening(script) as peer, client(max_body=100_000) as http:
            got = await failure(http, peer.origin)
            assert (got.text, got.code) == (TOO_LARGE, "output_too_large")

    run(main)


def test_exactly_the_limit(run, client):
    body = b"x" * 100_000
    packed = ok(gzip.compress(body), b"Content-Encoding: gzip")

    async def main():
        async with listening(answering(ok(body), close=True)) as plain, client(max_body=100_000) as http:
            assert (await answer(http, plain.origin)).body == body
        async with listening(answering(packed)) as zipped, client(max_body=100_000) as http:
            assert (await answer(http, zipped.origin)).body == body

    run(main)


def test_many_empty_gzip_members_take_no_time(run, client):
    async def main():
        packed = ok(gzip.compress(b"") * 300_000, b"Content-Encoding: gzip")
        async with listening(answering(packed)) as peer, client() as http:
            started = time.process_time()
            assert "gzip" in (await failure(http, peer.origin)).text
            assert time.process_time() - started < 2

    run(main)


def test_total_timeout(run, client):
    async def main():
        async with listening(forever(b"", b"")) as peer, client(total_timeout=0.05) as http:
            assert (await failure(http, peer.origin)).text == BLOCKED
            assert (await failure(http, peer.origin)).text == BLOCKED

    run(main)


def test_fetch_timeout(run, client):
    async def main():
        async with listening(forever(b"", b"")) as peer, client() as http:
            with pytest.raises(CallFailure, match=BLOCKED):
                await http.fetch("GET", peer.origin, timeout=0.05)

    run(main)


def test_connect_timeout(run, client):
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):  # the queue takes one more than it was asked for; further SYNs are ignored
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())

        async def main():
            async with client(connect_timeout=0.1) as http:
                assert (await failure(http, f"http://127.0.0.1:{full.getsockname()[1]}/")).text == BLOCKED

        run(main)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://127.0.0.1/", "unsupported_protocol"),
        ("127.0.0.1:3000/api", "unsupported_protocol"),
        ("", "unsupported_protocol"),
        ("http://", None),
        ("http://:3000/", None),
        ("http://127.0.0.1:99999/", None),
        ("http://[::1/", None),
        ("http://a b/", None),
        ("http://" + "a" * 70 + "é.example/", None),
    ],
)
def test_bad_url(run, client, url, code):
    async def main():
        async with client() as http:
            with pytest.raises(CallFailure) as caught:
                await http.fetch("POST", url)
            assert caught.value.text.startswith("error performing request: ")
            assert caught.value.code == code

    run(main)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET /", {}),
        ("", {}),
        ("POST", {"X-A\r\nB": "c"}),
        ("POST", {"X-A": "b\r\nC: d"}),
        ("POST", {"": "x"}),
        ("POST", {"é": "x"}),
    ],
)
def test_nothing_can_be_smuggled(run, client, method, fields):
    async def main():
        async with client() as http:
            with pytest.raises(CallFailure, match="invalid"):
                await http.fetch(method, "http://127.0.0.1:1/", fields)

    run(main)


def test_cancelled_while_dialing_and_while_waiting(run, client):
    async def main():
        async with listening(forever(b"", b"")) as peer, client() as http:
            call, outcomes = begin(http, peer.origin)
            call.cancel()
            call.cancel()
            waiting, others = begin(http, peer.origin)
            await asyncio.sleep(0.05)
            assert len(peer.requests) == 1
            waiting.cancel()
            await asyncio.sleep(0.05)
            assert outcomes.all == others.all == []

    run(main)


def test_a_cancelled_fetch_leaves_nothing_behind(run, client):
    closed = asyncio.Event()

    async def script(session: Session) -> None:
        await session.request()
        assert await session.reader.read() == b""
        closed.set()

    async def main():
        async with listening(script) as peer, client() as http:
            task = asyncio.ensure_future(http.fetch("GET", peer.origin))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(closed.wait(), 5)

    run(main)


def test_closing_the_client_ends_its_calls(run, client):
    async def main():
        async with listening(forever(b"", b"")) as peer, client() as http:
            _, waiting = begin(http, peer.origin)
            await asyncio.sleep(0.02)
            _, dialing = begin(http, peer.origin)
            await http.close()
            _, late = begin(http, peer.origin)
            await asyncio.sleep(0.02)
            for outcomes in (waiting, dialing, late):
                (outcome,) = outcomes.all
                assert isinstance(outcome, CallFailure)
                assert outcome.code == "client_closed"

    run(main)


def test_an_exception_in_done_is_reported_and_harms_no_other_call(client):
    problems = []

    def explode(_outcome: Answer | CallFailure) -> None:
        raise ZeroDivisionError

    async def main():
        from holdfast.server.drivers.http import Target

        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))
        async with listening(answering(ok())) as peer, client() as http:
            http.post(Target.parse(peer.origin), b"", b"", explode)
            await asyncio.sleep(0.05)
            assert (await answer(http, peer.origin)).body == b"ok"

    asyncio.run(main())
    assert [type(p) for p in problems] == [ZeroDivisionError]
