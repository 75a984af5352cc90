"""From a tree to Python closures: compiled once, then a typical predicate costs one to two microseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from holdfast.protocol.durations import format_go_duration
from holdfast.server.expressions import dialect
from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.errors import ExpressionError, too_deep
from holdfast.server.expressions.folds import Evaluate, comprehension, present
from holdfast.server.expressions.functions import CLOCK, FUNCTIONS, Function, size, span
from holdfast.server.expressions.parser import parse
from holdfast.server.expressions.syntax import (
    Binary,
    Call,
    Comprehension,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
)
from holdfast.server.expressions.values import (
    KIND_NAMES,
    MISSING,
    Duration,
    Kind,
    Timestamp,
    Uint,
    Value,
    format_timestamp,
    format_value,
)

_CACHE: Final = 1024
_SPECIAL: Final = frozenset({Timestamp, Duration, Uint, Kind})
_UNARY: Final = {"!": dialect.invert, "-": dialect.negate}


class Expression:
    """A compiled expression; stateless, so that one serves all events.

    Attributes:
        text: what it was compiled from.

    """

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str, evaluate: Evaluate) -> None:
        self.text = text
        self._evaluate = evaluate

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, activation: Activation) -> Value:
        """Compute the value: JSON-like (`int` is CEL's int, JSON's numbers are `float`), or MISSING.

        Timestamps and durations come as texts. Raises ExpressionError where the dialect has no answer.
        """
        try:
            value = self._evaluate(activation)
        except RecursionError:
            raise too_deep() from None
        return _plain(value) if value.__class__ in _SPECIAL else value

    def is_true(self, activation: Activation) -> bool:
        """Say if the value is `true`; anything else is a no: false, other types, missing, errors (§3.3)."""
        try:
            return self._evaluate(activation) is True
        except (ExpressionError, RecursionError):
            return False

    def key(self, activation: Activation) -> str:
        """Compute the value as a key's text: Go's default formatting (`flow-control.md` §0.3), missing is `false`.

        Raises ExpressionError where the dialect has no answer.
        """
        try:
            value = self._evaluate(activation)
            return "false" if value is MISSING else format_value(value)
        except RecursionError:
            raise too_deep() from None


@lru_cache(_CACHE)
def compile(text: str) -> Expression:
    """Compile a text, or answer the one compiled before.

    Raises ExpressionError with the reference's text, `error compiling expression: ERROR: <input>:1:5: …`.
    """
    try:
        return Expression(text, closure(parse(text)))
    except RecursionError:
        raise too_deep() from None


def closure(node: Node, bound: frozenset[str] = frozenset()) -> Evaluate:  # noqa: C901 - one case per kind of node
    """Turn a tree into the function that computes it; `bound` are the names that macros around it have bound."""

    def part(node: Node) -> Evaluate:
        return closure(node, bound)

    match node:
        case Literal():
            return _constant(node.value)
        case Name():
            return _variable(node.name, bound)
        case Select(test=True):
            return _has(part(node.operand), node.field)
        case Select():
            return _select(node, bound)
        case Index():
            return _index(part(node.operand), part(node.key))
        case Call():
            return _call(node, list(map(part, (*_target(node), *node.arguments))))
        case Unary():
            return _unary(_UNARY[node.operator], part(node.operand))
        case Binary():
            return _binary(dialect.OPERATORS[node.operator], part(node.left), part(node.right))
        case Logic():
            return (_all if node.operator == "&&" else _any)(list(map(part, node.operands)))
        case Ternary():
            return _ternary(part(node.condition), part(node.then), part(node.otherwise))
        case ListOf():
            return _list(list(map(part, node.items)))
        case MapOf():
            return _map([(part(key), part(value)) for key, value in node.pairs])
        case Comprehension():
            return comprehension(node, bound, closure)
        case _:
            raise AssertionError(node)


def find(node: Call) -> Function | None:
    """Answer the function that a call means, None if there is none for this form and number of arguments."""
    function = FUNCTIONS.get(node.function)
    if function is None or not (function.plain if node.target is None else function.method):
        return None
    return function if len(node.arguments) + (node.target is not None) in function.arities else None


def is_clock(node: Call) -> bool:
    """Say if a call asks for the time."""
    return node.target is None and CLOCK.get(node.function) == len(node.arguments)


def _target(node: Call) -> tuple[Node, ...]:
    return () if node.target is None else (node.target,)


def _constant(value: Value) -> Evaluate:
    return lambda _: value


def _variable(name: str, bound: frozenset[str]) -> Evaluate:
    if name in bound:
        return lambda scope: scope.variables[name]
    if name == "event":
        return lambda scope: scope.event
    if name == "async":
        return lambda scope: scope.async_event
    return _constant(KIND_NAMES.get(name, MISSING))


def _select(node: Select, bound: frozenset[str]) -> Evaluate:
    names = [node.field]
    root = node.operand
    while isinstance(root, Select) and not root.test:
        names.append(root.field)
        root = root.operand
    names.reverse()
    if isinstance(root, Name) and root.name not in bound:
        kind = KIND_NAMES.get(".".join((root.name, *names)))
        if kind is not None:
            return _constant(kind)
    return _path(closure(root, bound), tuple(names))


def _path(root: Evaluate, names: tuple[str, ...]) -> Evaluate:
    def run(scope: Activation) -> Value:
        value = root(scope)
        for name in names:
            if not isinstance(value, dict):
                return MISSING
            value = value.get(name, MISSING)
        return value

    return run


def _index(operand: Evaluate, key: Evaluate) -> Evaluate:
    return lambda scope: dialect.element(operand(scope), key(scope))


def _has(operand: Evaluate, name: str) -> Evaluate:
    return lambda scope: dialect.field(operand(scope), name) is not MISSING


def _unary(compute: Callable[[Value], Value], operand: Evaluate) -> Evaluate:
    return lambda scope: compute(operand(scope))


def _binary(compute: Callable[[Value, Value], Value], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: compute(left(scope), right(scope))


def _all(operands: Sequence[Evaluate]) -> Evaluate:
    *first, last = operands

    def run(scope: Activation) -> Value:
        failure: ExpressionError | None = None
        for operand in first:
            try:
                value = operand(scope)
            except ExpressionError as error:
                failure = failure or error
                continue
            if value is not True and not dialect.truthy(value) and (failure is None or value is False):
                return value
        if failure is None:
            return last(scope)
        # An error gives way to a plain false only.
        if _quietly(last, scope) is False:
            return False
        raise failure

    return run


def _any(operands: Sequence[Evaluate]) -> Evaluate:
    *first, last = operands

    def run(scope: Activation) -> Value:
        for operand in first:
            try:
                value = operand(scope)
            except ExpressionError:
                continue
            if value is True or dialect.truthy(value):
                return value
        return last(scope)

    return run


def _quietly(operand: Evaluate, scope: Activation) -> Value:
    try:
        return operand(scope)
    except ExpressionError:
        return MISSING


def _ternary(condition: Evaluate, then: Evaluate, otherwise: Evaluate) -> Evaluate:
    return lambda scope: then(scope) if dialect.truthy(_quietly(condition, scope)) else otherwise(scope)


def _list(items: Sequence[Evaluate]) -> Evaluate:
    return lambda scope: [present(item(scope)) for item in items]


def _map(pairs: Sequence[tuple[Evaluate, Evaluate]]) -> Evaluate:
    def run(scope: Activation) -> Value:
        built: dict[object, Value] = {}
        for key, item in pairs:
            name = key(scope)
            if not isinstance(name, (str, int, float)):
                raise ExpressionError("unsupported key type")
            built[name] = present(item(scope))
        return built

    return run


def _call(node: Call, arguments: Sequence[Evaluate]) -> Evaluate:
    if is_clock(node):
        return _clock(node.function, arguments)
    function = find(node)
    if function is None:
        return _unknown(node.function)
    if len(arguments) == 1:
        return _call_one(function.run, arguments[0])
    return _call_more(function.run, arguments)


def _call_one(run: Callable[..., Value], argument: Evaluate) -> Evaluate:
    def call(scope: Activation) -> Value:
        value = argument(scope)
        return run(value) if value is not MISSING or run is size else False

    return call


def _call_more(run: Callable[..., Value], arguments: Sequence[Evaluate]) -> Evaluate:
    def call(scope: Activation) -> Value:
        values = [argument(scope) for argument in arguments]
        return False if MISSING in values else run(*values)

    return call


def _clock(name: str, arguments: Sequence[Evaluate]) -> Evaluate:
    if not arguments:
        return lambda scope: scope.now
    (argument,) = arguments
    sign = 1 if name == "now_plus" else -1

    def call(scope: Activation) -> Value:
        value = argument(scope)
        return False if value is MISSING else Timestamp(scope.now + sign * span(value))

    return call


def _unknown(name: str) -> Evaluate:
    def call(_: Activation) -> Value:
        raise ExpressionError(f"no such overload: {name}")

    return call


def _plain(value: Value) -> Value:
    """Turn CEL's own scalars into JSON-like values."""
    if isinstance(value, Timestamp):
        return format_timestamp(value)
    if isinstance(value, Duration):
        return format_go_duration(value)
    return int(value) if isinstance(value, Uint) else str(value)
