"""Numbers that no canonical JSON can hold: found where they come in, and nowhere else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.canonical import canonical
from holdfast.protocol.rawjson import unwritable, valid

LONG = b"1" + b"0" * 399


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"1e400", "1e400"),
        (b'{"a":[1,-1E+400]}', "-1E+400"),
        (b'{"a":1.5e309}', "1.5e309"),
        (b'{"a":%b}' % LONG, "10000000000000000000…"),
        (b"[%b.5]" % LONG, "10000000000000000000…"),
        (b"[%be-10]" % LONG, "10000000000000000000…"),
        (b'{"1e400":"1e400 \\" ,1e400","b":1e308}', ""),
        (b'["deadbeef0e000123", 12e3, 1e-400, 0e400, 0.0e999]', ""),
        (b"[%b]" % (b"9" * 308), ""),
        (b"[%be-100]" % LONG, ""),
        (b"[0.%b]" % LONG, ""),
    ],
)
def test_numbers_beyond_the_doubles(text: bytes, number: str) -> None:
    json.loads(text)
    assert unwritable(text) == number
    assert (valid(text) is None) is bool(number)


digits = st.text("0123456789", min_size=1, max_size=400).map(lambda text: text.lstrip("0") or "0")
numbers = st.builds(
    lambda whole, exponent: f"{whole}{exponent}",
    digits,
    st.sampled_from(["", ".5"]) | st.integers(-500, 500).map(lambda n: f"e{n}") | st.just("E+309"),
)


@given(st.lists(numbers | st.text().map(json.dumps), max_size=5))
def test_what_is_accepted_can_be_signed(items: list[str]) -> None:
    text = f"[{','.join(items)}]".encode()
    if unwritable(text):
        with pytest.raises(ValueError, match=r"beyond the doubles|no JSON number|out of range"):
            canonical(text)
    else:
        canonical(text)
