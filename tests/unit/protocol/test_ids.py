from __future__ import annotations

import base64
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol import ids

TIMES = st.integers(0, ids.MAX_ULID_MS)
ENTROPY = st.integers(0, 2**80 - 1)


@given(TIMES, ENTROPY)
def test_ulids_are_read_back(ms: int, entropy: int) -> None:
    text = ids.ulid(ms, entropy)
    assert ids.is_ulid(text)
    assert ids.is_ulid(text.lower())
    assert ids.ulid_time(text) == ms
    assert ids.parse_ulid(text.lower()) == ms.to_bytes(6, "big") + entropy.to_bytes(10, "big")


@given(st.tuples(TIMES, ENTROPY), st.tuples(TIMES, ENTROPY))
def test_ulids_sort_as_their_numbers(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (ids.ulid(*one) < ids.ulid(*other)) == (one < other)


def test_the_example_of_the_ulid_specification() -> None:
    assert ids.ulid_time("01ARZ3NDEKTSV4RRFFQ69G5FAV") == 1_469_922_850_259


@pytest.mark.parametrize(
    "text",
    ["", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVV", "81ARZ3NDEKTSV4RRFFQ69G5FAV"]
    + [f"01ARZ3NDEKTSV4RRFFQ69G5FA{char}" for char in "ILOU-é "],
)
def test_what_is_no_ulid(text: str) -> None:
    assert not ids.is_ulid(text)
    for read in (ids.parse_ulid, ids.ulid_time):
        with pytest.raises(ValueError, match="not a ULID"):
            read(text)


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(0, 2**80 - 1))
def test_a_source_rises_whatever_the_clock_does(times: list[int], entropy: int) -> None:
    source = ids.UlidSource(lambda _bits: entropy)
    made = [source.next(ms) for ms in times]
    assert made == sorted(set(made))


def test_a_source_goes_on_when_a_millisecond_is_full() -> None:
    source = ids.UlidSource(lambda bits: 2**bits - 1)
    assert [ids.ulid_time(source.next(7)) for _ in range(3)] == [7, 8, 9]


@pytest.mark.parametrize("first", [0, 2**20 - 2, 2**60 - 2, 2**80 - 2**20 - 1])
def test_a_source_counts_across_digits(first: int) -> None:
    source = ids.UlidSource(lambda _bits: first)
    assert [source.next(7) for _ in range(5)] == [ids.ulid(7, first + n) for n in range(5)]


def test_a_source_draws_new_bits_each_millisecond() -> None:
    source = ids.UlidSource(random.Random(1).getrandbits)
    first, second, later = source.next(7), source.next(7), source.next(8)
    number = [int.from_bytes(ids.parse_ulid(text)[6:], "big") for text in (first, second, later)]
    assert number[1] == number[0] + 1
    assert number[2] != number[1] + 1


def test_seeded_ids_count_in_the_last_four_bytes() -> None:
    seed = bytes(range(6)) + b"\xff\xff\xff\xfe"
    make = ids.seeded_ulids(f"1700000000000,{base64.b64encode(seed).decode()}")
    assert make is not None
    assert [ids.parse_ulid(make(n))[12:] for n in (1, 2, 3)] == [b"\xff\xff\xff\xff", bytes(4), b"\0\0\0\1"]
    assert ids.ulid_time(make(1)) == 1_700_000_000_000
    assert ids.parse_ulid(make(1))[6:12] == bytes(range(6))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "1700000000000",
        "0,AAAAAAAAAAAAAA==",
        "-1,AAAAAAAAAAAAAA==",
        "x,AAAAAAAAAAAAAA==",
        "1,AAAA",
        "1,!!!",
        "1,é",
        "1,AAAAAAAAAAAAAA==,2",
        "1" * 5000 + ",AAAAAAAAAAAAAA==",
        f"{2**48},AAAAAAAAAAAAAA==",
        "²,AAAAAAAAAAAAAA==",
    ],
)
def test_malformed_seeds_are_ignored(header: str) -> None:
    assert ids.seeded_ulids(header) is None


def test_step_hashes() -> None:
    assert ids.step_hash("charge") == hashlib.sha1(b"charge").hexdigest()
    assert ids.step_hash("charge", 2) == hashlib.sha1(b"charge:2").hexdigest()


def test_uuids_of_the_reference() -> None:
    assert ids.app_id("raw-bad") == "0a40de38-cbfa-5cdb-ae00-ba40b030bd38"
    assert ids.app_id("rec-js") == "8625df87-8c66-5530-9d60-02ee40f62abb"
    url = "http://localhost:8550/html200?fnId=raw-f&stepId=step"
    assert ids.function_id("f", url) == "a5424f7b-3a9f-5cc6-a285-10e1118bc606"


def test_xxh36() -> None:
    assert ids.xxh36("event.data.key") == "3e9bpf5fnc8qw"
    assert int(ids.xxh36(""), 36) == 0xEF46DB3751D8E999
    assert ids.xxh36("\ud800")
