"""The equality index of waits: from an event to the few expressions that it may make true (`flow-control.md` §3.7).

Most waits compare a path of the new event with a literal, `async.data.id == "x"`, alone or as one operand of `&&`.
Such an expression can only be true for events that have this very value at that path, so it is found by hash. The rest
is tested for every event.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, Generic, TypeAlias, TypeVar

from holdfast.protocol.limits import EXPRESSION_WORK
from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.compiler import Expression, compile
from holdfast.server.expressions.errors import Exhausted, ExpressionError
from holdfast.server.expressions.parser import parse
from holdfast.server.expressions.syntax import Binary, Index, Literal, Logic, Name, Node, Select
from holdfast.server.expressions.values import MISSING, Value

K = TypeVar("K", bound=Hashable)

Path: TypeAlias = tuple[str, ...]
Equality: TypeAlias = tuple[Path, Hashable]

_VARIABLE: Final = "async"
# Stand for values that Python would take for others (True equals 1), or could not look up at all.
_TRUE: Final = object()
_FALSE: Final = object()
_NESTED: Final = object()


class _Entry(Generic[K]):
    """One expression: where it is filed, and what is left to test once it is found.

    `test` is an Expression for those that every event tests, a text for those found by hash, None if being found is
    enough. `group` is None unless it is found by hash.
    """

    __slots__ = ("group", "key", "order", "test", "value")

    def __init__(self, key: K, order: int) -> None:
        self.key = key
        self.order = order
        self.test: Expression | str | None = None
        self.group: _Group[K] | None = None
        self.value: Hashable = None


class _Group(Generic[K]):
    """The entries that compare one path, by the value they want there; a value's only entry stands for itself."""

    __slots__ = ("path", "values")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[Hashable, _Entry[K] | dict[int, _Entry[K]]] = {}

    def add(self, entry: _Entry[K]) -> None:
        found = self.values.get(entry.value)
        if found is None:
            self.values[entry.value] = entry
        elif isinstance(found, dict):
            found[entry.order] = entry
        else:
            self.values[entry.value] = {found.order: found, entry.order: entry}

    def remove(self, entry: _Entry[K]) -> None:
        found = self.values[entry.value]
        if isinstance(found, dict):
            del found[entry.order]
        if found is entry or not found:
            del self.values[entry.value]

    def find(self, value: Hashable) -> Iterable[_Entry[K]]:
        found = self.values.get(value)
        if found is None:
            return ()
        return found.values() if isinstance(found, dict) else (found,)

    def count(self, value: Hashable) -> int:
        found = self.values.get(value)
        return len(found) if isinstance(found, dict) else int(found is not None)


class EqualityIndex(Generic[K]):
    """Keys (of pauses, say) by the expression that must be true for them."""

    def __init__(self) -> None:
        self._entries: dict[K, _Entry[K]] = {}
        self._groups: dict[Path, _Group[K]] = {}
        self._always: dict[int, _Entry[K]] = {}
        self._order = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: K, expression: str | None) -> None:
        """File a key; None is always true, a text that does not compile never. A known key is filed anew."""
        self.remove(key)
        self._order += 1
        entry = _Entry(key, self._order)
        self._entries[key] = entry
        if expression is None:
            self._always[entry.order] = entry
            return
        try:
            self._file(entry, expression)
        except (ExpressionError, RecursionError):
            return

    def remove(self, key: K) -> None:
        """Take a key out; nothing happens if it is not there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.group is None:
            self._always.pop(entry.order, None)
            return
        entry.group.remove(entry)
        if not entry.group.values:
            del self._groups[entry.group.path]

    def candidates(self, activation: Activation) -> Iterator[K]:
        """Name the keys that the activation's `async` event may make true, in the order they were added."""
        return (entry.key for entry in self._found(activation))

    def matching(self, activation: Activation) -> list[K]:
        """Name the keys whose expression is true, in the order they were added; an error means false."""
        return [entry.key for entry in self._found(activation) if _is_true(entry, activation)]

    def tested(self, activation: Activation) -> Iterator[K | None]:
        """Test one entry after the other: yield its key if it is true, else None."""
        for entry in self._found(activation):
            yield entry.key if _is_true(entry, activation) else None

    def _file(self, entry: _Entry[K], text: str) -> None:
        node = parse(text)
        equalities = list(_equalities(node))
        if not equalities:
            entry.test = compile(text)
            self._always[entry.order] = entry
            return
        # The place with the fewest entries selects best.
        path, entry.value = min(equalities, key=self._count)
        entry.test = text if isinstance(node, Logic) else None
        entry.group = self._groups.get(path) or self._groups.setdefault(path, _Group(path))
        entry.group.add(entry)

    def _count(self, equality: Equality) -> int:
        path, value = equality
        group = self._groups.get(path)
        return 0 if group is None else group.count(value)

    def _found(self, activation: Activation) -> list[_Entry[K]]:
        entries = list(self._always.values())
        if not self._groups:
            return entries
        try:
            for group in self._groups.values():
                entries.extend(group.find(_looked_up(activation, group.path)))
        except ExpressionError:  # the event is no JSON
            return entries
        entries.sort(key=_order)
        return entries


def _is_true(entry: _Entry[K], activation: Activation) -> bool:
    test = entry.test
    if test is None:
        return True
    return (compile(test) if isinstance(test, str) else test).is_true(activation)


def _order(entry: _Entry[K]) -> int:
    return entry.order


def _looked_up(activation: Activation, path: Path) -> Hashable:
    activation.left = EXPRESSION_WORK
    try:
        return _hashable(activation.look_up_async(path))
    except Exhausted:  # lists and maps alone are too large to be looked at
        return _NESTED


def _hashable(value: Value) -> Hashable:
    """Return what stands for a value in a group: equal for values that `==` finds equal, and only for those."""
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, (list, dict)):
        return _NESTED
    return None if value is MISSING else value


def _equalities(node: Node) -> Iterator[Equality]:
    """Find the comparisons without which an expression cannot be true."""
    if isinstance(node, Logic) and node.operator == "&&":
        for operand in node.operands:
            yield from _equalities(operand)
    elif isinstance(node, Binary) and node.operator == "==":
        for side, other in ((node.left, node.right), (node.right, node.left)):
            path = _path(side)
            if path is not None and isinstance(other, Literal):
                yield path, _hashable(other.value)


def _path(node: Node) -> Path | None:
    """Return the names below `async`, None if the node is anything else."""
    names: list[str] = []
    while not isinstance(node, Name):
        if isinstance(node, Select) and not node.test:
            names.append(sys.intern(node.field))
            node = node.operand
        elif isinstance(node, Index) and isinstance(node.key, Literal) and isinstance(node.key.value, str):
            names.append(sys.intern(node.key.value))
            node = node.operand
        else:
            return None
    return tuple(reversed(names)) if node.name == _VARIABLE else None
