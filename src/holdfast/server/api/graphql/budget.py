"""What a GraphQL document may ask for: bounds that are checked before it is validated and executed.

`measure` walks a document once, with fragments in place of their names: how deep it goes, how many fields it names.
`estimate` multiplies along lists: about how many values an answer holds. What an answer really holds is bounded while
it is made (`Budget`).
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    VariableNode,
)

from holdfast.protocol.limits import (
    GQL_COST,
    GQL_DEPTH,
    GQL_FIELDS,
    GQL_FRAGMENTS,
    GQL_RESULT_BYTES,
    GQL_RESULT_FIELDS,
    GQL_ROOTS,
    GQL_SAME_NAME,
    GQL_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import DocumentNode, GraphQLField, GraphQLSchema, SelectionNode, SelectionSetNode

#: How many items a list is taken to have: pages what they were asked for, children of spans few for each.
_LIST: Final = 10
_LISTS: Final = {"childrenSpans": 2, "edges": 1}
#: Fields whose argument says how many; more than these are never answered.
_PAGES: Final = {"runs": 399, "eventsV2": 51, "workerConnections": 399, "events": 51}
_ARGUMENTS: Final = ("first",)
_DEFAULT_PAGE: Final = 40
#: The schema is what it is, and not counted while it is told: a few times in one request are enough.
_INTROSPECTION: Final = frozenset({"__schema", "__type"})
_INTROSPECTION_COST: Final = GQL_COST // 4
_CLOCK_EVERY: Final = 1_024
_LARGE: Final = 256


class CostError(Exception):
    """A document asks for too much; the text says of what, and how much is allowed."""


class OverrunError(BaseException):
    """An answer outgrew its budget. No `Exception`: it ends the execution instead of becoming one field's error."""


class Budget:
    """What is left for one answer."""

    def __init__(
        self, fields: int = GQL_RESULT_FIELDS, bytes: int = GQL_RESULT_BYTES, seconds: float = GQL_SECONDS
    ) -> None:
        self._limits = (fields, bytes, seconds)
        self._fields, self._bytes = fields, bytes
        self._until = time.monotonic() + seconds
        self._look_at = max(fields - _CLOCK_EVERY, 0)  # fields that are left when the clock is looked at

    def spend(self, value: object) -> None:
        """Count a field and its value. Raises OverrunError."""
        self.take(1)
        self.weigh(value)

    def take(self, fields: int) -> None:
        """Count some fields. Raises OverrunError."""
        self._fields -= fields
        if self._fields > self._look_at:
            return
        if self._fields < 0:
            raise OverrunError(f"the response has more than {self._limits[0]} fields: ask for fewer rows or fields")
        self._look_at = max(self._fields - _CLOCK_EVERY, 0)
        if time.monotonic() > self._until:
            raise OverrunError(f"the response took longer than {self._limits[2]:g} seconds: ask for less")

    def weigh(self, value: object) -> None:
        """Count the size of a value, if it is a large text. Raises OverrunError."""
        if isinstance(value, str | bytes) and len(value) > _LARGE:
            self._bytes -= len(value)
            if self._bytes < 0:
                raise OverrunError(f"the response is larger than {self._limits[1]} bytes: ask for fewer rows")


class _Size(msgspec.Struct):
    fields: int
    depth: int


def measure(document: DocumentNode) -> None:
    """Check the form of a document. Raises CostError."""
    walk = _Walk({node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)})
    if len(walk.fragments) > GQL_FRAGMENTS:
        raise CostError(f"the document has {len(walk.fragments)} fragments: the limit is {GQL_FRAGMENTS}")
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            walk.check(node)
    for name in walk.fragments:
        walk.fragment(name)  # those that nothing uses are validated all the same


class _Walk:
    """Sizes of selections. Those of fragments are kept, so that a fragment of fragments of … costs one walk each."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments
        self._sizes: dict[str, _Size] = {}
        self._roots: dict[str, int] = {}
        self._open: set[str] = set()

    def check(self, operation: OperationDefinitionNode) -> None:
        """Raise CostError."""
        self._within(self._size(operation.selection_set, 0))
        roots = self._root_fields(operation.selection_set)
        if roots > GQL_ROOTS:
            raise CostError(f"operation has {roots} root fields, which exceeds the limit of {GQL_ROOTS}")

    def fragment(self, name: str, level: int = 0) -> _Size:
        """Return the size of what a fragment stands for. One within itself has none: validation tells of it."""
        known = self._sizes.get(name)
        definition = self.fragments.get(name)
        if known is not None or definition is None or name in self._open:
            return known or _Size(0, 0)
        self._open.add(name)
        size = self._sizes[name] = self._size(definition.selection_set, level + 1)
        self._open.discard(name)
        return size

    def _size(self, selection: SelectionSetNode, level: int) -> _Size:
        _check_level(level)
        total = _Size(0, 0)
        _check_names(selection)
        for node in selection.selections:
            if isinstance(node, FragmentSpreadNode):
                part = self.fragment(node.name.value, level)
            elif isinstance(node, InlineFragmentNode):
                part = self._size(node.selection_set, level + 1)
            else:
                part = self._field(node, level)
            total.fields += part.fields
            total.depth = max(total.depth, part.depth)
            self._within(total)
        return total

    def _field(self, node: SelectionNode, level: int) -> _Size:
        if not isinstance(node, FieldNode) or node.selection_set is None:
            return _Size(1, 1)
        inner = self._size(node.selection_set, level + 1)
        return _Size(inner.fields + 1, inner.depth + 1)

    def _within(self, size: _Size) -> None:
        if size.fields > GQL_FIELDS:
            raise CostError(f"operation has more than {GQL_FIELDS} fields, fragments included")
        _check_level(size.depth)

    def _root_fields(self, selection: SelectionSetNode) -> int:
        found = 0
        for node in selection.selections:
            if isinstance(node, FieldNode):
                found += 1
            elif isinstance(node, FragmentSpreadNode):
                found += self._root_fields_of(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                found += self._root_fields(node.selection_set)
        return found

    def _root_fields_of(self, name: str) -> int:
        if name not in self._roots and name in self.fragments:
            self._roots[name] = 0  # within itself
            self._roots[name] = self._root_fields(self.fragments[name].selection_set)
        return self._roots.get(name, 0)


def _check_names(selection: SelectionSetNode) -> None:
    """Fields of one name are compared pair by pair when the document is validated: there may not be many."""
    names = Counter(
        (node.alias or node.name).value if isinstance(node, FieldNode) else "fragments" for node in selection.selections
    )
    name, times = max(names.items(), key=lambda item: item[1], default=("", 0))
    if times > GQL_SAME_NAME:
        raise CostError(f"operation selects {name} {times} times in one place; the limit is {GQL_SAME_NAME}")


def _check_level(depth: int) -> None:
    if depth > GQL_DEPTH:
        raise CostError(f"operation is nested deeper than {GQL_DEPTH} levels")


def estimate(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, object]
) -> None:
    """Check how much an operation, which is valid, asks for. Raises CostError."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    defaults = {
        node.variable.name.value: int(node.default_value.value)
        for node in operation.variable_definitions or ()
        if isinstance(node.default_value, IntValueNode)
    }
    root = schema.get_root_type(operation.operation)
    cost = _Estimate(schema, fragments, {**defaults, **variables}).cost(operation.selection_set, root)
    if cost > GQL_COST:
        raise CostError(
            f"operation has complexity {cost}, which exceeds the limit of {GQL_COST}: "
            "ask for fewer rows, or for fewer lists within lists"
        )


class _Estimate:
    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, object]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def cost(self, selection: SelectionSetNode, parent: object) -> int:
        total = 0
        for node in selection.selections:
            if isinstance(node, FieldNode):
                total += self._field(node, parent)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                condition = self._schema.get_type(fragment.type_condition.name.value)
                total += self.cost(fragment.selection_set, condition)
            elif isinstance(node, InlineFragmentNode):
                narrowed = node.type_condition
                within = self._schema.get_type(narrowed.name.value) if narrowed else parent
                total += self.cost(node.selection_set, within)
        return total

    def _field(self, node: FieldNode, parent: object) -> int:
        if node.selection_set is None:
            return 1
        if node.name.value in _INTROSPECTION:
            return _INTROSPECTION_COST
        field = parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType) else None
        if field is None:
            return 1
        inner = self.cost(node.selection_set, _bare(field.type))
        return 1 + inner * self._items(node, field)

    def _items(self, node: FieldNode, field: GraphQLField) -> int:
        name = node.name.value
        for argument in node.arguments or ():
            if argument.name.value in _ARGUMENTS:
                most = _PAGES.get(name, GQL_COST)
                value = self._number(argument.value)
                return value if 0 < value <= most else _DEFAULT_PAGE
        if _ARGUMENTS[0] in field.args or name == "stream":
            return _DEFAULT_PAGE
        # graphql-core leaves type arguments out
        return _LISTS.get(name, _LIST) if _is_list(field.type) else 1  # pyright: ignore[reportUnknownArgumentType]

    def _number(self, node: object) -> int:
        value: object = None
        if isinstance(node, IntValueNode):
            value = int(node.value)
        elif isinstance(node, VariableNode):
            value = self._variables.get(node.name.value)
        return value if isinstance(value, int) else 0


def _is_list(kind: object) -> bool:
    bare: Any = kind
    return isinstance(bare.of_type if isinstance(bare, GraphQLNonNull) else bare, GraphQLList)


def _bare(kind: object) -> object:
    """Return a type without its wrappers."""
    while isinstance(kind, GraphQLNonNull | GraphQLList):
        kind = cast("Any", kind).of_type
    return kind
