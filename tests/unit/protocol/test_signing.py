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


@pytest.mark.parametrize(
    ("key", "bearer"),
    [  # made with hash.js 1.1.7, which the TypeScript SDK uses
        ("local-prod-signing", "d7c974410210234b989a07fa143d141434c0ad6f92b894f9b5feb3548940d522"),
        ("abc", "1870348e36542f82a2bb6b134f9bda817cbc1f946dda37a0cce5b5221b9f0304"),
        ("0xzz9g-g9", "01fa73a0fb02076e71438b1a1433eb9aaf0c76448230b415d458fe13152482fa"),
        ("zz", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("äb12", "52bc373dfde0430a5853e8e53536c1d5fca940344467dc04a538e5a779bdd310"),
    ],
)
def test_a_key_that_is_no_hex_is_hashed_as_the_typescript_sdk_does(key: str, bearer: str) -> None:
    assert not signing.is_hex(key)
    assert signing.hash_signing_key(key) == bearer
    assert signing.hash_signing_key(f"signkey-prod-{key}") == bearer


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
