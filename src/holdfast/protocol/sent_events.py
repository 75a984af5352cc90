"""Events as their senders wrote them: the request body of the Event API (`protocol/http-apis.md` §2.1, §2.2).

The fast path is one decode. Whatever it can't take is read again piece by piece, to keep the events before the first
bad one and to say what is wrong with that one.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw

from holdfast.protocol import decode_errors
from holdfast.protocol.limits import MAX_EVENT, MAX_EVENTS
from holdfast.protocol.rawjson import (
    MAX_DEPTH,
    UNREADABLE,
    decode_items,
    decode_members,
    kind,
    mend,
    too_deep,
    unwritable,
)

NOT_UTF8: Final = "request body is not valid UTF-8"
NOT_EVENTS: Final = "Request body must contain an event object or an array of event objects"
TOO_MANY: Final = f"Cannot have more than {MAX_EVENTS} events in a batch"
NAMELESS: Final = "event name is empty"

MAP: Final = "map[string]interface {}"
INT64: Final = "int64"
_TYPES: Final = {"name": "string", "data": MAP, "id": "string", "ts": INT64, "user": MAP, "v": "string"}
_KINDS: Final = {"string": "string", INT64: "number", MAP: "object"}

_INTEGER = re.compile(rb"-?\d+")
_FIELD_NAME = re.compile(rb'\bname="([^"]*)"')
_SPACE = " \t\r\n"


def _refuse(constant: str) -> float:
    raise ValueError(constant)


#: Finds where the elements of a broken array end; the values that it makes are dropped.
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)


class SentEvent(msgspec.Struct, gc=False):
    """An event before it is checked. null counts as absent."""

    name: str | None = ""
    data: Raw = Raw()
    id: str | None = ""
    ts: int | None = 0
    user: Raw = Raw()
    v: str | None = ""
    meta: Raw = Raw()


_decode_one = msgspec.json.Decoder(SentEvent).decode
_decode_many = msgspec.json.Decoder(list[SentEvent]).decode


def read_sent(body: bytes, content_type: str) -> tuple[list[SentEvent], str]:
    """Read one event or an array: those before the first bad one, and what is wrong with that one."""
    if not body.isascii() and not _is_utf8(body):
        return [], NOT_UTF8
    if len(body) > MAX_EVENT:
        return _read_slowly(body, content_type)
    try:
        sent = _decode_many(body) if body[:1] == b"[" else [_decode_one(body)]
    except UNREADABLE:
        return _read_slowly(body, content_type)
    if unwritable(body):
        return _read_slowly(body, content_type)
    if len(sent) > MAX_EVENTS:
        return sent[:MAX_EVENTS], TOO_MANY
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        return _shallow(sent)
    return sent, ""


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shallow(sent: list[SentEvent]) -> tuple[list[SentEvent], str]:
    """Cut off a list before the first event that nests too deep."""
    for number, event in enumerate(sent):
        if _too_deep(event):
            return sent[:number], decode_errors.TOO_DEEP
    return sent, ""


def _too_deep(event: SentEvent) -> bool:
    return any(too_deep(bytes(part)) for part in (event.data, event.user, event.meta))


def _read_slowly(body: bytes, content_type: str) -> tuple[list[SentEvent], str]:
    items, error = split_sent(body, content_type)
    sent: list[SentEvent] = []
    for item in items:
        try:
            sent.append(read_one(item))
        except ValueError as bad:
            return sent, str(bad)
    return sent, error


def split_sent(body: bytes, content_type: str) -> tuple[list[bytes], str]:
    """Split a body into what should be events, for `read_one`; and say what is wrong with what follows them."""
    if not body.isascii() and not _is_utf8(body):
        return [], NOT_UTF8
    text = mend(body.strip())
    match text[:1]:
        case b"":
            return [], ""
        case b"{":
            return [text], ""
        case b"[":
            items, error = _elements(text)
            return items[:MAX_EVENTS], TOO_MANY if len(items) > MAX_EVENTS else error
        case _:
            return [], _not_json(text, content_type)


def read_one(item: bytes) -> SentEvent:
    """Read an event. Raises ValueError with the public text."""
    if len(item) > MAX_EVENT:
        raise ValueError(f"Event is over the max size: Max {MAX_EVENT} bytes / Size {len(item)} bytes")
    if item == b"null":
        return SentEvent()
    try:
        event = _decode_one(item)
    except UNREADABLE:
        raise ValueError(_why(item)) from None
    if too_deep(item) and _too_deep(event):
        raise ValueError(decode_errors.TOO_DEEP)
    if unwritable(item) and (number := _unwritable(event)):
        raise ValueError(decode_errors.beyond(number))
    return event


def _unwritable(event: SentEvent) -> str:
    return next(filter(None, (unwritable(bytes(part)) for part in (event.data, event.user, event.meta))), "")


def _why(item: bytes) -> str:
    """Return why an element is no event."""
    try:
        members = decode_members(item)
    except UNREADABLE:
        if item[:1] == b"{":
            return decode_errors.syntax_error(item)
        return decode_errors.not_an_object(kind(item), "event.raw")
    for name, value in members.items():
        if error := mistyped(name, bytes(value)):
            return error
    return decode_errors.syntax_error(item)


def mistyped(name: str, value: bytes) -> str:
    """Return what is wrong with the type of an event's member; nothing if it is right or null."""
    wanted, found = _TYPES.get(name), kind(value)
    if wanted is None or found == "null":
        return ""
    if found != _KINDS[wanted]:
        return decode_errors.mismatch(found, f"raw.{name}", wanted)
    if wanted is INT64 and not (_INTEGER.fullmatch(value) and is_int64(value)):
        return decode_errors.mismatch(f"number {value.decode()}", f"raw.{name}", wanted)
    return ""


def is_int64(digits: bytes) -> bool:
    """Return whether an integer fits into 64 bits."""
    return len(digits) <= len(str(-(2**63))) and -(2**63) <= int(digits) < 2**63


def _elements(text: bytes) -> tuple[list[bytes], str]:
    """Split an array, as far as it can be read. One that just ends is accepted, as the reference does."""
    try:
        return [bytes(item) for item in decode_items(text)], ""
    except UNREADABLE:
        pass
    items: list[bytes] = []
    source = text.decode()
    position = _skip_space(source, 1)
    while position < len(source):
        try:
            _, end = _SCANNER.raw_decode(source, position)
        except RecursionError:
            return items, decode_errors.TOO_DEEP
        except ValueError:
            return items, decode_errors.syntax_error(source[position:].encode())
        items.append(source[position:end].encode())
        position = _skip_space(source, end)
        if position < len(source):
            if source[position] != ",":
                return items, _after_element(source[position:].encode())
            position = _skip_space(source, position + 1)
    return items, ""


def _skip_space(source: str, position: int) -> int:
    while position < len(source) and source[position] in _SPACE:
        position += 1
    return position


def _after_element(rest: bytes) -> str:
    if rest[:1] != b"]":
        return decode_errors.unexpected(rest[0], "after array element")
    rest = rest[1:].lstrip()
    return decode_errors.unexpected(rest[0], "after top-level value") if rest else ""


def _not_json(text: bytes, content_type: str) -> str:
    """Forms are read as objects of lists of texts, which no event is."""
    text = text[: decode_errors.MAX_EXPLAINED]
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        names = [name for name, _ in parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)]
    elif media_type == "multipart/form-data":
        names = [name.decode("utf-8", "replace") for name in _FIELD_NAME.findall(text)]
    else:
        return NOT_EVENTS
    wrong = sorted(_TYPES.keys() & names)
    return decode_errors.mismatch("array", f"raw.{wrong[0]}", _TYPES[wrong[0]]) if wrong else NAMELESS
