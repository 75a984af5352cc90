"""Long bodies, read a few events at a time: the same outcome as at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.events import Event, EventReader, read_events
from holdfast.protocol.ids import UlidSource
from holdfast.protocol.limits import MAX_EVENTS
from holdfast.protocol.rawjson import MAX_DEPTH, too_deep

NOW = 1_700_000_000_000
SEED = "1700000000000,AAAAAAAAAAAAAA=="

GOOD = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b/c"])},
    optional={
        "data": st.dictionaries(st.text(), st.integers() | st.text(), max_size=3) | st.none(),
        "id": st.sampled_from(["", "once"]), "ts": st.just(NOW - 5), "user": st.just({"x": 1}), "v": st.just("2"),
    },
)  # fmt: skip
BAD = st.sampled_from([{}, {"name": "inngest/x"}, {"name": 5}, 7, {"name": "a", "ts": 5}, {"name": "a", "data": "x"}])
BODIES = st.lists(st.one_of(GOOD, GOOD, GOOD, BAD), max_size=8).map(lambda items: json.dumps(items).encode())
BROKEN = st.sampled_from([b"", b" ", b"{", b'{"name":"a"}', b'[{"name":"a"},', b'[{"name":"a"}', b"7", b"\xff", b"a=b"])


def new_ids() -> UlidSource:
    return UlidSource(lambda bits: 7)


def slices(body: bytes, most: int, seed: str = "", most_bytes: int = 1_000) -> tuple[list[Event], str]:
    reader = EventReader(body, content_type="", now_ms=NOW, new_id=new_ids().next, seed=seed)
    left = True
    while left:
        before = len(reader.events)
        left = reader.read(most, most_bytes)
        assert len(reader.events) - before <= most
    return reader.events, reader.error


@given(BODIES | BROKEN, st.integers(1, 4), st.sampled_from(["", SEED]), st.sampled_from([1, 30, 1_000]))
def test_slices_come_to_the_same(body: bytes, most: int, seed: str, most_bytes: int) -> None:
    whole = read_events(body, content_type="", now_ms=NOW, new_id=new_ids().next, seed=seed)
    assert slices(body, most, seed, most_bytes) == (whole.events, whole.error)


def test_a_slice_of_large_events_is_a_short_one() -> None:
    body = json.dumps([{"name": "a", "data": {"text": "x" * 1_000}}] * 5).encode()
    reader = EventReader(body, content_type="", now_ms=NOW, new_id=new_ids().next)
    counts = []
    while reader.read(200, 2_000):
        counts.append(len(reader.events))
    assert (counts, len(reader.events)) == ([2, 4], 5)


@pytest.mark.parametrize("more", [0, 1])
def test_the_most_events_of_a_body(more: int) -> None:
    body = json.dumps([{"name": "a"}] * (MAX_EVENTS + more)).encode()
    events, error = slices(body, 1_000)
    assert len(events) == MAX_EVENTS
    assert bool(error) is bool(more)


@given(st.integers(1, 3), st.sampled_from(["", "[", "}", '"', "\\", '\\"[', "]{"]), st.booleans(), st.booleans())
def test_depth_is_counted_outside_of_strings(extra: int, text: str, wide: bool, maps: bool) -> None:
    deepest = MAX_DEPTH - 3
    inner = json.dumps([text] * 3)
    for _ in range(deepest - 1 + extra):
        inner = f"{{{json.dumps(text)}:{inner}}}" if maps else f"[{inner}]"
    siblings = ",".join(['{"a":[[],{}]}'] * (2_000 if wide else 1))
    body = f"[{siblings},{inner},{json.dumps('[' * 2_000)}]".encode()
    json_depth = 1 + deepest + extra
    assert too_deep(body) is (json_depth > MAX_DEPTH)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 8, 40, 600]), st.booleans()), max_size=60))
def test_depth_of_any_landscape(slopes: list[tuple[int, bool]]) -> None:
    depth = deepest = 1
    body = bytearray(b"[")
    for steps, up in slopes:
        count = steps if up else min(steps, depth - 1)
        body += (b"[" if up else b"]") * count
        depth += count if up else -count
        deepest = max(deepest, depth)
    assert too_deep(bytes(body) + b"]" * depth) is (deepest > MAX_DEPTH)
