"""What operators do with values of any types: the loose typing of `flow-control.md` §3.3.

A missing value or a null is never an error where the reference has an answer; everything else that CEL does not define
raises ExpressionError.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final, cast

from holdfast.server.expressions.errors import ExpressionError
from holdfast.server.expressions.values import (
    MISSING,
    Duration,
    Timestamp,
    Uint,
    Value,
    as_int,
    as_uint,
    format_value,
    kind_of,
)

NUMBERS: Final = frozenset({int, Uint, float})
_ORDERED: Final = NUMBERS | {bool, str, bytes, Timestamp, Duration}
_ZEROS: Final[dict[type, Value]] = {int: 0, Uint: Uint(0), float: 0.0, str: ""}
_TIMES: Final = frozenset({(Timestamp, Duration), (Duration, Timestamp), (Duration, Duration)})


def no_overload(function: str, *arguments: Value) -> ExpressionError:
    """Answer the error for a function that is not made for its arguments' types."""
    kinds = ", ".join(map(kind_of, arguments))
    return ExpressionError(f"no such overload: {function}({kinds})")


def truthy(value: Value) -> bool:
    """Say if a value counts as true: not missing, null, false, an empty text or zero. Empty lists and maps count."""
    if value.__class__ is bool:
        return value is True
    return bool(value) or value.__class__ in {list, dict, bytes, Timestamp, Duration}


def equals(left: Value, right: Value) -> bool:
    """`==`: numbers by value, other mixed types are unequal; a missing value equals null and nothing else."""
    kind = left.__class__
    if kind is right.__class__:
        if kind is list:
            return _equal_lists(cast("list[Value]", left), cast("list[Value]", right))
        if kind is dict:
            return _equal_maps(cast("dict[object, Value]", left), cast("dict[object, Value]", right))
        return left == right and left is not MISSING
    if left is MISSING:
        return right is None
    if right is MISSING:
        return left is None
    return kind in NUMBERS and right.__class__ in NUMBERS and left == right


def differs(left: Value, right: Value) -> bool:
    """`!=`, the opposite of `==` in every case."""
    return not equals(left, right)


def contained(item: Value, container: Value) -> bool:
    """`in`: an element of a list or a key of a map; false if either is missing."""
    if item is MISSING or container is MISSING:
        return False
    if isinstance(container, list):
        return any(equals(item, element) for element in container)
    if isinstance(container, dict):
        return (
            item in container if isinstance(item, str) else any(equals(item, cast("Value", key)) for key in container)
        )
    raise no_overload("@in", item, container)


def add(left: Value, right: Value) -> Value:
    """`+`: CEL's sums; what is present if one side is missing; the joined texts of two different types."""
    kind, other = left.__class__, right.__class__
    if left is MISSING:
        return right
    if right is MISSING:
        return left
    if kind is other:
        return _sum(left, right)
    if (kind, other) in _TIMES:
        return _time(left, right, 1)
    return format_value(left) + format_value(right)


def subtract(left: Value, right: Value) -> Value:
    """`-` between numbers of one type, durations and timestamps."""
    kinds = (left.__class__, right.__class__)
    if kinds == (Timestamp, Timestamp):
        return Duration(cast("int", left) - cast("int", right))
    if (kinds in _TIMES and kinds[0] is not Duration) or kinds == (Duration, Duration):
        return _time(left, right, -1)
    return _arithmetic("_-_", operator.sub, left, right)


def multiply(left: Value, right: Value) -> Value:
    """`*` between numbers of one type."""
    return _arithmetic("_*_", operator.mul, left, right)


def divide(left: Value, right: Value) -> Value:
    """`/` between numbers of one type; integers are cut towards zero."""
    if isinstance(left, float) and isinstance(right, float):
        return _divide_doubles(left, right)
    return _arithmetic("_/_", _quotient, left, right)


def modulo(left: Value, right: Value) -> Value:
    """`%` between integers of one type; the result has the dividend's sign."""
    if left.__class__ is float:
        raise no_overload("_%_", left, right)
    return _arithmetic("_%_", _remainder, left, right)


def negate(value: Value) -> Value:
    """`-x` of an int, a double or a duration; false if it is missing."""
    if value is MISSING:
        return False
    if isinstance(value, float):
        return -value
    if isinstance(value, Duration):
        return Duration(-value)
    if isinstance(value, int) and value.__class__ is int:
        return as_int(-value)
    raise no_overload("-_", value)


def invert(value: Value) -> Value:
    """`!x` of a bool; false if it is missing."""
    if value.__class__ is bool:
        return not value
    if value is MISSING:
        return False
    raise no_overload("!_", value)


def element(container: Value, key: Value) -> Value:
    """`container[key]`; MISSING if there is nothing at that place."""
    if isinstance(container, dict):
        if key.__class__ in NUMBERS or isinstance(key, (str, bool)):
            return container.get(key, MISSING)
    elif isinstance(container, list) and key.__class__ in NUMBERS:
        position = cast("float", key)
        if 0 <= position < len(container) and position == int(position):
            return container[int(position)]
    return MISSING


def field(container: Value, name: str) -> Value:
    """`container.name`; MISSING if there is no such member."""
    return container.get(name, MISSING) if isinstance(container, dict) else MISSING


def _ordering(sign: str, compare: Callable[[float, float], bool]) -> Callable[[Value, Value], bool]:
    missing_is_less = sign.startswith("<")

    def ordered(left: Value, right: Value) -> bool:
        kind, other = left.__class__, right.__class__
        if (kind is other and kind in _ORDERED) or (kind in NUMBERS and other in NUMBERS):
            return compare(cast("float", left), cast("float", right))
        if left is MISSING:
            return missing_is_less
        if right is MISSING:
            return not missing_is_less
        if left is None and other in _ZEROS:
            return compare(cast("float", _ZEROS[other]), cast("float", right))
        if right is None and kind in _ZEROS:
            return compare(cast("float", left), cast("float", _ZEROS[kind]))
        raise no_overload(f"_{sign}_", left, right)

    return ordered


def _equal_lists(left: list[Value], right: list[Value]) -> bool:
    return len(left) == len(right) and all(map(equals, left, right))


def _equal_maps(left: dict[object, Value], right: dict[object, Value]) -> bool:
    return len(left) == len(right) and all(key in right and equals(item, right[key]) for key, item in left.items())


def _sum(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, bytes) and isinstance(right, bytes):
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    if left.__class__ is Duration:
        return _time(left, right, 1)
    return _arithmetic("_+_", operator.add, left, right)


def _time(left: Value, right: Value, sign: int) -> Value:
    total = cast("int", left) + sign * cast("int", right)
    return Timestamp(total) if Timestamp in {left.__class__, right.__class__} else Duration(as_int(total))


def _arithmetic(name: str, compute: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if left is MISSING or right is MISSING:
        return False
    kind = left.__class__
    if kind is not right.__class__ or kind not in NUMBERS:
        raise no_overload(name, left, right)
    result = compute(cast("float", left), cast("float", right))
    if kind is float:
        return result
    return as_int(result) if kind is int else as_uint(result)


def _divide_doubles(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or left != left:  # noqa: PLR0124 - NaN
        return float("nan")
    return float("inf") if (left > 0) is (str(right)[0] != "-") else float("-inf")


def _quotient(left: float, right: float) -> int:
    a, b = int(left), int(right)
    if not b:
        raise ExpressionError("division by zero")
    return abs(a) // abs(b) * (1 if (a < 0) is (b < 0) else -1)


def _remainder(left: float, right: float) -> int:
    a, b = int(left), int(right)
    if not b:
        raise ExpressionError("modulus by zero")
    return abs(a) % abs(b) * (-1 if a < 0 else 1)


OPERATORS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "==": equals,
    "!=": differs,
    "<": _ordering("<", operator.lt),
    "<=": _ordering("<=", operator.le),
    ">": _ordering(">", operator.gt),
    ">=": _ordering(">=", operator.ge),
    "in": contained,
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
}
