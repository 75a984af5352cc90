"""Answers to plain selections: read straight from their source, without graphql-core's work on each field.

A selection of an object is plain if all that it names are attributes, or objects and lists of such. A trace of a
thousand steps has 30,000 of them. What a selection comes to (fragments, aliases, `@include`, `@skip`) graphql-core
finds out, once for each place; objects are then read by a `Projection`. Where a value isn't what its type says,
graphql-core does the object anew, for its errors and what they null.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLString,
    GraphQLUnionType,
)

from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.api.graphql.executable_schema import attribute_of
from holdfast.server.api.graphql.scalars import INTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from holdfast.server.api.graphql.budget import Budget

    #: From the value of a field to that of the answer. Raises `UnusualError`, or what its scalar raises.
    Write = Callable[[Any], object]
    #: What a selection names of objects of a type: the places of each key, as graphql-core lists them.
    Collect = Callable[[GraphQLObjectType, Any], Mapping[str, Sequence[Any]]]

_TYPE_NAME: Final = "__typename"
_SHORT: Final = 256


class UnusualError(Exception):
    """A value that isn't what its type says."""


class Projection:
    """What a plain selection makes of an object."""

    __slots__ = ("_budget", "_count", "_get", "_writers")

    def __init__(self, names: Sequence[str], writers: Sequence[tuple[str, Write]], count: int, budget: Budget) -> None:
        self._get: Callable[[object], tuple[object, ...]] = attrgetter(*names, "__class__")  # of two at least: a tuple
        self._writers = writers
        self._count = count
        self._budget = budget

    def __call__(self, source: object) -> dict[str, object]:
        """Return the answer for one object."""
        self._budget.take(self._count)
        return {key: write(value) for (key, write), value in zip(self._writers, self._get(source), strict=False)}


class Projector:
    """The projections of one request; each place of the query is looked at once."""

    def __init__(self, collect: Collect, budget: Budget) -> None:
        self._collect = collect
        self._budget = budget
        self._known: dict[tuple[str, int], Projection | None] = {}

    def projection(self, kind: GraphQLObjectType, places: Sequence[Any]) -> Projection | None:
        """Return how the selection at some places of the query reads objects of a type; None if it isn't plain."""
        key = (kind.name, id(places))  # graphql-core keeps these lists for as long as the request lasts
        if key not in self._known:
            self._known[key] = self._compile(kind, places)
        return self._known[key]

    def _compile(self, kind: GraphQLObjectType, places: Sequence[Any]) -> Projection | None:
        names: list[str] = []
        writers: list[tuple[str, Write]] = []
        selected = self._collect(kind, places)
        for key, within in selected.items():
            name = within[0].node.name.value
            field = kind.fields.get(name)
            attribute = "__class__" if name == _TYPE_NAME else attribute_of(field) if field else None
            if attribute is None:
                return None
            write = _constant(kind.name) if field is None else self._writer(field.type, within)
            if write is None:
                return None
            names.append(attribute)
            writers.append((key, write))
        return Projection(names, writers, len(names) - names.count("__class__"), self._budget) if names else None

    def _writer(self, kind: object, places: Sequence[Any]) -> Write | None:
        required = isinstance(kind, GraphQLNonNull)
        bare: object = cast("Any", kind).of_type if required else kind
        if isinstance(bare, GraphQLScalarType | GraphQLEnumType):
            return _leaf(bare, self._budget, required=required)
        write: Write | None = None
        if isinstance(bare, GraphQLList):
            item = self._writer(cast("Any", bare).of_type, places)
            write = _list(item) if item is not None else None
        elif isinstance(bare, GraphQLObjectType):
            write = self.projection(bare, places)
        elif isinstance(bare, GraphQLUnionType):
            write = self._union(bare, places)
        return _nullable(write, required=required) if write is not None else None

    def _union(self, kind: GraphQLUnionType, places: Sequence[Any]) -> Write | None:
        found = {member.name: self.projection(member, places) for member in kind.types}
        members = {name: write for name, write in found.items() if write is not None}
        if len(members) < len(found):
            return None

        def write(value: object) -> object:
            member = members.get(type(value).__name__)
            return member(value) if member is not None else _unusual(value)

        return write


def _constant(value: str) -> Write:
    return lambda _value: value


def _list(item: Write) -> Write:
    def write(values: object) -> object:
        return [item(value) for value in cast("list[object]", values)] if type(values) is list else _unusual(values)

    return write


def _nullable(write: Write, *, required: bool) -> Write:
    missing = _unusual if required else _null
    return lambda value: write(value) if value is not None else missing(value)


def _leaf(kind: GraphQLScalarType | GraphQLEnumType, budget: Budget, *, required: bool) -> Write:
    """Return a scalar's or an enum's writer, with a shorter way for what is of the type that it is of as a rule."""

    def other(value: object) -> object:
        if value is None:
            return _unusual(value) if required else None
        budget.weigh(value)
        written: object = kind.serialize(value) if not isinstance(value, Exception) else None
        return written if written is not None else _unusual(value)

    if isinstance(kind, GraphQLEnumType):
        # graphql-core leaves type arguments out
        names = {value.value: name for name, value in kind.values.items() if isinstance(value.value, str)}
        return lambda value: names[value] if type(value) is str and value in names else other(value)
    if kind is GraphQLString or kind is GraphQLID or kind.name in _TEXTS:
        return lambda value: value if type(value) is str and len(value) <= _SHORT else other(value)
    if kind is GraphQLBoolean:
        return lambda value: value if value is True or value is False else other(value)
    if kind is GraphQLInt:
        return lambda value: value if type(value) is int and value in INTS else other(value)
    if kind.name == "Time":
        return lambda value: format_rfc3339(value, fraction=True) if type(value) is int else other(value)
    return other


#: Scalars of the schema that are written as they are (`scalars`).
_TEXTS: Final = frozenset({"ULID", "UUID", "SpanMetadataKind", "SpanMetadataScope"})


def _null(_value: object) -> None:
    return None


def _unusual(value: object) -> object:
    raise UnusualError(f"{type(value).__name__} where the type says something else")
