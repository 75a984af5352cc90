"""What the parts of an expression cost, apart from what their values add: the fixed part of the budget."""

from __future__ import annotations

from typing import Final

from holdfast.server.expressions.syntax import Call, Comprehension, ListOf, Node, children

#: Functions that are dearer than a node, in units of work. A time zone that is not known yet is looked for in files.
_CALLS: Final = {
    "date": 100, "timestamp": 50, "duration": 30, "now_plus": 30, "now_minus": 30, "json_parse": 100, "string": 20,
    "b64decode": 10,
}  # fmt: skip
_GETTER: Final = 30
_ZONE: Final = 2_000


def weight(node: Node) -> int:
    """Count the work of one evaluation of a node with all of its parts, those that a macro repeats left out."""
    total = _own(node)
    if isinstance(node, Comprehension):
        return total + weight(node.target)
    return total + sum(map(weight, children(node)))


def _own(node: Node) -> int:
    if isinstance(node, Call):
        if node.function.startswith("get"):
            return _ZONE if node.arguments else _GETTER
        return _CALLS.get(node.function, 2)
    return 3 if isinstance(node, ListOf) else 1
