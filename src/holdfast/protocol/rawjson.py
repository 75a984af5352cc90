"""User JSON that stays bytes: checked once where it enters, spliced ever after.

msgspec checks the grammar of what it hands out as `Raw`, but not its UTF-8 and not how deep it nests; and it rejects
the lone surrogates that JavaScript's `JSON.stringify` writes for a text cut within an emoji. Here is what fills these
gaps.
"""

from __future__ import annotations

import math
import re
import sys
from itertools import accumulate
from typing import Final

import msgspec
from msgspec import Raw

#: Deepest accepted nesting of a value that a client sends: of an event's data, of a step's result, of an output.
MAX_DEPTH: Final = 1_000

# Decoders and encoders count each level of JSON as a call. By default Python allows 1,000 of them, too few for a value
# of that depth within a request and below the calls that lead there. What is nested deeper is still refused by a check.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * MAX_DEPTH))

#: Raised by msgspec's decoders and encoders for input they can't take.
UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)

encode: Final = msgspec.json.Encoder().encode
decode_raw: Final = msgspec.json.Decoder(Raw).decode
decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
decode_text: Final = msgspec.json.Decoder(str).decode

# What may be a number beyond the doubles: three digits of an exponent, or 309 of an integer. Cheap looks come first.
_AS_ZEROS: Final = bytes(
    ord("0") if chr(byte).isdecimal()
    else ord("e") if byte in b"eE"
    else ord("+") if byte == ord("+")
    else ord(" ") if byte in b",]} \t\r\n"  # what ends a number
    else ord("x")
    for byte in range(256)
)  # fmt: skip
_END_OF_NUMBER: Final = re.compile(rb"0*(?: |\Z)")
_LONG_INTEGER: Final = b"0" * 309
_HUGE: Final = re.compile(  # a number follows on one of these; they come first, so that few places are looked at
    rb"[:,\[\s]-?(?:[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{3,}|[0-9]{309,}+(?:\.[0-9]++)?(?:[eE][+-]?[0-9]+)?)"
)
_MARKS: Final = 64  # with more of them, the whole text is looked at
_SHOWN_DIGITS: Final = 20

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"'))
_SLOPES = re.compile(rb"\[+|\]+")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_KINDS = {
    ord('"'): "string", ord("{"): "object", ord("["): "array", ord("t"): "bool", ord("f"): "bool", ord("n"): "null",
}  # fmt: skip


def kind(json: bytes | Raw) -> str:
    """Name the type of a JSON value as error texts do: string, number, object, array, bool or null."""
    return _KINDS.get(memoryview(json)[0], "number")


def json_or_text(stored: bytes) -> Raw:
    """JSON as it was stored; bytes that are none as a JSON text."""
    try:
        msgspec.json.decode(stored)
    except UNREADABLE:
        return Raw(encode(stored.decode("utf-8", "replace")))
    return Raw(stored)


def too_deep(json: bytes) -> bool:
    """Return whether valid JSON nests deeper than `MAX_DEPTH`."""
    if json.count(b"[") + json.count(b"{") <= MAX_DEPTH:
        return False
    brackets, levels = _brackets(json), 0
    while brackets.count(b"[") + levels > MAX_DEPTH:
        inner = brackets.replace(b"[]", b"")  # without the innermost level: wide values are done after a few
        if len(inner) > len(brackets) // 8 * 7:
            return levels + max(accumulate(map(_climb, _SLOPES.findall(brackets)))) > MAX_DEPTH
        brackets, levels = inner, levels + 1
    return False


def _climb(slope: bytes) -> int:
    return len(slope) if slope[:1] == b"[" else -len(slope)


def _brackets(json: bytes) -> bytes:
    """Return the brackets of valid JSON, braces as square ones, without those in strings."""
    if b"\\" in json:
        json = json.replace(rb"\\", b"").replace(rb"\"", b"")
    shape = json.translate(_SQUARE, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"")
    return b"".join(shape.split(b'"')[::2])


def unwritable(json: bytes) -> str:
    """Return the first number of valid JSON that is beyond the doubles, shortened; nothing if there is none.

    `1e400` or an integer of 400 digits: no canonical form can be written of it, so that no call with it can be signed.
    """
    shape = json.translate(_AS_ZEROS)
    if not _has_exponent(shape, b"0e000") and not _has_exponent(shape, b"0e+000") and _LONG_INTEGER not in shape:
        return ""
    json = b" " + json
    if not _HUGE.search(json):
        return ""
    for match in _HUGE.finditer(_STRING.sub(b'""', json)):
        text = match[0][1:].decode()
        if math.isinf(float(text)):
            return text if len(text) <= _SHOWN_DIGITS else f"{text[:_SHOWN_DIGITS]}…"
    return ""


def _has_exponent(shape: bytes, mark: bytes) -> bool:
    """Whether `mark`, the middle of a number, may go on to that number's end. In the hashed id of a step it doesn't."""
    at = -1
    for _ in range(_MARKS):
        at = shape.find(mark, at + 1)
        if at < 0 or _END_OF_NUMBER.match(shape, at + len(mark)):
            return at >= 0
    return True


def mend(json: bytes) -> bytes:
    """Replace what Unicode can't express, bytes that are no UTF-8 and lone surrogates, by U+FFFD."""
    if not json.isascii():
        json = json.decode("utf-8", "replace").encode()
    if b"\\ud" in json or b"\\uD" in json:
        json = _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["lone"] else escape[0], json)
    return json


def valid(json: bytes) -> bytes | None:
    """Return the one JSON value in a text, mended and without the space around it.

    None if there is none, or one that can't be sent on: nested too deep, or with a number beyond the doubles.
    """
    json = mend(json)
    try:
        value = bytes(decode_raw(json))
    except UNREADABLE:
        return None
    return None if too_deep(value) or unwritable(value) else value


def quote(text: str) -> bytes:
    """Write a text as a JSON string, whatever is in it."""
    try:
        return encode(text)
    except UnicodeError:
        return encode(text.encode("utf-8", "replace").decode())


def pick(json: bytes, *names: str) -> dict[str, Raw]:
    """Read some members of a JSON object; empty if it is none."""
    try:
        members = decode_members(json)
    except UNREADABLE:
        return {}
    return {name: members[name] for name in names if name in members}


def text_of(json: Raw | None) -> str:
    """Read a JSON string; empty if it is another value."""
    try:
        return decode_text(json) if json is not None else ""
    except UNREADABLE:
        return ""
