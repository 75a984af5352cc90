"""What operators do with values of any types: the loose typing of `flow-control.md` §3.3.

A missing value or a null is never an error where the reference has an answer; everything else that CEL does not define
raises ExpressionError.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Final, cast

from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.errors import Exhausted, ExpressionError
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
_WHOLE: Final[frozenset[type]] = frozenset({str, bytes, list, dict})
#: Shorter texts cost what a node does.
SHORT: Final = 256
#: Characters that are compared or copied, and places of a list that are copied, for one unit of work.
_COMPARED: Final = 64
_MADE: Final = 32
_LISTED: Final = 8
#: What an element costs that is compared, and one that is written; characters and bytes written for one unit.
_LOOK: Final = 2
_PART: Final = 8
_WRITTEN_TEXT, _WRITTEN_BYTES = 32, 1
_TIMES: Final = frozenset({(Timestamp, Duration), (Duration, Timestamp), (Duration, Duration)})


def no_overload(function: str, *arguments: Value) -> ExpressionError:
    """Return the error for a function that is not made for its arguments' types."""
    kinds = ", ".join(map(kind_of, arguments))
    return ExpressionError(f"no such overload: {function}({kinds})")


def truthy(value: Value) -> bool:
    """Say if a value counts as true: not missing, null, false, an empty text or zero. Empty lists and maps count."""
    if value.__class__ is bool:
        return value is True
    return bool(value) or value.__class__ in {list, dict, bytes, Timestamp, Duration}


def equals(left: Value, right: Value, scope: Activation) -> bool:
    """`==`: numbers by value, other mixed types are unequal; a missing value equals null and nothing else."""
    kind = left.__class__
    if kind is right.__class__:
        if kind is list:
            return _equal_lists(cast("list[Value]", left), cast("list[Value]", right), scope)
        if kind is dict:
            return _equal_maps(cast("dict[object, Value]", left), cast("dict[object, Value]", right), scope)
        if kind is str or kind is bytes:
            _pay_text(cast("str", left), scope)
        return left == right and left is not MISSING
    if left is MISSING:
        return right is None
    if right is MISSING:
        return left is None
    return kind in NUMBERS and right.__class__ in NUMBERS and left == right


def contained(item: Value, container: Value, scope: Activation) -> bool:
    """`in`: an element of a list or a key of a map; false if either is missing."""
    if item is MISSING or container is MISSING:
        return False
    if isinstance(container, list):
        return _any_equal(item, container, scope)
    if isinstance(container, dict):
        if isinstance(item, str):
            _pay_text(item, scope)
            return item in container
        return _any_equal(item, cast("Iterable[Value]", container), scope)
    raise no_overload("@in", item, container)


def add(left: Value, right: Value, scope: Activation) -> Value:
    """`+`: CEL's sums; what is present if one side is missing; the joined texts of two different types."""
    kind, other = left.__class__, right.__class__
    if left is MISSING:
        return right
    if right is MISSING:
        return left
    if kind is other:
        return _sum(left, right, scope)
    if (kind, other) in _TIMES:
        return _time(left, right, 1)
    return _joined(written(left, scope), written(right, scope), scope)


def written(value: Value, scope: Activation) -> str:
    """Write a value as Go's default formatting does, after its size was paid for."""
    if value.__class__ in _WHOLE:
        pay_value(value, scope)
    return format_value(value)


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


def _ordering(sign: str, compare: Callable[[float, float], bool]) -> Callable[[Value, Value, Activation], bool]:
    missing_is_less = sign.startswith("<")

    def ordered(left: Value, right: Value, scope: Activation) -> bool:
        kind, other = left.__class__, right.__class__
        if kind is str or kind is bytes:
            _pay_text(cast("str", left), scope)
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


def _pay_text(text: str | bytes, scope: Activation) -> None:
    """Pay for a text that is compared or hashed; a short one is paid for with its node."""
    if len(text) >= SHORT:
        scope.pay(len(text) // _COMPARED)


def pay_value(value: Value, scope: Activation) -> None:
    """Pay for writing a value out, part by part: one that is nested into itself may be endless as a text."""
    if isinstance(value, (str, bytes)):
        scope.pay(_PART + len(value) // (_WRITTEN_BYTES if isinstance(value, bytes) else _WRITTEN_TEXT))
    elif isinstance(value, list):
        scope.pay(_PART)
        for item in value:
            pay_value(item, scope)
    elif isinstance(value, dict):
        scope.pay(_PART)
        for key, item in value.items():
            pay_value(cast("Value", key), scope)
            pay_value(item, scope)
    else:
        scope.pay(_PART)


def _any_equal(item: Value, elements: Iterable[Value], scope: Activation) -> bool:
    for element in elements:
        scope.left -= _LOOK
        if equals(item, element, scope):
            break
        if scope.left < 0:
            raise Exhausted
    else:
        return False
    return True


def _equal_lists(left: list[Value], right: list[Value], scope: Activation) -> bool:
    if len(left) != len(right):
        return False
    for item, other in zip(left, right, strict=True):
        scope.pay(_LOOK)
        if not equals(item, other, scope):
            return False
    return True


def _equal_maps(left: dict[object, Value], right: dict[object, Value], scope: Activation) -> bool:
    if len(left) != len(right):
        return False
    for key, item in left.items():
        scope.pay(_LOOK)
        if key not in right or not equals(item, right[key], scope):
            return False
    return True


def _joined(left: str, right: str, scope: Activation) -> str:
    if len(left) + len(right) >= SHORT:
        scope.pay((len(left) + len(right)) // _MADE)
    return left + right


def _sum(left: Value, right: Value, scope: Activation) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return _joined(left, right, scope)
    if isinstance(left, bytes) and isinstance(right, bytes):
        scope.pay((len(left) + len(right)) // _MADE)
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        scope.pay((len(left) + len(right)) // _LISTED)
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


#: Operators whose work depends on their values: they take it off the budget.
COSTLY: Final[dict[str, Callable[[Value, Value, Activation], Value]]] = {
    "<": _ordering("<", operator.lt),
    "<=": _ordering("<=", operator.le),
    ">": _ordering(">", operator.gt),
    ">=": _ordering(">=", operator.ge),
    "in": contained,
}
PLAIN: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
}
