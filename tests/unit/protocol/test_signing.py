from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.protocol import signing

RECORDED: list[dict[str, str]] = json.loads((Path(__file__).parent / "recorded" / "signatures.json").read_text())
KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
HASH = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"


def test_recorded_signatures() -> None:
    requests = [row for row in RECORDED if row["side"] == "request"]
    assert (len(requests), len(RECORDED)) == (42, 69)
    for row in RECORDED:
        assert signing.verify(KEY, row["body"].encode(), row["signature"])


def test_signing_makes_the_recorded_headers() -> None:
    for row in RECORDED:
        unix_s = int(row["signature"][2:].partition("&")[0])
        assert signing.sign(f"signkey-prod-{KEY}", row["body"].encode(), unix_s) == row["signature"]


def test_a_signature_fits_one_body_key_and_time() -> None:
    header = signing.sign(KEY, b"{}", 1_700_000_000)
    assert signing.verify(KEY, b"{}", header)
    assert not signing.verify(KEY, b"{ }", header)
    assert not signing.verify("00", b"{}", header)
    assert not signing.verify(KEY, b"{}", header.replace("t=17", "t=18"))


def test_one_newline_at_the_end_of_an_answer_need_not_be_signed() -> None:
    header = signing.sign(KEY, b"{}", 1_700_000_000)
    assert signing.verify_answer(KEY, b"{}", header)
    assert signing.verify_answer(KEY, b"{}\n", header)
    assert signing.verify_answer(KEY, b"{}\n", signing.sign(KEY, b"{}\n", 1))
    assert not signing.verify_answer(KEY, b"{}\n\n", header)
    assert not signing.verify_answer(KEY, b"{} ", header)


@pytest.mark.parametrize("header", ["", "t=1", "t=1&s=00", "s=00&t=1", "t=x&s=" + "0" * 64, "t=1&s=" + "é" * 64])
def test_malformed_signatures(header: str) -> None:
    assert not signing.verify(KEY, b"{}", header)


def test_hash() -> None:
    assert signing.hash_signing_key(KEY) == HASH
    assert signing.hash_signing_key(f"signkey-test-{KEY}") == HASH


@pytest.mark.parametrize("key", [KEY, f"signkey-prod-{KEY}", "AB"])
def test_usable_keys(key: str) -> None:
    signing.check_signing_key(key)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "signing-key is required"),
        ("abc", "signing-key must be hex string with even number of chars"),
        ("signkey-prod-abc", "signing-key must be hex string with even number of chars"),
        ("xx", "signing-key must be valid hex string: encoding/hex: invalid byte: U+0078 'x'"),
        ("é", "signing-key must be valid hex string: encoding/hex: invalid byte: U+00C3 'Ã'"),
    ],
)
def test_unusable_keys(key: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        signing.check_signing_key(key)
    assert str(caught.value) == message
