"""What an expression is made of: the nodes of its tree. `at` is an offset into the text, for errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal as Choice
from typing import TypeAlias

import msgspec

from holdfast.server.expressions.values import Value

Fold: TypeAlias = Choice["all", "exists", "exists_one", "map", "filter"]


class Node(msgspec.Struct, frozen=True):
    """Any part of an expression."""

    at: int


class Literal(Node, frozen=True):
    """A constant."""

    value: Value


class Name(Node, frozen=True):
    """A variable or the name of a type."""

    name: str


class Select(Node, frozen=True):
    """`operand.field`; with `test`, the macro `has(operand.field)`."""

    operand: Node
    field: str
    test: bool = False


class Index(Node, frozen=True):
    """`operand[key]`."""

    operand: Node
    key: Node


class Call(Node, frozen=True):
    """`function(arguments)`, or `target.function(arguments)`."""

    function: str
    arguments: tuple[Node, ...]
    target: Node | None = None


class Unary(Node, frozen=True):
    """`!operand` or `-operand`."""

    operator: str
    operand: Node


class Binary(Node, frozen=True):
    """A comparison, a sum, a product or `in`."""

    operator: str
    left: Node
    right: Node


class Logic(Node, frozen=True):
    """All operands joined by one operator, `&&` or `||`."""

    operator: str
    operands: tuple[Node, ...]


class Ternary(Node, frozen=True):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


class ListOf(Node, frozen=True):
    """`[items]`."""

    items: tuple[Node, ...]


class MapOf(Node, frozen=True):
    """`{key: value}`."""

    pairs: tuple[tuple[Node, Node], ...]


class Comprehension(Node, frozen=True):
    """A macro over a list or the keys of a map: `target.exists(variable, body)`.

    `map` may have a condition as well: `target.map(variable, condition, body)`.
    """

    fold: Fold
    target: Node
    variable: str
    body: Node
    condition: Node | None = None


def children(node: Node) -> Iterator[Node]:  # noqa: C901 - one case per kind of node
    """Walk over the direct parts of a node, in the order of the text."""
    match node:
        case Select() | Unary():
            yield node.operand
        case Index():
            yield from (node.operand, node.key)
        case Call():
            yield from (() if node.target is None else (node.target,))
            yield from node.arguments
        case Binary():
            yield from (node.left, node.right)
        case Logic():
            yield from node.operands
        case Ternary():
            yield from (node.condition, node.then, node.otherwise)
        case ListOf():
            yield from node.items
        case MapOf():
            for pair in node.pairs:
                yield from pair
        case Comprehension():
            yield node.target
            yield from (() if node.condition is None else (node.condition,))
            yield node.body
        case _:
            pass
