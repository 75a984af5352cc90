"""From a tree to Python closures: compiled once, then a typical predicate costs one to two microseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from holdfast.protocol.durations import format_go_duration
from holdfast.protocol.limits import EXPRESSION_WORK
from holdfast.server.expressions import dialect
from holdfast.server.expressions.activation import Activation, below
from holdfast.server.expressions.cost import weight
from holdfast.server.expressions.errors import BudgetError, Exhausted, ExpressionError, too_deep
from holdfast.server.expressions.folds import FAILED, Evaluate, comprehension, present
from holdfast.server.expressions.functions import CLOCK, FUNCTIONS, Function, matches, size, span
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
)

_CACHE: Final = 1024
_SPECIAL: Final = frozenset({Timestamp, Duration, Uint, Kind})
_SHORT: Final = dialect.SHORT
_UNARY: Final = {"!": dialect.invert, "-": dialect.negate}


class Expression:
    """A compiled expression; stateless, so that one serves all events.

    Attributes:
        text: what it was compiled from.

    """

    __slots__ = ("_evaluate", "_work", "text")

    def __init__(self, text: str, evaluate: Evaluate, fixed: int = 0) -> None:
        self.text = text
        self._evaluate = evaluate
        self._work = EXPRESSION_WORK - fixed

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, activation: Activation) -> Value:
        """Compute the value: JSON-like (`int` is CEL's int, JSON's numbers are `float`), or MISSING.

        Timestamps and durations come as texts. Raises ExpressionError where the dialect has no answer, and BudgetError
        for values that are too large for what the expression does with them.
        """
        activation.left = self._work
        try:
            value = self._evaluate(activation)
        except RecursionError:
            raise too_deep() from None
        except Exhausted:
            raise self._exceeded(activation) from None
        return _plain(value) if value.__class__ in _SPECIAL else value

    def is_true(self, activation: Activation) -> bool:
        """Return whether the value is `true`; anything else is a no: false, other types, missing, errors (§3.3)."""
        activation.left = self._work
        try:
            return self._evaluate(activation) is True
        except (ExpressionError, RecursionError):
            return False
        except Exhausted:
            self._exceeded(activation)
            return False

    def key(self, activation: Activation) -> str:
        """Compute the value as a key's text: Go's default formatting (`flow-control.md` §0.3), missing is `false`.

        Raises ExpressionError where the dialect has no answer, and BudgetError as `evaluate` does.
        """
        activation.left = self._work
        try:
            value = self._evaluate(activation)
            return "false" if value is MISSING else dialect.written(value, activation)
        except RecursionError:
            raise too_deep() from None
        except Exhausted:
            raise self._exceeded(activation) from None

    def _exceeded(self, activation: Activation) -> BudgetError:
        activation.exceeded(self.text)
        return BudgetError()


@lru_cache(_CACHE)
def compile(text: str) -> Expression:
    """Compile a text, or answer the one compiled before.

    Raises ExpressionError with the reference's text, `error compiling expression: ERROR: <input>:1:5: …`.
    """
    try:
        node = parse(text)
        return Expression(text, closure(node), weight(node))
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
            return _has(node, bound)
        case Select():
            return _select(node, bound)
        case Index():
            return _event_path(node, bound) or _index(part(node.operand), part(node.key))
        case Call():
            return _call(node, list(map(part, (*_target(node), *node.arguments))))
        case Unary():
            return _unary(_UNARY[node.operator], part(node.operand))
        case Binary():
            return _binary(node.operator, part(node.left), part(node.right))
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
    """Return the function that a call means, None if there is none for this form and number of arguments."""
    function = FUNCTIONS.get(node.function)
    if function is None or not (function.plain if node.target is None else function.method):
        return None
    return function if len(node.arguments) + (node.target is not None) in function.arities else None


def is_clock(node: Call) -> bool:
    """Return whether a call asks for the time."""
    return node.target is None and CLOCK.get(node.function) == len(node.arguments)


def _target(node: Call) -> tuple[Node, ...]:
    return () if node.target is None else (node.target,)


def _constant(value: Value) -> Evaluate:
    return lambda _: value


def _variable(name: str, bound: frozenset[str]) -> Evaluate:
    if name in bound:
        return lambda scope: scope.variables[name]
    if name == "event":
        return _below_event(())
    if name == "async":
        return _below_async(())
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
    return _event_path(node, bound) or _path(closure(root, bound), tuple(names))


def _event_path(node: Node, bound: frozenset[str]) -> Evaluate | None:
    """Compile names below an event, by which no more of a large one is decoded; None if the node is anything else."""
    names: list[str] = []
    while not isinstance(node, Name):
        if isinstance(node, Select) and not node.test:
            names.append(node.field)
            node = node.operand
        elif isinstance(node, Index) and isinstance(node.key, Literal) and isinstance(node.key.value, str):
            names.append(node.key.value)
            node = node.operand
        else:
            return None
    if node.name in bound or node.name not in _EVENTS:
        return None
    return _EVENTS[node.name](tuple(reversed(names)))


def _below_event(names: tuple[str, ...]) -> Evaluate:
    def run(scope: Activation) -> Value:
        value: Value = scope.event_whole
        if value is None:
            return scope.look_up_event(names)
        for name in names:
            if not isinstance(value, dict):
                return MISSING
            value = value.get(name, MISSING)
        return value

    return run


def _below_async(names: tuple[str, ...]) -> Evaluate:
    def run(scope: Activation) -> Value:
        value: Value = scope.async_whole
        if value is None:
            return scope.look_up_async(names)
        for name in names:
            if not isinstance(value, dict):
                return MISSING
            value = value.get(name, MISSING)
        return value

    return run


_EVENTS: Final = {"event": _below_event, "async": _below_async}


def _path(root: Evaluate, names: tuple[str, ...]) -> Evaluate:
    return lambda scope: below(root(scope), names)


def _index(operand: Evaluate, key: Evaluate) -> Evaluate:
    return lambda scope: dialect.element(operand(scope), key(scope))


def _has(node: Select, bound: frozenset[str]) -> Evaluate:
    value = _event_path(Select(node.at, node.operand, node.field), bound)
    if value is None:
        value = _path(closure(node.operand, bound), (node.field,))
    found = value
    return lambda scope: found(scope) is not MISSING


def _unary(compute: Callable[[Value], Value], operand: Evaluate) -> Evaluate:
    return lambda scope: compute(operand(scope))


def _binary(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    if operator == "==":
        return _equality(left, right, same=True)
    if operator == "!=":
        return _equality(left, right, same=False)
    if operator == "+":
        return _sum(left, right)
    costly = dialect.COSTLY.get(operator)
    if costly is not None:
        return lambda scope: costly(left(scope), right(scope), scope)
    plain = dialect.PLAIN[operator]
    return lambda scope: plain(left(scope), right(scope))


def _sum(left: Evaluate, right: Evaluate) -> Evaluate:
    def run(scope: Activation) -> Value:
        first, second = left(scope), right(scope)
        if type(first) is str and type(second) is str and len(first) + len(second) < _SHORT:
            return first + second
        return dialect.add(first, second, scope)

    return run


def _equality(left: Evaluate, right: Evaluate, *, same: bool) -> Evaluate:
    """Compile `==` and `!=`: short texts, by far the most common, take the short way."""

    def run(scope: Activation) -> Value:
        first, second = left(scope), right(scope)
        if type(first) is str and type(second) is str and len(first) < _SHORT:
            return (first == second) is same
        return dialect.equals(first, second, scope) is same

    return run


def _all(operands: Sequence[Evaluate]) -> Evaluate:
    *first, last = operands

    def run(scope: Activation) -> Value:
        failure: ExpressionError | None = None
        for operand in first:
            try:
                value = operand(scope)
            except ExpressionError as error:
                failure = failure or error
                scope.pay(FAILED)
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
                scope.pay(FAILED)
                continue
            if value is True or dialect.truthy(value):
                return value
        return last(scope)

    return run


def _quietly(operand: Evaluate, scope: Activation) -> Value:
    try:
        return operand(scope)
    except ExpressionError:
        scope.pay(FAILED)
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
    if node.function == "matches":
        return _matches(*arguments)
    if len(arguments) == 1:
        return _call_one(function, arguments[0])
    return _call_more(function, arguments)


def _call_one(function: Function, argument: Evaluate) -> Evaluate:
    run = function.run

    def call(scope: Activation) -> Value:
        value = argument(scope)
        if isinstance(value, (str, bytes)) and len(value) > _SHORT:
            scope.pay(function.cost(value))
        return run(value) if value is not MISSING or run is size else False

    return call


def _call_more(function: Function, arguments: Sequence[Evaluate]) -> Evaluate:
    run = function.run

    def call(scope: Activation) -> Value:
        values = [argument(scope) for argument in arguments]
        for value in values:
            if value is MISSING:
                return False
            if isinstance(value, (str, bytes)) and len(value) > _SHORT:
                scope.pay(function.cost(*values))
        return run(*values)

    return call


def _matches(target: Evaluate, expression: Evaluate) -> Evaluate:
    """Compile `matches`, whose work depends on the text and the pattern: the automaton counts it."""

    def call(scope: Activation) -> Value:
        text, wanted = target(scope), expression(scope)
        return False if text is MISSING or wanted is MISSING else matches(text, wanted, scope.pay)

    return call


def _clock(name: str, arguments: Sequence[Evaluate]) -> Evaluate:
    if not arguments:
        return lambda scope: scope.now
    (argument,) = arguments
    sign = 1 if name == "now_plus" else -1

    def call(scope: Activation) -> Value:
        value = argument(scope)
        return False if value is MISSING else Timestamp(scope.now + sign * span(value, scope.pay))

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
