from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.go_json import GoJsonError, first_value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b' {"a":[1,{"b":[]}]} rest', b'{"a":[1,{"b":[]}]}'),
        (b"[ ]x", b"[ ]"),
        (b'"a\\u00e9\\n\xff"x', b'"a\\u00e9\\n\xff"'),
        (b"-12.5e+3,", b"-12.5e+3"),
        (b"01", b"0"),
        (b"truex", b"true"),
        (b'{ "a" : null , "b" : false }', b'{ "a" : null , "b" : false }'),
    ],
)
def test_first_value(raw: bytes, value: bytes) -> None:
    assert first_value(raw) == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "EOF"),
        (b" \n", "EOF"),
        (b"nonsense", "invalid character 'o' in literal null (expecting 'u')"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"'", "invalid character '\\'' looking for beginning of value"),
        (b"\\", "invalid character '\\\\' looking for beginning of value"),
        (b"\xe9", "invalid character 'é' looking for beginning of value"),
        (b"\x00", "invalid character '\\x00' looking for beginning of value"),
        (b"{", "unexpected EOF"),
        (b'{"a', "unexpected EOF"),
        (b'{"a\\', "unexpected EOF"),
        (b'{"a":', "unexpected EOF"),
        (b"[1,", "unexpected EOF"),
        (b"-", "unexpected EOF"),
        (b"tr", "unexpected EOF"),
        (b"{a", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a"1', "invalid character '1' after object key"),
        (b'{"a":1"', "invalid character '\"' after object key:value pair"),
        (b"[1 2", "invalid character '2' after array element"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b'"\n"', "invalid character '\\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u00g"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
        (b"[" * 20_000, "exceeded max depth"),
    ],
)
def test_malformed(raw: bytes, message: str) -> None:
    with pytest.raises(GoJsonError) as caught:
        first_value(raw)
    assert str(caught.value) == message


@given(st.recursive(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=5))
def test_json_is_one_value(value: object) -> None:
    raw = json.dumps(value).encode()
    assert first_value(raw) == raw


@given(st.binary())
def test_any_bytes_are_cut_or_refused(raw: bytes) -> None:
    with suppress(GoJsonError):
        assert first_value(raw) in raw
