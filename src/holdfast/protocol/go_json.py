"""JSON as Go's decoder reads it: where the first value ends, and what is wrong with a malformed one.

Clients see these texts in error bodies. The scan is only made once a fast decoder has refused a body.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

MAX_DEPTH: Final = 10_000

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_STRING_RUN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(rb"[0-9]*")
_LITERALS: Final = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_ESCAPES: Final = frozenset(b'bfnrt\\/"')
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_ESCAPED: Final = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 39: r"\'", 92: r"\\"}
_OPENERS: Final = {ord("{"): ord("}"), ord("["): ord("]")}


class GoJsonError(ValueError):
    """Malformed JSON; the message is Go's."""


def first_value(raw: bytes) -> bytes:
    """Cut the first JSON value out of a body, as a streaming decoder reads it: what follows is not looked at.

    Raises GoJsonError: `EOF` for nothing, `unexpected EOF` for an unfinished value, else `invalid character …`.
    """
    start = _skip_space(raw, 0)
    if start == len(raw):
        raise GoJsonError("EOF")
    return raw[start : _value_end(raw, start)]


def go_kind(value: object) -> str:
    """Name the JSON kind of a decoded value as Go's type errors do."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _value_end(raw: bytes, at: int) -> int:
    open_ends: list[int] = []  # closing characters of the containers around `at`
    while True:
        at = _skip_space(raw, at)
        closer = _OPENERS.get(_byte(raw, at))
        if closer is not None:
            at, opened = _open(raw, at + 1, closer)
            if opened:
                open_ends.append(closer)
                if len(open_ends) > MAX_DEPTH:
                    raise GoJsonError("exceeded max depth")
                continue
        else:
            at = _scalar_end(raw, at)
        while open_ends:
            at, closed = _after_item(raw, at, open_ends[-1])
            if not closed:
                break
            open_ends.pop()
        else:
            return at


def _open(raw: bytes, at: int, closer: int) -> tuple[int, bool]:
    at = _skip_space(raw, at)
    if _byte(raw, at) == closer:
        return at + 1, False
    return (_key_end(raw, at) if closer == ord("}") else at), True


def _after_item(raw: bytes, at: int, closer: int) -> tuple[int, bool]:
    at = _skip_space(raw, at)
    char = _byte(raw, at)
    if char == closer:
        return at + 1, True
    in_object = closer == ord("}")
    if char != ord(","):
        _fail(char, "after object key:value pair" if in_object else "after array element")
    return (_key_end(raw, _skip_space(raw, at + 1)) if in_object else at + 1), False


def _key_end(raw: bytes, at: int) -> int:
    if _byte(raw, at) != ord('"'):
        _fail(raw[at], "looking for beginning of object key string")
    at = _skip_space(raw, _string_end(raw, at + 1))
    if _byte(raw, at) != ord(":"):
        _fail(raw[at], "after object key")
    return at + 1


def _scalar_end(raw: bytes, at: int) -> int:
    char = _byte(raw, at)
    if char == ord('"'):
        return _string_end(raw, at + 1)
    if char in _LITERALS:
        return _literal_end(raw, at, _LITERALS[char])
    if char == ord("-") or char in b"0123456789":
        return _number_end(raw, at)
    return _fail(char, "looking for beginning of value")


def _literal_end(raw: bytes, at: int, literal: bytes) -> int:
    for offset in range(1, len(literal)):
        char = _byte(raw, at + offset)
        if char != literal[offset]:
            _fail(char, f"in literal {literal.decode()} (expecting {_quote(literal[offset])})")
    return at + len(literal)


def _string_end(raw: bytes, at: int) -> int:
    while True:
        at = _end(_STRING_RUN, raw, at)
        char = _byte(raw, at)
        if char == ord('"'):
            return at + 1
        if char != ord("\\"):
            _fail(char, "in string literal")
        at = _escape_end(raw, at + 1)


def _escape_end(raw: bytes, at: int) -> int:
    char = _byte(raw, at)
    if char in _ESCAPES:
        return at + 1
    if char != ord("u"):
        _fail(char, "in string escape code")
    for digit in range(at + 1, at + 5):
        if _byte(raw, digit) not in _HEX:
            _fail(raw[digit], "in \\u hexadecimal character escape")
    return at + 5


def _number_end(raw: bytes, at: int) -> int:
    if raw[at] == ord("-"):
        at += 1
        if _byte(raw, at) not in b"0123456789":
            _fail(raw[at], "in numeric literal")
    at = at + 1 if raw[at] == ord("0") else _end(_DIGITS, raw, at)
    if raw[at : at + 1] == b".":
        at = _digits_end(raw, at + 1, "after decimal point in numeric literal")
    if raw[at : at + 1] in {b"e", b"E"}:
        at += 2 if raw[at + 1 : at + 2] in {b"+", b"-"} else 1
        at = _digits_end(raw, at, "in exponent of numeric literal")
    return at


def _digits_end(raw: bytes, at: int, context: str) -> int:
    if _byte(raw, at) not in b"0123456789":
        _fail(raw[at], context)
    return _end(_DIGITS, raw, at)


def _skip_space(raw: bytes, at: int) -> int:
    return _end(_SPACE, raw, at)


def _end(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    match = pattern.match(raw, at)
    assert match is not None  # these patterns match the empty text
    return match.end()


def _byte(raw: bytes, at: int) -> int:
    if at >= len(raw):
        raise GoJsonError("unexpected EOF")
    return raw[at]


def _fail(char: int, context: str) -> NoReturn:
    raise GoJsonError(f"invalid character {_quote(char)} {context}")


def _quote(char: int) -> str:
    text = _ESCAPED.get(char) or (chr(char) if chr(char).isprintable() else f"\\x{char:02x}")
    return f"'{text}'"
