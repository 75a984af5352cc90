"""User JSON that stays bytes: checked once where it enters, spliced ever after.

msgspec checks the grammar of what it hands out as `Raw`, but not its UTF-8 and not how deep it nests; and it rejects
the lone surrogates that JavaScript's `JSON.stringify` writes for a text cut within an emoji. Here is what fills these
gaps.
"""

from __future__ import annotations

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

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
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
    """Whether valid JSON nests deeper than `MAX_DEPTH`."""
    if json.count(b"[") + json.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", json).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH


def mend(json: bytes) -> bytes:
    """Replace what Unicode can't express, bytes that are no UTF-8 and lone surrogates, by U+FFFD."""
    if not json.isascii():
        json = json.decode("utf-8", "replace").encode()
    if b"\\ud" in json or b"\\uD" in json:
        json = _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["lone"] else escape[0], json)
    return json


def valid(json: bytes) -> bytes | None:
    """Answer the one JSON value in a text, mended and without the space around it; None if there is none."""
    json = mend(json)
    try:
        value = bytes(decode_raw(json))
    except UNREADABLE:
        return None
    return None if too_deep(value) else value


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
