"""The values expressions compute with: JSON's, CEL's own scalars, and the mark of a missing path.

JSON numbers are doubles (`float`); a Python `int` is CEL's int. The other scalars are told apart by their exact class.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from holdfast.protocol.durations import SECOND, format_go_duration
from holdfast.server.expressions.errors import ExpressionError


class Missing:
    """The type of `MISSING`, a path that leads nowhere; neither null nor an error (`flow-control.md` §3.3)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


class Uint(int):
    """CEL's unsigned integer."""

    __slots__ = ()


class Timestamp(int):
    """Nanoseconds since the epoch."""

    __slots__ = ()


class Duration(int):
    """Nanoseconds."""

    __slots__ = ()


class Kind(str):
    """The name of a CEL type, as `type(x)` answers it."""

    __slots__ = ()


Value: TypeAlias = "bool | int | float | str | bytes | Missing | list[Value] | dict[object, Value] | None"

MISSING: Final = Missing()

KINDS: Final[dict[type, Kind]] = {
    type(None): Kind("null_type"),
    bool: Kind("bool"),
    int: Kind("int"),
    Uint: Kind("uint"),
    float: Kind("double"),
    str: Kind("string"),
    bytes: Kind("bytes"),
    list: Kind("list"),
    dict: Kind("map"),
    Timestamp: Kind("google.protobuf.Timestamp"),
    Duration: Kind("google.protobuf.Duration"),
    Kind: Kind("type"),
}
KIND_NAMES: Final[dict[str, Kind]] = {str(kind): kind for kind in KINDS.values()}

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1
# Go writes powers of ten outside of these with an exponent.
_PLAIN_POWERS: Final = range(-4, 6)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def kind_of(value: Value) -> Kind:
    """Name the CEL type of a value."""
    return KINDS.get(value.__class__, Kind("unknown"))


def as_int(value: float) -> int:
    """Keep an integer within 64 bits; ExpressionError outside."""
    if INT_MIN <= value <= INT_MAX:
        return int(value)
    raise ExpressionError("integer overflow")


def as_uint(value: float) -> Uint:
    """Keep an unsigned integer within 64 bits; ExpressionError outside."""
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise ExpressionError("unsigned integer overflow")


def moment(timestamp: int) -> datetime:
    """Turn nanoseconds since the epoch into a UTC date, finer than microseconds cut off."""
    try:
        return _EPOCH + timedelta(microseconds=timestamp // 1000)
    except OverflowError:
        raise ExpressionError("timestamp overflow") from None


def format_value(value: Value) -> str:
    """Write a value as Go's default formatting does: `true`, `1e+06`, `[a b]`, `map[k:v]` (`flow-control.md` §0.3)."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, list):
        return "[" + " ".join(map(format_value, value)) + "]"
    if isinstance(value, dict):
        pairs = sorted((format_value(_key(key)), format_value(item)) for key, item in value.items())
        return "map[" + " ".join(f"{key}:{item}" for key, item in pairs) + "]"
    if isinstance(value, bytes):
        return "[" + " ".join(map(str, value)) + "]"
    return _format_scalar(value)


def format_double(value: float) -> str:
    """Write a double in Go's shortest form: `1`, `9.1`, `1e+06`, `+Inf`."""
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    raw = whole + fraction
    digits = raw.lstrip("0")
    power = int(exponent or 0) + len(whole) - 1 - (len(raw) - len(digits))
    return sign + _place(digits.rstrip("0"), power)


def format_timestamp(value: int) -> str:
    """Write nanoseconds since the epoch as RFC 3339 in UTC, with as many digits as needed."""
    rest = f".{value % SECOND:09d}".rstrip("0") if value % SECOND else ""
    return f"{moment(value):%Y-%m-%dT%H:%M:%S}{rest}Z".rjust(20 + len(rest), "0")


def _place(digits: str, power: int) -> str:
    if not digits:
        return "0"
    if power not in _PLAIN_POWERS:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    whole = digits[: power + 1].ljust(power + 1, "0")
    return f"{whole}.{digits[power + 1 :]}" if len(digits) > power + 1 else whole


def _format_scalar(value: Value) -> str:
    if isinstance(value, Timestamp):
        return format_timestamp(value).replace("T", " ").replace("Z", " +0000 UTC")
    if isinstance(value, Duration):
        return format_go_duration(value)
    return str(int(value)) if isinstance(value, int) else "false"


def _key(key: object) -> Value:
    return key if isinstance(key, (str, bool, int, float)) else None
