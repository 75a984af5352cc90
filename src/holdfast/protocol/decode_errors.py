"""Why JSON isn't what it should be, in the words that clients of the reference see (`protocol/http-apis.md` §2.2)."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.protocol.go_json import GoJsonError, first_value
from holdfast.protocol.rawjson import decode_raw, too_deep, unwritable

TRUNCATED: Final = "unexpected end of JSON input"
TOO_DEEP: Final = "exceeded max depth"
MALFORMED: Final = "invalid JSON"

#: Finding the very character takes a slow scan, which a sender of megabytes doesn't get.
MAX_EXPLAINED: Final = 128 * 1024

_ENDS = {"EOF", "unexpected EOF"}


def syntax_error(body: bytes) -> str:
    """Return what is wrong with a text that isn't one JSON value."""
    body = body.strip()
    if len(body) > MAX_EXPLAINED:
        return _summary(body)
    try:
        value = first_value(body)
    except GoJsonError as error:
        return TRUNCATED if str(error) in _ENDS else str(error)
    if rest := body[len(value) :].lstrip():
        return unexpected(rest[0], "after top-level value")
    return _summary(body)


def _summary(body: bytes) -> str:
    try:
        value = decode_raw(body)
    except RecursionError:
        return TOO_DEEP
    except msgspec.DecodeError:
        return MALFORMED
    if number := unwritable(bytes(value)):
        return beyond(number)
    return TOO_DEEP if too_deep(bytes(value)) else MALFORMED


def beyond(number: str) -> str:
    """Report that a number can't be sent on; `number` is its text."""
    return f"number {number} is beyond the range of JSON numbers, which are doubles (up to 1.8e308)"


def unexpected(byte: int, where: str) -> str:
    """Report that a character can't stand where it does."""
    character = chr(byte)
    quoted = "'\\''" if character == "'" else repr(character)
    return f"invalid character {quoted} {where}"


def mismatch(kind: str, field: str, wanted: str) -> str:
    """Report that a member of an object has the wrong type; `field` is `<struct>.<member>`."""
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {wanted}"


def not_an_object(kind: str, wanted: str) -> str:
    """Report that something is no object at all."""
    return f"json: cannot unmarshal {kind} into Go value of type {wanted}"
