"""The macros `all`, `exists`, `exists_one`, `map` and `filter`: a body evaluated for each element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, cast

from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.cost import weight
from holdfast.server.expressions.dialect import no_overload, truthy
from holdfast.server.expressions.errors import Exhausted, ExpressionError
from holdfast.server.expressions.syntax import Comprehension, Fold, Node
from holdfast.server.expressions.values import MISSING, Value

Evaluate: TypeAlias = Callable[[Activation], Value]
Compile: TypeAlias = Callable[[Node, frozenset[str]], Evaluate]

#: What an error costs that is passed over, in units of work.
FAILED: Final = 30
#: What a macro costs for each element, besides the work of its body.
_TURN: Final = 2


def present(value: Value) -> Value:
    """Return what an element of a built list or map is: null in the place of a missing value."""
    return None if value is MISSING else value


def comprehension(node: Comprehension, bound: frozenset[str], closure: Compile) -> Evaluate:
    """Turn a macro into the function that computes it; `closure` compiles its parts, with the bound names."""
    target = closure(node.target, bound)
    inner = bound | {node.variable}
    body = closure(node.body, inner)
    condition = None if node.condition is None else closure(node.condition, inner)
    nothing: Value = MISSING if node.fold in {"map", "filter"} else False
    fold, name = _FOLDS[node.fold], node.fold
    turn = _TURN + weight(node.body) + (0 if node.condition is None else weight(node.condition))

    def run(scope: Activation) -> Value:
        items = target(scope)
        if items is MISSING:
            return nothing
        if not isinstance(items, (list, dict)):
            raise no_overload(name, items)
        outer = scope.variables
        try:
            return fold(_bind(scope, node.variable, items, turn), scope, body, condition)
        finally:
            scope.variables = outer

    return run


def _bind(scope: Activation, variable: str, items: Iterable[object], cost: int) -> Iterator[Value]:
    """Walk over the items, each being the variable's value while it is looked at."""
    inner = scope.variables = dict(scope.variables)
    for item in items:
        scope.left -= cost
        if scope.left < 0:  # a sender's list must not hold up the server
            raise Exhausted
        value = cast("Value", item)
        inner[variable] = value
        yield value


def _fold_all(items: Iterator[Value], scope: Activation, body: Evaluate, _: Evaluate | None) -> Value:
    failure: ExpressionError | None = None
    for _item in items:
        try:
            if not truthy(body(scope)):
                return False
        except ExpressionError as error:
            failure = failure or error
            scope.pay(FAILED)
    if failure is not None:
        raise failure
    return True


def _fold_exists(items: Iterator[Value], scope: Activation, body: Evaluate, _: Evaluate | None) -> Value:
    failure: ExpressionError | None = None
    for _item in items:
        try:
            if truthy(body(scope)):
                return True
        except ExpressionError as error:
            failure = failure or error
            scope.pay(FAILED)
    if failure is not None:
        raise failure
    return False


def _fold_exists_one(items: Iterator[Value], scope: Activation, body: Evaluate, _: Evaluate | None) -> Value:
    return sum(truthy(body(scope)) for _item in items) == 1


def _fold_map(items: Iterator[Value], scope: Activation, body: Evaluate, condition: Evaluate | None) -> Value:
    return [present(body(scope)) for _item in items if condition is None or truthy(condition(scope))]


def _fold_filter(items: Iterator[Value], scope: Activation, body: Evaluate, _: Evaluate | None) -> Value:
    return [item for item in items if truthy(body(scope))]


_FOLDS: Final[dict[Fold, Callable[[Iterator[Value], Activation, Evaluate, Evaluate | None], Value]]] = {
    "all": _fold_all,
    "exists": _fold_exists,
    "exists_one": _fold_exists_one,
    "map": _fold_map,
    "filter": _fold_filter,
}
