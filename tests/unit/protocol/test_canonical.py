from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import jcs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.canonical import canonical, es_number

RECORDED: list[dict[str, str]] = json.loads((Path(__file__).parent / "recorded" / "signatures.json").read_text())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b' { "b" : 1 , "a" : [ ] , "" : { } } ', b'{"":{},"a":[],"b":1}'),
        (b"1.0", b"1"),
        (b"-0.0", b"0"),
        (b"-0", b"0"),
        (b"1E2", b"100"),
        (b"1e21", b"1e+21"),
        (b"1e-7", b"1e-7"),
        (b"0.000001", b"0.000001"),
        (b"123456789012345680000", b"123456789012345680000"),
        (b"9007199254740993", b"9007199254740992"),
        (b"-18446744073709551616", b"-18446744073709552000"),
        (b"[9007199254740992,9007199254740991]", b"[9007199254740992,9007199254740991]"),
        (b"100000000000000000000000", b"1e+23"),
        (b'"\\u00e9\\/\\u001f\\u007f\\ud83d\\ude00"', '"é/\\u001f\x7f😀"'.encode()),
        (b'"\\b\\f\\n\\r\\t\\"\\\\"', b'"\\b\\f\\n\\r\\t\\"\\\\"'),
        (b'{"\\ufb33":1,"\\ud83d\\ude00":2}', '{"\U0001f600":2,"\ufb33":1}'.encode()),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b"[true,false,null,1.5]", b"[true,false,null,1.5]"),
        (
            b'{"a":{"b":[1,{"c":12345678901234567890}],"\xf0\x9f\x98\x80":[]}}',
            '{"a":{"b":[1,{"c":12345678901234567000}],"😀":[]}}'.encode(),
        ),
    ],
)
def test_canonical(raw: bytes, expected: bytes) -> None:
    assert canonical(raw) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b'{"a":1',
        b"1 2",
        b"1e400",
        b"-1e400",
        b"1" * 400,
        b"[" + b"1" * 400 + b"]",
        b'"\\ud800"',
        b'"\xff"',
        b"NaN",
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_cannot_be_canonical(raw: bytes) -> None:
    with pytest.raises(ValueError):
        canonical(raw)


# Appendix B of RFC 8785: the bits of a double and its text.
RFC_8785_NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), RFC_8785_NUMBERS.items())
def test_numbers_of_the_rfc(bits: str, text: str) -> None:
    assert es_number(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError):
        es_number(value)


NO_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NO_SURROGATES
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NO_SURROGATES, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_as_the_sdks_library(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert canonical(raw) == jcs.canonicalize(value)


@given(st.integers())
def test_integers_are_the_nearest_doubles(value: int) -> None:
    assert canonical(b"%d" % value) == jcs.canonicalize(float(value))


def test_signed_bodies_are_canonical() -> None:
    bodies = [row["body"].encode() for row in RECORDED if row["side"] == "request" and row["body"]]
    # An SDK's sync ping is signed as Go wrote it; its one key makes it canonical as well.
    assert len(bodies) == 42
    assert [canonical(body) for body in bodies] == bodies
