"""Waits and cancellations: filling a run's event into an expression, so that only `async` remains to be looked at."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.protocol.durations import format_go_duration
from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.compiler import closure, find, is_clock
from holdfast.server.expressions.dialect import truthy
from holdfast.server.expressions.errors import ExpressionError, too_deep
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
    children,
)
from holdfast.server.expressions.unparse import COMPARISONS, unparse
from holdfast.server.expressions.values import KIND_NAMES, MISSING, Duration, Kind, Timestamp, format_timestamp

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
    compile.
    """
    try:
        node = parse(text)
        if not _mentions_event(node, frozenset()):
            return Interpolated(text, never=isinstance(node, Literal) and node.value is False)
        folded = _fold(node, Activation(event), _KNOWN)
        return Interpolated(unparse(folded), never=isinstance(folded, Literal) and folded.value is False)
    except RecursionError:
        raise too_deep() from None


def _mentions_event(node: Node, bound: frozenset[str]) -> bool:
    if isinstance(node, Name):
        return node.name == "event" and "event" not in bound
    if not isinstance(node, Comprehension):
        return any(_mentions_event(child, bound) for child in children(node))
    target, *inner = children(node)
    return _mentions_event(target, bound) or any(_mentions_event(child, bound | {node.variable}) for child in inner)


def _fold(node: Node, scope: Activation, known: frozenset[str]) -> Node:
    """Replace everything whose value follows from the known names."""
    if isinstance(node, Literal):
        return node
    if _is_known(node, known):
        value = _value(node, scope)
        if value is not None:
            return value
    match node:
        case Logic():
            return _fold_logic(node, [_fold(operand, scope, known) for operand in node.operands])
        case Ternary():
            condition = _fold(node.condition, scope, known)
            if isinstance(condition, Literal):
                return _fold(node.then if truthy(condition.value) else node.otherwise, scope, known)
            return _fold_parts(node, scope, known)
        case _:
            return _fold_parts(node, scope, known)


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


def _value(node: Node, scope: Activation) -> Node | None:
    """Evaluate a known part; None if that is an error, which then stays one for whoever evaluates the rest."""
    try:
        value = closure(node)(scope)
    except ExpressionError:
        return None
    if isinstance(value, Timestamp):
        return Call(node.at, "timestamp", (Literal(node.at, format_timestamp(value)),))
    if isinstance(value, Duration):
        return Call(node.at, "duration", (Literal(node.at, format_go_duration(value)),))
    return None if isinstance(value, Kind) else Literal(node.at, None if value is MISSING else value)


def _fold_parts(node: Node, scope: Activation, known: frozenset[str]) -> Node:  # noqa: C901 - one case per kind
    def fold(part: Node) -> Node:
        return _fold(part, scope, known)

    match node:
        case Select():
            return Select(node.at, fold(node.operand), node.field, node.test)
        case Index():
            return Index(node.at, fold(node.operand), fold(node.key))
        case Call():
            target = None if node.target is None else fold(node.target)
            return Call(node.at, node.function, tuple(map(fold, node.arguments)), target)
        case Unary():
            return Unary(node.at, node.operator, fold(node.operand))
        case Binary():
            return Binary(node.at, node.operator, fold(node.left), fold(node.right))
        case Ternary():
            return Ternary(node.at, fold(node.condition), fold(node.then), fold(node.otherwise))
        case ListOf():
            return ListOf(node.at, tuple(map(fold, node.items)))
        case MapOf():
            return MapOf(node.at, tuple((fold(key), fold(value)) for key, value in node.pairs))
        case Comprehension():
            return _fold_comprehension(node, fold(node.target), scope, known - {node.variable})
        case _:
            return node


def _fold_comprehension(node: Comprehension, target: Node, scope: Activation, known: frozenset[str]) -> Node:
    condition = None if node.condition is None else _fold(node.condition, scope, known)
    return Comprehension(node.at, node.fold, target, node.variable, _fold(node.body, scope, known), condition)


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
