"""An upstream's answer is published while it arrives, and the step has all of it."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.server.drivers.http import Answer, CallFailure, HttpClient
from holdfast.server.realtime.broadcaster import Broadcaster, Subscription
from holdfast.server.realtime.topics import Topic
from holdfast.server.runtime.relay import Relay, Where

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
Envelope = dict[str, Any]


async def take(subscription: Subscription) -> list[Envelope]:
    async with asyncio.timeout(5):
        return [msgspec.json.decode(item.data) for item in await subscription.take()]


def exchange(
    serve: Callable[[asyncio.StreamWriter, Subscription], Awaitable[None]],
) -> tuple[Answer | CallFailure, list[Envelope]]:
    """An answer that `serve` writes, fetched through a relay; what was published after `serve` looked."""

    async def body() -> tuple[Answer | CallFailure, list[Envelope]]:
        broadcaster = Broadcaster()
        subscription = broadcaster.subscribe([Topic("channel", "answer")])
        client = HttpClient()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"accept-encoding" not in head.lower()
            await serve(writer, subscription)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ask"
        relay = Relay(broadcaster, Where("channel", "answer"), "RUN", "step-1", "http://example/ask")
        try:
            answer: Answer | CallFailure = await client.fetch("GET", url, heard=relay.heard)
        except CallFailure as failure:
            answer = failure
        relay.end(answer if isinstance(answer, Answer) else None)
        broadcaster.close()
        published: list[Envelope] = []
        while more := await take(subscription):
            published += more
        await client.close()
        server.close()
        await server.wait_closed()
        return answer, published[:-1]

    return asyncio.run(body())


def test_pieces_are_published_before_the_answer_is_whole() -> None:
    async def serve(writer: asyncio.StreamWriter, subscription: Subscription) -> None:
        writer.write(HEAD + b"content-length: 10\r\n\r\nfirst")
        start, chunk = await take(subscription)
        assert start["metadata"] == {
            "url": "http://example/ask", "content-type": "text/plain", "request_id": "step-1"
        }  # fmt: skip
        assert (start["kind"], start["run_id"], chunk["data"]) == ("datastream-start", "RUN", "first")
        writer.write(b"-last")

    answer, (last, end) = exchange(serve)
    assert isinstance(answer, Answer)
    assert answer.body == b"first-last"
    assert (last["data"], end["kind"]) == ("-last", "datastream-end")


def test_a_compressed_answer_is_published_once_it_is_whole() -> None:
    async def serve(writer: asyncio.StreamWriter, _: Subscription) -> None:
        body = gzip.compress(b"unasked")
        writer.write(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    answer, (start, chunk, end) = exchange(serve)
    assert isinstance(answer, Answer)
    assert answer.body == b"unasked"
    assert (start["kind"], chunk["data"], end["kind"]) == ("datastream-start", "unasked", "datastream-end")


def test_an_empty_answer_is_a_stream_without_pieces() -> None:
    async def serve(writer: asyncio.StreamWriter, _: Subscription) -> None:
        writer.write(HEAD + b"content-length: 0\r\n\r\n")

    _, published = exchange(serve)
    assert [each["kind"] for each in published] == ["datastream-start", "datastream-end"]


def test_a_broken_answer_ends_its_stream() -> None:
    async def serve(writer: asyncio.StreamWriter, _: Subscription) -> None:
        writer.write(HEAD + b"content-length: 10\r\n\r\nhalf")

    answer, published = exchange(serve)
    assert isinstance(answer, CallFailure)
    assert [each["kind"] for each in published] == ["datastream-start", "chunk", "datastream-end"]


def test_no_answer_is_no_stream() -> None:
    async def serve(writer: asyncio.StreamWriter, _: Subscription) -> None:
        """Hang up."""

    answer, published = exchange(serve)
    assert isinstance(answer, CallFailure)
    assert published == []


@pytest.mark.parametrize("size", [1_024_001, 3_000_000])
def test_more_than_a_stream_takes_is_the_steps_alone(size: int) -> None:
    async def serve(writer: asyncio.StreamWriter, _: Subscription) -> None:
        writer.write(HEAD + b"content-length: %d\r\n\r\n" % size)
        writer.write(b"x" * size)

    answer, published = exchange(serve)
    assert isinstance(answer, Answer)
    assert len(answer.body) == size
    assert sum(len(each["data"]) for each in published[1:-1]) == 1_024_000
    assert published[-1]["kind"] == "datastream-end"
