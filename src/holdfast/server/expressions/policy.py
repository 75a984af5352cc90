"""What is refused before anything runs: the validation of `flow-control.md` §3.5.

As operators take any types, the only type errors are names and functions that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.protocol.functions import ExpressionUse
from holdfast.server.expressions.compiler import find, is_clock
from holdfast.server.expressions.errors import ExpressionError, Issue, render, too_deep
from holdfast.server.expressions.functions import CLOCK, FUNCTIONS
from holdfast.server.expressions.parser import parse
from holdfast.server.expressions.syntax import (
    Binary,
    Call,
    Comprehension,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Select,
    Unary,
    children,
)
from holdfast.server.expressions.values import KIND_NAMES, kind_of

_SYNTAX_ONLY: Final = frozenset({ExpressionUse.CONCURRENCY_KEY, ExpressionUse.PRIORITY})
_VARIABLES: Final = frozenset({"event", "async"})
_CONVERSIONS: Final = frozenset({"int", "uint", "double"})
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_PACKAGES: Final = frozenset(name.split(".")[0] for name in KIND_NAMES if "." in name)


def check(text: str, use: ExpressionUse) -> str | None:
    """Return what is wrong with an expression of a registration, None if it may be used so.

    The text starts with `error compiling expression: ERROR: <input>:1:5: …`; callers say in front of it whose it is.
    """
    try:
        node = parse(text)
        issues = [] if use in _SYNTAX_ONLY else list(undeclared(node, _VARIABLES))
        if issues:
            return render(text, issues)
        return _restricted(node) if use is ExpressionUse.CANCEL_IF else None
    except ExpressionError as error:
        return str(error)
    except RecursionError:
        return str(too_deep())


def check_wait(text: str) -> str | None:
    """Return what is wrong with the `if` of a waitForEvent, None if it compiles; macros and functions are fine."""
    try:
        issues = list(undeclared(parse(text), _VARIABLES))
    except ExpressionError as error:
        return str(error)
    except RecursionError:
        return str(too_deep())
    return render(text, issues) if issues else None


def undeclared(node: Node, known: frozenset[str]) -> Iterator[Issue]:
    """Find the names and functions that do not exist, in the order of the text."""
    if isinstance(node, Name):
        if node.name not in known and node.name not in KIND_NAMES:
            yield _unknown(node.at, node.name)
        return
    if isinstance(node, Select) and _qualified(node) in KIND_NAMES:
        return
    if isinstance(node, Call):
        yield from _uncallable(node)
    if not isinstance(node, Comprehension):
        for child in children(node):
            yield from undeclared(child, known)
        return
    target, *inner = children(node)
    yield from undeclared(target, known)
    for child in inner:
        yield from undeclared(child, known | {node.variable})


def _uncallable(node: Call) -> Iterator[Issue]:
    if find(node) is not None or is_clock(node):
        return
    function = FUNCTIONS.get(node.function)
    if function is None and node.function not in CLOCK:
        yield _unknown(node.at, node.function)
        return
    kinds = ", ".join(_kind(argument) for argument in node.arguments)
    applied = f"({kinds})" if node.target is None else f"{_kind(node.target)}.({kinds})"
    yield Issue(node.at, f"found no matching overload for '{node.function}' applied to '{applied}'")


def _unknown(at: int, name: str) -> Issue:
    return Issue(at, f"undeclared reference to '{name}' (in container '')")


def _kind(node: Node) -> str:
    """Name a node's type as the reference's checker does, as far as it is known without an event."""
    match node:
        case Literal():
            return kind_of(node.value)
        case Name() if node.name in _VARIABLES:
            return "map(string, dyn)"
        case ListOf():
            return "list(dyn)"
        case MapOf():
            return "map(dyn, dyn)"
        case _:
            return "dyn"


def _qualified(node: Node) -> str:
    names: list[str] = []
    while isinstance(node, Select) and not node.test:
        names.append(node.field)
        node = node.operand
    if not isinstance(node, Name) or node.name not in _PACKAGES:
        return ""
    return ".".join((node.name, *reversed(names)))


def _restricted(node: Node) -> str | None:
    """Return what a cancelOn expression must not have: macros, arithmetic, functions other than conversions."""
    word = _forbidden(node)
    if word is not None:
        return f"error compiling expression: {word} is not allowed here"
    return next(filter(None, map(_restricted, children(node))), None)


def _forbidden(node: Node) -> str | None:
    match node:
        case Select(test=True):
            return "the macro has()"
        case Comprehension():
            return f"the macro {node.fold}()"
        case Call() if node.target is not None or node.function not in _CONVERSIONS:
            return f"the function {node.function}()"
        case Binary() if node.operator in _ARITHMETIC:
            return f"the operator {node.operator}"
        case Unary() if node.operator == "-":
            return "the operator -"
        case _:
            return None
