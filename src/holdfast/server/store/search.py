"""The search language of run and event lists: comparisons of paths with constants (`protocol/graphql.md` §8).

A query is one expression per line. An expression compares `event.…`, `output.…` or `error.…` with a literal and joins
comparisons by `&&`, `||`, `!` and parentheses: a part of CEL, read by its parser. Stores turn the tree that is made
here into their own terms.
"""

from __future__ import annotations

from typing import Final, Literal, cast

import msgspec

from holdfast.protocol.limits import MAX_SEARCH, MAX_SEARCH_COMPARISONS, MAX_SEARCH_WORDS
from holdfast.server.expressions import syntax
from holdfast.server.expressions.errors import ExpressionError, SyntaxIssues
from holdfast.server.expressions.parser import parse
from holdfast.server.expressions.values import INT_MAX

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
Constant = str | int | float | bool | None
Source = Literal["event", "output", "error", ""]
"""What a path starts from; `""` is anything that a run doesn't have: such a comparison is ignored."""


class SearchError(ValueError):
    """A query that can't be read; the text is what the user sees."""


class Comparison(msgspec.Struct, frozen=True):
    """A value of a run or an event, compared with a constant. `path` holds names and list indexes below `source`."""

    source: Source
    path: tuple[str | int, ...]
    operator: Operator
    constant: Constant


class Negation(msgspec.Struct, frozen=True):
    """`!operand`."""

    operand: Expression


class Junction(msgspec.Struct, frozen=True):
    """All (`&&`) or any (`||`) of its operands."""

    any: bool
    operands: tuple[Expression, ...]


class Text(msgspec.Struct, frozen=True):
    """Part of an event's JSON, of an output or error, or of a function's name; or a whole id.

    ASCII letters match in either case.
    """

    text: str


Expression = Comparison | Negation | Junction | Text


def parse_search(query: str) -> tuple[Expression, ...]:
    """Read a query; all of its expressions must hold. An empty query has none.

    Raises SearchError with the text that the reference shows (§8), where it is known.
    """
    if len(query) > MAX_SEARCH:
        raise SearchError(f"the query is too long: {len(query)} characters; the limit is {MAX_SEARCH}")
    found = tuple(_read(line.strip()) for line in query.split("\n") if line.strip())
    comparisons = sum(map(_comparisons, found))
    if comparisons > MAX_SEARCH_COMPARISONS:
        raise SearchError(f"the query compares {comparisons} times; the limit is {MAX_SEARCH_COMPARISONS}")
    return found


def text_search(text: str) -> tuple[Expression, ...]:
    """Return what finds a text that people typed: each of its words; none for an empty text. Raises SearchError."""
    if len(text) > MAX_SEARCH:
        raise SearchError(f"the text is too long: {len(text)} characters; the limit is {MAX_SEARCH}")
    words = text.split()
    if len(words) > MAX_SEARCH_WORDS:
        raise SearchError(f"the text has {len(words)} words; the limit is {MAX_SEARCH_WORDS}")
    return tuple(Text(word) for word in words)


def _comparisons(tree: Expression) -> int:
    if isinstance(tree, Junction):
        return sum(map(_comparisons, tree.operands))
    return _comparisons(tree.operand) if isinstance(tree, Negation) else 1


_MIRRORED: Final[dict[str, Operator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_UNSUPPORTED: Final = "invalid syntax detected"
_MACROS: Final = "macros are currently not supported"


def _read(line: str) -> Expression:
    try:
        return _expression(parse(line))
    except SyntaxIssues as error:
        first = str(error).split("\n", 1)[0]  # "error compiling expression: ERROR: <input>:1:5: " and the message
        raise SearchError(f"{first.split(': ', 3)[-1]}\n | {line}") from None
    except ExpressionError:
        raise SearchError(_UNSUPPORTED) from None


def _expression(node: syntax.Node) -> Expression:
    match node:
        case syntax.Logic():
            return Junction(node.operator == "||", tuple(map(_expression, node.operands)))
        case syntax.Unary(operator="!"):
            return Negation(_expression(node.operand))
        case syntax.Binary(operator=operator) if operator in _MIRRORED:
            return _comparison(node.left, cast("Operator", operator), node.right)
        case syntax.Binary(operator="in") | syntax.Select() | syntax.Name() | syntax.Literal() | syntax.Comprehension():
            raise SearchError(_MACROS)  # a value that is compared with nothing
        case syntax.Call(target=None):
            raise SearchError(_MACROS)
        case _:
            raise SearchError(_UNSUPPORTED)


def _comparison(left: syntax.Node, operator: Operator, right: syntax.Node) -> Expression:
    if isinstance(left, syntax.Unary) and left.operator == "!":  # `!a == 1` is taken as `!(a == 1)`
        return Negation(_comparison(left.operand, operator, right))
    sides = _operand(left), _operand(right)
    match sides:
        case (tuple() as path, syntax.Literal() as literal):
            return _compared(path, operator, literal)
        case (syntax.Literal() as literal, tuple() as path):
            return _compared(path, _MIRRORED[operator], literal)
        case _:
            return Comparison("", (), operator, None)


def _compared(path: _Path, operator: Operator, literal: syntax.Literal) -> Comparison:
    constant = literal.value
    if constant is not None and not isinstance(constant, str | int | float):
        raise SearchError(_UNSUPPORTED)  # bytes
    if isinstance(constant, int) and constant > INT_MAX:
        constant = float(constant)  # databases have no unsigned integers
    match path:
        case (("event" | "output" | "error") as source, *steps):
            return Comparison(source, tuple(steps), operator, constant)
        case _:
            return Comparison("", (), operator, constant)


_Path = tuple[str | int, ...]


def _operand(node: syntax.Node) -> _Path | syntax.Literal:
    """Return the path that a node is, or a constant."""
    match node:
        case syntax.Literal():
            return node
        case syntax.Name():
            return (node.name,)
        case syntax.Select(test=False):
            return (*_path(node.operand), node.field)
        case syntax.Index(key=syntax.Literal(value=int() as index)) if index >= 0 and not isinstance(index, bool):
            return (*_path(node.operand), index)
        case syntax.Select() | syntax.Call(target=None) | syntax.Comprehension():
            raise SearchError(_MACROS)
        case _:
            raise SearchError(_UNSUPPORTED)


def _path(node: syntax.Node) -> _Path:
    found = _operand(node)
    if isinstance(found, syntax.Literal):
        raise SearchError(_UNSUPPORTED)
    return found
