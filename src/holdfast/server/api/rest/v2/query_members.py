"""Query parameters as JSON members, typed by the request that they belong to; unknown ones are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from holdfast.protocol.rfc3339 import parse_rfc3339
from holdfast.server.api.rest.v2.envelope import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.server.api.rest.v2.operation import Fields

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT32: Final = 2**31
_LAYOUT: Final = "2006-01-02T15:04:05.999999999Z07:00"


def read_query(request: type[msgspec.Struct], pairs: Iterable[tuple[str, str]]) -> Fields:
    """Read parameters in camel or snake case. Raises RefusalError with the text of the reference."""
    known = {alias: field for field in msgspec.structs.fields(request) for alias in _names(field)}
    values: dict[str, object] = {}
    for name, text in pairs:
        field = known.get(name)
        if field is None:
            continue
        info = msgspec.inspect.type_info(field.type)
        repeated = isinstance(_bare(info), msgspec.inspect.ListType)
        value = text if repeated else _read(name, text, info)
        if repeated:
            given = values.setdefault(field.encode_name, [])
            assert isinstance(given, list)
            given.append(value)
        else:
            values[field.encode_name] = value
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def _names(field: msgspec.structs.FieldInfo) -> set[str]:
    return {field.name.rstrip("_"), field.encode_name}


def _bare(info: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Return a type without its description and its None."""
    while True:
        if isinstance(info, msgspec.inspect.Metadata):
            info = info.type
        elif isinstance(info, msgspec.inspect.UnionType):
            info = next(part for part in info.types if not isinstance(part, msgspec.inspect.NoneType))
        else:
            return info


def _read(name: str, text: str, info: msgspec.inspect.Type) -> object:
    match _bare(info):
        case msgspec.inspect.BoolType():
            return _bool(name, text)
        case msgspec.inspect.IntType():
            return _int(name, text)
        case _:
            return _time(name, text) if is_time(info) else text


def is_time(info: msgspec.inspect.Type) -> bool:
    """Return whether a field is a moment."""
    if isinstance(info, msgspec.inspect.UnionType):
        return any(is_time(part) for part in info.types)
    if not isinstance(info, msgspec.inspect.Metadata):
        return False
    shown = cast("dict[str, object]", info.extra_json_schema or {})
    return shown.get("format") == "date-time"


def _bool(name: str, text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise _unreadable(name, f"strconv.ParseBool: parsing {_quote(text)}: invalid syntax")
    return text in _TRUE


def _int(name: str, text: str) -> int:
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if not (digits.isascii() and digits.isdecimal()):
        raise _unreadable(name, f"strconv.ParseInt: parsing {_quote(text)}: invalid syntax")
    number = int(text) if len(text) < 20 else _INT32
    if not -_INT32 <= number < _INT32:
        raise _unreadable(name, f"strconv.ParseInt: parsing {_quote(text)}: value out of range")
    return number


def _time(name: str, text: str) -> str:
    try:
        parse_rfc3339(text)
    except ValueError:
        problem = f'parsing time {_quote(text)} as "{_LAYOUT}": cannot parse {_quote(text)} as "2006"'
        raise _unreadable(name, problem) from None
    return text


def _unreadable(name: str, problem: str) -> RefusalError:
    return RefusalError(400, "api_error", f'parsing field "{name}": {problem}')


def _quote(text: str) -> str:
    return msgspec.json.encode(text).decode()
