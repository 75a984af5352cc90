"""Streams: their marks, their pieces, their limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.server.realtime import streams
from holdfast.server.realtime.broadcaster import Broadcaster, Item
from holdfast.server.realtime.streams import DataStream, RawStream, StreamTooLongError
from holdfast.server.realtime.topics import Topic
from holdfast.server.realtime.utf8 import Cutter, whole

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = Topic("channel", "answer")


def delivered(topic: Topic, publish: Callable[[Broadcaster], None]) -> list[Item]:
    async def body() -> list[Item]:
        broadcaster = Broadcaster()
        subscription = broadcaster.subscribe([topic])
        publish(broadcaster)
        broadcaster.close()
        items: list[Item] = []
        while more := await subscription.take():
            items += more
        return items[:-1]

    return asyncio.run(body())


def envelopes(items: list[Item]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(item.data) for item in items]


@given(st.text(), st.lists(st.integers(min_value=1, max_value=7)), st.integers(min_value=4, max_value=9))
def test_pieces_are_whole_characters_and_all_of_the_text(text: str, sizes: list[int], most: int) -> None:
    cutter, data, pieces, at = Cutter(most), text.encode(), list[bytes](), 0
    for size in [*sizes, len(data) + 1]:
        pieces += cutter.feed(data[at : at + size])
        at += size
    assert cutter.rest() == b""
    assert "".join(piece.decode() for piece in pieces) == text
    assert all(0 < len(piece) <= most for piece in pieces)


@given(st.lists(st.binary(max_size=9)), st.integers(min_value=1, max_value=9))
def test_bytes_that_are_no_text_are_all_there_too(data: list[bytes], most: int) -> None:
    cutter = Cutter(most)
    pieces = [piece for each in data for piece in cutter.feed(each)]
    assert b"".join([*pieces, cutter.rest()]) == b"".join(data)


@pytest.mark.parametrize(
    ("data", "end"),
    [(b"", 0), (b"a", 1), ("ü".encode()[:1], 0), ("a✓".encode()[:3], 1), ("😀".encode()[:3], 0), ("😀".encode(), 4)],
)
def test_where_a_character_is_cut(data: bytes, end: int) -> None:
    assert whole(data) == end


def test_a_data_stream() -> None:
    def publish(broadcaster: Broadcaster) -> None:
        stream = DataStream(broadcaster, TOPIC, "01J00000000000000000000000", b'{"a":1}')
        stream.write("ü✓".encode()[:3])
        stream.write("ü✓".encode()[3:] + b"!")
        stream.end()

    start, one, two, end = envelopes(delivered(TOPIC, publish))
    for mark, kind in ((start, "datastream-start"), (end, "datastream-end")):
        assert mark["kind"] == kind
        assert (mark["channel"], mark["topic"], mark["metadata"]) == ("channel", "answer", {"a": 1})
        assert mark["run_id"] == "01J00000000000000000000000"
    assert start["data"] == end["data"]
    assert ":" not in start["data"]
    about = {"kind": "chunk", "stream_id": start["data"], "channel": "channel", "topic": "answer"}
    about["run_id"] = start["run_id"]
    assert (one, two) == ({**about, "data": "ü"}, {**about, "data": "✓!"})


def test_streams_have_ids_of_their_own() -> None:
    broadcaster = Broadcaster()
    assert len({DataStream(broadcaster, TOPIC).id for _ in range(1_000)}) == 1_000


def test_pieces_are_small() -> None:
    items = delivered(TOPIC, lambda broadcaster: DataStream(broadcaster, TOPIC).write(b"x" * 3_000))
    assert [len(each["data"]) for each in envelopes(items)[1:]] == [1_024, 1_024, 952]


def test_a_character_that_never_comes_is_replaced_at_the_end() -> None:
    def publish(broadcaster: Broadcaster) -> None:
        stream = DataStream(broadcaster, TOPIC)
        stream.write("a✓".encode()[:3])
        stream.end()

    assert [each["data"] for each in envelopes(delivered(TOPIC, publish))[1:-1]] == ["a", "\ufffd"]


def test_a_stream_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAM", 10)

    def publish(broadcaster: Broadcaster) -> None:
        stream = DataStream(broadcaster, TOPIC, most=10)
        stream.write(b"x" * 6)
        for _ in range(2):
            with pytest.raises(StreamTooLongError):
                stream.write(b"y" * 6)
        stream.end()

    *_, one, two, end = envelopes(delivered(TOPIC, publish))
    assert (one["data"], two["data"], end["kind"]) == ("xxxxxx", "yyyy", "datastream-end")


def test_raw_bytes_are_passed_on_as_they_are() -> None:
    def publish(broadcaster: Broadcaster) -> None:
        stream = RawStream(broadcaster, "run")
        stream.write("event: ✓".encode()[:-1])
        stream.write("✓".encode()[2:] + b"\n\n\xff")
        stream.end()

    items = delivered(Topic("run", "$stream"), publish)
    assert b"".join(item.data for item in items) == "event: ✓\n\n".encode() + b"\xff"
    assert all(item.raw for item in items)
    assert items[0].data == b"event: "
