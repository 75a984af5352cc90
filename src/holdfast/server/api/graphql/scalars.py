"""Custom scalars (`protocol/graphql.md` §2).

An input that doesn't parse is no validation error here but one of the field, at the argument's path: parsing answers a
`BadValue`, which `holdfast.server.api.graphql.executable_schema` turns into that error when the field is resolved.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final, cast

import msgspec
from graphql import GraphQLError, GraphQLInt, GraphQLScalarType, value_from_ast_untyped

from holdfast.protocol.ids import ULID_LENGTH, is_ulid
from holdfast.protocol.rfc3339 import format_rfc3339, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import GraphQLSchema, ValueNode

_TIME_LAYOUT: Final = "2006-01-02T15:04:05.999999999Z07:00"
_TIME_PARTS: Final = (
    ("2006", r"[0-9]{4}"),
    ("-", "-"),
    ("01", r"[0-9]{2}"),
    ("-", "-"),
    ("02", r"[0-9]{2}"),
    ("T", "T"),
    ("15", r"[0-9]{2}"),
    (":", ":"),
    ("04", r"[0-9]{2}"),
    (":", ":"),
    ("05", r"[0-9]{2}(?:[.,][0-9]+)?"),
    ("Z07:00", r"Z|[+-][0-9]{2}:[0-9]{2}"),
)
_UUID_LENGTHS: Final = (32, 36, 38, 45)

#: What an `Int` of an answer may be, as JavaScript reads it: 32 bits of milliseconds are 25 days, and runs last longer.
INTS: Final = range(-(2**53) + 1, 2**53)
_write_small: Final = GraphQLInt.serialize


class BadValue:
    """An input that its scalar can't read; `message` is what the client sees."""

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message = message


def parse_time(value: object) -> int | BadValue:
    """Read RFC 3339 into ms since the epoch."""
    if not isinstance(value, str):
        return BadValue(f"{_kind(value)} is not a time")
    try:
        return parse_rfc3339(value)
    except ValueError:
        return BadValue(_time_problem(value))


def parse_ulid_text(value: object) -> str | BadValue:
    """Check a ULID and write it in upper case."""
    if not isinstance(value, str):
        return BadValue(f"{_kind(value)} is not a ULID")
    problem = ulid_problem(value)
    return BadValue(problem) if problem else value.upper()


def ulid_problem(text: str) -> str:
    """Return what is wrong with a ULID, in the words of the reference; empty if nothing is."""
    if len(text) != ULID_LENGTH:
        return "ulid: bad data size when unmarshaling"
    return "" if is_ulid(text) else "ulid: bad data characters when unmarshaling"


def parse_uuid(value: object) -> str | BadValue:
    """Check a UUID and write it in lower case."""
    if not isinstance(value, str):
        return BadValue(f"{_kind(value)} is not a UUID")
    problem = uuid_problem(value)
    return BadValue(problem) if problem else str(uuid.UUID(value))


def uuid_problem(text: str) -> str:
    """Return what is wrong with a UUID; empty if nothing is."""
    if len(text) not in _UUID_LENGTHS:
        return f"invalid UUID length: {len(text)}"
    try:
        uuid.UUID(text)
    except ValueError:
        return "invalid UUID format"
    return ""


def _parse_text(value: object) -> str | BadValue:
    return value if isinstance(value, str) else BadValue(f"{_kind(value)} is not a string")


def _parse_map(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else BadValue(f"{_kind(value)} is not a map")


def _parse_number(value: object) -> int | BadValue:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return BadValue(f"{_kind(value)} is not an int")
    try:
        return int(value)
    except ValueError:
        return BadValue(f'strconv.ParseInt: parsing "{value}": invalid syntax')


def _same(value: object) -> object:
    return value


def _write_int(value: object) -> object:
    return value if type(value) is int and value in INTS else _write_small(value)


def _write_time(value: object) -> str | None:
    if isinstance(value, int):
        return format_rfc3339(value, fraction=True)
    raise GraphQLError(f"not a time: {value!r}")


def _write_bytes(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _write_json(value: object) -> object:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw | bytes) else value


_SCALARS: Final[dict[str, tuple[Callable[[object], object], Callable[[object], object]]]] = {
    "Time": (_write_time, parse_time),
    "ULID": (_same, parse_ulid_text),
    "UUID": (_same, parse_uuid),
    "Bytes": (_write_bytes, _parse_text),
    "Map": (_write_json, _parse_map),
    "Unknown": (_write_json, _same),
    "Uint": (_same, _parse_number),
    "Int64": (_same, _parse_number),
    "Environment": (_same, _parse_text),
    "SpanMetadataKind": (_same, _parse_text),
    "SpanMetadataScope": (_same, _parse_text),
    "SpanMetadataValues": (_same, _parse_map),
    "HTTPHeaders": (_same, _parse_map),
}


_FUNCTIONS: Final = (
    ("serialize", "coerce_output_value"),
    ("parse_value", "coerce_input_value"),
    ("parse_literal", "coerce_input_literal"),
)


def install_scalars(schema: GraphQLSchema) -> None:
    """Give the schema's custom scalars their readers and writers."""
    for name, (write, parse) in _SCALARS.items():
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        # graphql-core 3.3 has new names for the three functions and still knows the old ones, which are all 3.2 has.
        for names, function in zip(_FUNCTIONS, (write, parse, _literal(parse)), strict=True):
            for attribute in names:
                setattr(scalar, attribute, function)
    for attribute in _FUNCTIONS[0]:  # the library has one Int for all schemas
        setattr(GraphQLInt, attribute, _write_int)


def _literal(parse: Callable[[object], object]) -> Callable[..., object]:
    def parse_literal(node: ValueNode, variables: dict[str, object] | None = None) -> object:
        return parse(value_from_ast_untyped(node, variables))

    return parse_literal


def _kind(value: object) -> str:
    """Return what Go calls the type of a decoded JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "json.Number"
    if isinstance(value, dict):
        return "map[string]interface {}"
    return "nil" if value is None else "[]interface {}"


def _time_problem(text: str) -> str:
    """Return the reference's words: which part of its layout the text failed at."""
    rest = text
    for part, pattern in _TIME_PARTS:
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            return f'parsing time "{text}" as "{_TIME_LAYOUT}": cannot parse "{rest}" as "{part}"'
        rest = rest[match.end() :]
    problem = f'extra text: "{rest}"' if rest else "value out of range"
    return f'parsing time "{text}": {problem}'
