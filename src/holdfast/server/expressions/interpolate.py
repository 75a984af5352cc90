"""Waits and cancellations: filling a run's event into an expression, so that only `async` remains to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from holdfast.protocol.durations import format_go_duration
from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.compiler import closure, find, is_clock
from holdfast.server.expressions.dialect import pay_value, truthy
from holdfast.server.expressions.errors import BudgetError, Exhausted, ExpressionError, too_deep
from holdfast.server.expressions.folds import Evaluate
from holdfast.server.expressions.parser import MAX_LENGTH, parse
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
    children,
)
from holdfast.server.expressions.unparse import COMPARISONS, unparse
from holdfast.server.expressions.values import KIND_NAMES, MISSING, Duration, Kind, Timestamp, format_timestamp

Change: TypeAlias = Callable[[Node], Node]

_CACHE: Final = 512
_KNOWN: Final = frozenset({"event", *KIND_NAMES})


class Interpolated(msgspec.Struct, frozen=True):
    """What is left of an expression.

    Attributes:
        text: an expression that looks at `async` only.
        never: it has folded to `false`, so that no event can make it true.

    """

    text: str
    never: bool


def interpolate(text: str, event: bytes) -> Interpolated:
    """Evaluate what depends on `event` only, a run's first event as JSON text (`flow-control.md` §3.6).

    Constant parts fold away; what is missing in the event becomes `null`. Raises ExpressionError if the text does not
    compile, or gets too long by the event's values, and BudgetError if those are too large for what it does with them.
    """
    try:
        plan = _plan(text)
        if plan is None:
            return Interpolated(text, never=_is_false(parse(text)))
        folded = _fold(plan, Activation(event))
        filled = unparse(folded)
    except RecursionError:
        raise too_deep() from None
    except Exhausted:
        raise BudgetError from None
    if len(filled) > MAX_LENGTH:
        raise ExpressionError(f"with the event's values it has more than {MAX_LENGTH:,} characters")
    return Interpolated(filled, never=_is_false(folded))


class _Known(Node, frozen=True):
    """A part whose value follows from the run's event."""

    part: Node
    run: Evaluate


@lru_cache(_CACHE)
def _plan(text: str) -> Node | None:
    """Read a text and compile the parts that are known; None if it does not look at `event` at all."""
    node = parse(text)
    return _mark(node, _KNOWN) if _mentions_event(node, frozenset()) else None


def _is_false(node: Node) -> bool:
    return isinstance(node, Literal) and node.value is False


def _mentions_event(node: Node, bound: frozenset[str]) -> bool:
    if isinstance(node, Name):
        return node.name == "event" and "event" not in bound
    if not isinstance(node, Comprehension):
        return any(_mentions_event(child, bound) for child in children(node))
    target, *inner = children(node)
    return _mentions_event(target, bound) or any(_mentions_event(child, bound | {node.variable}) for child in inner)


def _mark(node: Node, known: frozenset[str]) -> Node:
    """Replace the largest parts that are known by compiled ones."""
    if isinstance(node, Literal):
        return node
    return _Known(node.at, node, closure(node)) if _is_known(node, known) else _mark_parts(node, known)


def _mark_parts(node: Node, known: frozenset[str]) -> Node:
    inner = known - {node.variable} if isinstance(node, Comprehension) else known
    return _rebuild(node, lambda part: _mark(part, known), lambda part: _mark(part, inner))


def _fold(node: Node, scope: Activation) -> Node:
    """Replace everything that is known by its value."""
    match node:
        case Literal():
            return node
        case _Known():
            return _value(node, scope) or _fold(_mark_parts(node.part, _KNOWN), scope)
        case Logic():
            return _fold_logic(node, [_fold(operand, scope) for operand in node.operands])
        case Ternary():
            return _fold_ternary(node, scope)
        case _:

            def fold(part: Node) -> Node:
                return _fold(part, scope)

            return _rebuild(node, fold, fold)


def _fold_ternary(node: Ternary, scope: Activation) -> Node:
    condition = _fold(node.condition, scope)
    if isinstance(condition, Literal):
        return _fold(node.then if truthy(condition.value) else node.otherwise, scope)
    return Ternary(node.at, condition, _fold(node.then, scope), _fold(node.otherwise, scope))


def _is_known(node: Node, known: frozenset[str]) -> bool:
    """Say if a part depends on the known names only: not on `async`, the clock, or a variable of a macro around it."""
    match node:
        case Name():
            return node.name in known
        case Call() if is_clock(node) or find(node) is None:
            return False
        case Comprehension():
            target, *inner = children(node)
            return _is_known(target, known) and all(_is_known(child, known | {node.variable}) for child in inner)
        case _:
            return all(_is_known(child, known) for child in children(node))


def _value(node: _Known, scope: Activation) -> Node | None:
    """Evaluate a known part; None if that is an error, which then stays one for whoever evaluates the rest."""
    try:
        value = node.run(scope)
        pay_value(value, scope)
    except ExpressionError:
        return None
    if isinstance(value, Timestamp):
        return Call(node.at, "timestamp", (Literal(node.at, format_timestamp(value)),))
    if isinstance(value, Duration):
        return Call(node.at, "duration", (Literal(node.at, format_go_duration(value)),))
    return None if isinstance(value, Kind) else Literal(node.at, None if value is MISSING else value)


def _rebuild(node: Node, change: Change, inner: Change) -> Node:  # noqa: C901 - one case per kind of node
    """Return a node with its parts changed; `inner` is for the parts that see a macro's variable."""
    match node:
        case Select():
            return Select(node.at, change(node.operand), node.field, node.test)
        case Binary():
            return Binary(node.at, node.operator, change(node.left), change(node.right))
        case Logic():
            return Logic(node.at, node.operator, tuple(map(change, node.operands)))
        case Index():
            return Index(node.at, change(node.operand), change(node.key))
        case Call():
            target = None if node.target is None else change(node.target)
            return Call(node.at, node.function, tuple(map(change, node.arguments)), target)
        case Unary():
            return Unary(node.at, node.operator, change(node.operand))
        case Ternary():
            return Ternary(node.at, change(node.condition), change(node.then), change(node.otherwise))
        case ListOf():
            return ListOf(node.at, tuple(map(change, node.items)))
        case MapOf():
            return MapOf(node.at, tuple((change(key), change(value)) for key, value in node.pairs))
        case Comprehension():
            condition = None if node.condition is None else inner(node.condition)
            return Comprehension(node.at, node.fold, change(node.target), node.variable, inner(node.body), condition)
        case _:
            return node


def _fold_logic(node: Logic, operands: list[Node]) -> Node:
    """Drop operands that decide nothing, and whatever follows one that decides all."""
    deciding = node.operator == "||"
    kept: list[Node] = []
    for position, operand in enumerate(operands, start=1):
        if not isinstance(operand, Literal):
            kept.append(operand)
        elif truthy(operand.value) is deciding:
            if operand.value is False or (operand.value is True and all(map(_is_boolean, kept))):
                return operand
            kept.append(operand)
            break
        elif position == len(operands) and not (isinstance(operand.value, bool) and kept and _is_boolean(kept[-1])):
            kept.append(operand)  # the last operand may be the result
    return kept[0] if len(kept) == 1 else Logic(node.at, node.operator, tuple(kept))


def _is_boolean(node: Node) -> bool:
    match node:
        case Binary():
            return node.operator in COMPARISONS
        case Unary():
            return node.operator == "!"
        case Logic():
            return all(map(_is_boolean, node.operands))
        case Literal():
            return isinstance(node.value, bool)
        case Select():
            return node.test
        case Comprehension():
            return node.fold not in {"map", "filter"}
        case _:
            return False
