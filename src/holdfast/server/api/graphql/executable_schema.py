"""The executable schema: the SDL with scalars and resolvers attached.

Resolvers are found by name in a registry (`resolver("Type.field")`); every other field is an attribute of its source,
named in snake case. Arguments and members of inputs reach resolvers in snake case too.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, TypeVar, cast

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
)

from holdfast.server.api.graphql.scalars import BadValue, install_scalars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from graphql import GraphQLResolveInfo, GraphQLSchema

    Resolver = Callable[..., Any]

R = TypeVar("R", bound="Resolver")

_ATTRIBUTE: Final = "attribute"
_RESOLVERS: Final[dict[str, Resolver]] = {}
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def resolver(name: str) -> Callable[[R], R]:
    """Register the resolver of `Type.field`: a function of the source, the context and the arguments."""

    def register(function: R) -> R:
        _RESOLVERS[name] = function
        return function

    return register


@cache
def snake(name: str) -> str:
    """`outputID` as `output_id`, `IDs` as `ids`."""
    return _WORD.sub("_", name.replace("IDs", "Ids")).lower()


def build() -> GraphQLSchema:
    """Build the schema with everything registered so far."""
    sdl = resources.files("holdfast.server.api.graphql").joinpath("schema.graphql").read_text("utf-8")
    schema = build_schema(sdl)
    install_scalars(schema)
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for name, field in kind.fields.items():
                _attach(field, name, _RESOLVERS.get(f"{kind.name}.{name}"))
        elif isinstance(kind, GraphQLInputObjectType):
            for name, member in kind.fields.items():
                member.out_name = snake(name)
        elif isinstance(kind, GraphQLUnionType):
            kind.resolve_type = lambda value, _info, _kind: type(value).__name__
    return schema


def attribute_of(field: GraphQLField) -> str | None:
    """The attribute that a field is read from; None for one with a resolver of its own."""
    name = field.extensions.get(_ATTRIBUTE)
    return name if isinstance(name, str) else None


def _attach(field: GraphQLField, name: str, function: Resolver | None) -> None:
    original: dict[str, str] = {}
    for argument_name, argument in field.args.items():
        argument.out_name = snake(argument_name)
        original[argument.out_name] = argument_name
    if function is None:
        field.resolve = _attribute(snake(name))
        if not field.args:
            field.extensions[_ATTRIBUTE] = snake(name)
    elif field.args:
        field.resolve = _checked(function, original)
    else:
        field.resolve = _plain(function)


def _attribute(name: str) -> Resolver:
    def resolve(source: object, info: GraphQLResolveInfo[Any]) -> object:
        value: object = getattr(source, name)
        info.context.budget.spend(value)
        return value

    return resolve


def _plain(function: Resolver) -> Resolver:
    def resolve(source: object, info: GraphQLResolveInfo[Any]) -> object:
        value: object = function(source, info.context)
        info.context.budget.spend(value)
        return value

    return resolve


def _checked(function: Resolver, names: Mapping[str, str]) -> Resolver:
    def resolve(source: object, info: GraphQLResolveInfo[Any], **arguments: object) -> object:
        info.context.budget.spend(None)
        for name, value in arguments.items():
            for path, bad in _bad_values(value):
                raise GraphQLError(bad.message, path=[*info.path.as_list(), names[name], *path])
        return function(source, info.context, **arguments)

    return resolve


def _bad_values(value: object) -> Iterator[tuple[list[str | int], BadValue]]:
    """Yield the inputs within a value that their scalars couldn't read, each with its path."""
    if isinstance(value, BadValue):
        yield [], value
    elif isinstance(value, dict):
        members = cast("dict[str, object]", value)
        for name, member in members.items():
            yield from (([_camel(name), *path], bad) for path, bad in _bad_values(member))
    elif isinstance(value, list):
        items = cast("list[object]", value)
        for index, item in enumerate(items):
            yield from (([index, *path], bad) for path, bad in _bad_values(item))


def _camel(name: str) -> str:
    words = name.split("_")
    return "".join(
        [words[0], *("ID" if word == "id" else "IDs" if word == "ids" else word.title() for word in words[1:])]
    )
