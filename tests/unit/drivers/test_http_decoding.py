from __future__ import annotations

import gzip
import tracemalloc
from contextlib import suppress

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.server.drivers.http import CallFailure
from holdfast.server.drivers.http.decoding import decode

ENCODERS = {"gzip": gzip.compress, "br": brotli.compress}


@given(st.binary(max_size=2000), st.sampled_from(sorted(ENCODERS)))
def test_round_trip_and_limit(body, encoding):
    packed = ENCODERS[encoding](body)
    assert decode(packed, encoding, len(body)) == body
    if body:
        with pytest.raises(CallFailure) as caught:
            decode(packed, encoding, len(body) - 1)
        assert caught.value.code == "output_too_large"


@given(st.binary(min_size=1, max_size=300), st.sampled_from(sorted(ENCODERS)))
def test_garbage_fails_clearly(body, encoding):
    with suppress(CallFailure):
        assert len(decode(body, encoding, 1000)) <= 1000


@pytest.mark.parametrize("encoding", sorted(ENCODERS))
def test_every_truncation_is_noticed(encoding):
    packed = ENCODERS[encoding](bytes(range(256)) * 4)
    for size in range(1, len(packed)):
        with pytest.raises(CallFailure):
            decode(packed[:size], encoding, 10_000)


@pytest.mark.parametrize("encoding", sorted(ENCODERS))
def test_a_bomb_takes_no_memory(encoding):
    bomb = ENCODERS[encoding](bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(CallFailure):
            decode(bomb, encoding, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["", "identity", " Identity "])
def test_no_encoding(name):
    assert decode(b"x", name, 0) == b"x"


@pytest.mark.parametrize("name", ["GZIP", " x-gzip", "br"])
def test_an_empty_body_needs_no_decoding(name):
    assert decode(b"", name, 0) == b""


def test_gzip_members_are_joined():
    assert decode(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 2) == b"ab"


@pytest.mark.parametrize("name", ["deflate", "gzip, br", "zstd"])
def test_unsupported(name):
    with pytest.raises(CallFailure) as caught:
        decode(b"x", name, 10)
    assert caught.value.text == f'unsupported content encoding: "{name}"'
