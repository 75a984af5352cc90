"""The functions of the dialect: CEL's standard library and the reference's own (`flow-control.md` §3.2).

Every function takes values and answers a value; it raises ExpressionError for types it is not made for. A missing
argument never gets here, except to `size`: such a call answers false (§3.3).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from holdfast.protocol.dates import parse_date
from holdfast.protocol.durations import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    DurationError,
    parse_duration,
    parse_go_duration,
)
from holdfast.protocol.limits import MAX_DURATION_TEXT
from holdfast.protocol.rfc3339 import parse_rfc3339
from holdfast.server.expressions import pattern
from holdfast.server.expressions.dialect import no_overload
from holdfast.server.expressions.errors import ExpressionError
from holdfast.server.expressions.values import (
    INT_MAX,
    MISSING,
    UINT_MAX,
    Duration,
    Timestamp,
    Uint,
    Value,
    as_int,
    as_uint,
    format_double,
    format_timestamp,
    kind_of,
    moment,
)

Implementation = Callable[..., Value]

#: Characters that a function reads, and pairs of characters that a search compares, for one unit of work.
_READ: Final = 32
_PAIRS: Final = 256
_VALUE: Final = 3  # a value of JSON
_TERM: Final = 8  # a character of a duration: half a number with its unit
_SMALL_TEXT: Final = 2_500
_SMALL_PART: Final = 100


def _linear(*texts: Value) -> int:
    return sum(len(text) for text in texts if isinstance(text, (str, bytes))) // _READ


class Function(msgspec.Struct, frozen=True):
    """One function: how it may be called, with how many arguments (the target included), and what it does."""

    run: Implementation
    arities: tuple[int, ...]
    plain: bool = True
    """May be called as `f(x)`."""
    method: bool = False
    """May be called as `x.f()`."""
    cost: Callable[..., int] = _linear
    """What a call costs for long arguments, in units of work."""


_OLDEST_DATE: Final = 946_684_800
_LAST_SECOND: Final = 9_999_999_999
_LAST_MILLISECOND: Final = 9_999_999_999_999
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_DOUBLE: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE
)
_OFFSET: Final = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{2})")
_DECODER: Final = json.JSONDecoder(parse_int=float)


def size(value: Value) -> Value:
    """Count the characters, bytes or elements; 0 if missing."""
    if value is MISSING:
        return 0
    if isinstance(value, (str, bytes, list, dict)):
        return len(value)
    raise no_overload("size", value)


def date(value: Value) -> Value:
    """Read a timestamp from a text of any known layout, or from seconds, milliseconds or nanoseconds (§3.4)."""
    if isinstance(value, str):
        try:
            return Timestamp(parse_date(value) * MILLISECOND)
        except ValueError as error:
            raise ExpressionError(str(error)) from None
    if value.__class__ not in {int, Uint, float} or not math.isfinite(cast("float", value)):
        raise no_overload("date", value)
    number = int(cast("float", value))
    if number < _OLDEST_DATE:
        raise ExpressionError(f"unknown date format: {number}")
    if number < _LAST_SECOND:
        return Timestamp(number * SECOND)
    return Timestamp(number * MILLISECOND if number < _LAST_MILLISECOND else number)


def span(value: Value, pay: Callable[[int], None]) -> int:
    """Return the nanoseconds of `now_plus` and `now_minus`, which take an extended duration; pay for reading it."""
    if value.__class__ is Duration:
        return cast("int", value)
    pay(_duration_cost(value))
    try:
        return parse_duration(_text("now_plus", value))
    except DurationError as error:
        raise ExpressionError(str(error)) from None


def _lowercase(value: Value) -> Value:
    return _text("lowercase", value).lower()


def _uppercase(value: Value) -> Value:
    return _text("uppercase", value).upper()


def _b64decode(value: Value) -> Value:
    """Decode what can be decoded of standard base64, up to the first character that does not belong."""
    text = _text("b64decode", value).replace("\n", "").replace("\r", "")
    good = re.match(r"[A-Za-z0-9+/]*", text)
    assert good is not None  # matches at least nothing
    body = good[0]
    if len(text) % 4 or text[len(body) :] not in {"", "=", "=="}:
        body = body[: len(body) // 4 * 4]
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4)).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _json_parse(value: Value) -> Value:
    try:
        parsed = cast("Value", _DECODER.decode(_text("json_parse", value)))
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _json_cost(text: Value) -> int:
    return len(text) // _READ + _VALUE * text.count(",") + _VALUE * text.count("[") if isinstance(text, str) else 0


def _duration_cost(text: Value) -> int:
    return _TERM * min(len(text), MAX_DURATION_TEXT) if isinstance(text, str) else 0


def _date_cost(text: Value) -> int:
    return len(text) if isinstance(text, str) else 0


def _search_cost(text: Value, part: Value) -> int:
    """Python looks for short texts in quadratic time, at worst, and for others in linear time."""
    if not isinstance(text, str) or not isinstance(part, str):
        return 0
    quadratic = len(text) < _SMALL_TEXT or len(part) < _SMALL_PART
    return len(text) * min(len(part), _SMALL_TEXT) // _PAIRS if quadratic else _linear(text, part)


def _contains(target: Value, part: Value) -> Value:
    return _text("contains", part, target) in _text("contains", target, part)


def _starts_with(target: Value, part: Value) -> Value:
    return _text("startsWith", target, part).startswith(_text("startsWith", part, target))


def _ends_with(target: Value, part: Value) -> Value:
    return _text("endsWith", target, part).endswith(_text("endsWith", part, target))


def matches(target: Value, expression: Value, pay: Callable[[int], None]) -> bool:
    """Return whether a pattern is found in a text, and pay for the search."""
    return pattern.search(_text("matches", expression, target), _text("matches", target, expression), pay)


def _uncounted(target: Value, expression: Value) -> Value:
    return matches(target, expression, lambda _: None)


def _int(value: Value) -> Value:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            raise ExpressionError("type conversion error from 'string' to 'int'")
        return as_int(int(value))
    if isinstance(value, Timestamp):
        return value // SECOND
    if isinstance(value, Duration):
        return int(value)
    number = _number("int", value)
    return as_int(math.trunc(number) if math.isfinite(number) else INT_MAX + 1)


def _uint(value: Value) -> Value:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value) or value[0] in "+-":
            raise ExpressionError("type conversion error from 'string' to 'uint'")
        return as_uint(int(value))
    number = _number("uint", value)
    return as_uint(math.trunc(number)) if 0 <= number <= UINT_MAX else as_uint(-1)


def _double(value: Value) -> Value:
    if isinstance(value, str):
        if not _DOUBLE.fullmatch(value):
            raise ExpressionError("type conversion error from 'string' to 'double'")
        return float(value)
    return float(_number("double", value))


def _string(value: Value) -> Value:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, bytes):
        return _utf8(value)
    if value.__class__ is Timestamp:
        return format_timestamp(cast("int", value))
    if value.__class__ is Duration:
        return _seconds(cast("int", value))
    if isinstance(value, int):
        return str(int(value))
    raise no_overload("string", value)


def _bool(value: Value) -> Value:
    if isinstance(value, bool):
        return value
    known = _BOOLS.get(_text("bool", value))
    if known is None:
        raise ExpressionError("type conversion error from 'string' to 'bool'")
    return known


def _bytes(value: Value) -> Value:
    return value if isinstance(value, bytes) else _text("bytes", value).encode("utf-8", "replace")


def _duration(value: Value) -> Value:
    if value.__class__ is Duration:
        return value
    if isinstance(value, int) and value.__class__ is int:
        return Duration(value)
    try:
        return Duration(parse_go_duration(_text("duration", value)))
    except DurationError as error:
        raise ExpressionError(str(error)) from None


def _timestamp(value: Value) -> Value:
    if value.__class__ is Timestamp:
        return value
    if isinstance(value, int) and value.__class__ is int:
        return Timestamp(value * SECOND)
    try:
        return Timestamp(parse_rfc3339(_text("timestamp", value)) * MILLISECOND)
    except ValueError as error:
        raise ExpressionError(str(error)) from None


def _dyn(value: Value) -> Value:
    return value


def _part(name: str, read: Callable[[datetime], int], unit: tuple[int, int] | None = None) -> Implementation:
    """Make a getter: of a timestamp in a time zone, or of a duration if `unit` tells how to cut it."""

    def get(target: Value, zone: Value = "UTC") -> Value:
        if isinstance(target, Duration) and unit is not None:
            total = abs(target) // unit[0] % unit[1]
            return total if target >= 0 else -total
        if not isinstance(target, Timestamp):
            raise no_overload(name, target)
        try:
            return read(moment(target).astimezone(_zone(_text(name, zone))))
        except OverflowError:
            raise ExpressionError("timestamp overflow") from None

    return get


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    try:
        if offset is None:
            return ZoneInfo(name)
        sign, hours, minutes = offset.groups()
        distance = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-distance if sign == "-" else distance)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ExpressionError(f"unknown time zone {name}") from None


def _text(function: str, value: Value, *others: Value) -> str:
    if isinstance(value, str) and value.__class__ is str:
        return value
    raise no_overload(function, value, *others)


def _number(function: str, value: Value) -> float:
    if value.__class__ in {int, Uint, float}:
        return cast("float", value)
    raise no_overload(function, value)


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ExpressionError("invalid UTF-8 in bytes, cannot convert to string") from None


def _seconds(nanoseconds: int) -> str:
    whole, rest = divmod(abs(nanoseconds), SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if nanoseconds < 0 else ''}{whole}{fraction}s"


def _unlimited(unit: int) -> tuple[int, int]:
    return unit, INT_MAX


_GETTERS: Final[dict[str, Implementation]] = {
    "getFullYear": _part("getFullYear", lambda at: at.year),
    "getMonth": _part("getMonth", lambda at: at.month - 1),
    "getDate": _part("getDate", lambda at: at.day),
    "getDayOfMonth": _part("getDayOfMonth", lambda at: at.day - 1),
    "getDayOfWeek": _part("getDayOfWeek", lambda at: at.isoweekday() % 7),
    "getDayOfYear": _part("getDayOfYear", lambda at: at.timetuple().tm_yday - 1),
    "getHours": _part("getHours", lambda at: at.hour, _unlimited(HOUR)),
    "getMinutes": _part("getMinutes", lambda at: at.minute, _unlimited(MINUTE)),
    "getSeconds": _part("getSeconds", lambda at: at.second, _unlimited(SECOND)),
    "getMilliseconds": _part("getMilliseconds", lambda at: at.microsecond // 1000, (MILLISECOND, 1000)),
}

FUNCTIONS: Final[dict[str, Function]] = {
    "size": Function(size, (1,), method=True),
    "lowercase": Function(_lowercase, (1,)),
    "uppercase": Function(_uppercase, (1,)),
    "b64decode": Function(_b64decode, (1,)),
    "json_parse": Function(_json_parse, (1,), cost=_json_cost),
    "date": Function(date, (1,), cost=_date_cost),
    "contains": Function(_contains, (2,), plain=False, method=True, cost=_search_cost),
    "startsWith": Function(_starts_with, (2,), plain=False, method=True),
    "endsWith": Function(_ends_with, (2,), plain=False, method=True),
    "matches": Function(_uncounted, (2,), method=True),
    "int": Function(_int, (1,)),
    "uint": Function(_uint, (1,)),
    "double": Function(_double, (1,)),
    "string": Function(_string, (1,)),
    "bool": Function(_bool, (1,)),
    "bytes": Function(_bytes, (1,)),
    "duration": Function(_duration, (1,), cost=_duration_cost),
    "timestamp": Function(_timestamp, (1,)),
    "dyn": Function(_dyn, (1,)),
    "type": Function(cast("Implementation", kind_of), (1,)),
    **{name: Function(get, (1, 2), plain=False, method=True) for name, get in _GETTERS.items()},
}

# The functions of the clock, by their number of arguments; the compiler binds them to the activation.
CLOCK: Final = {"now": 0, "now_plus": 1, "now_minus": 1}
