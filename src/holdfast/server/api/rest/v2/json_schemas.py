"""JSON Schemas of structs, as documents and tools show them: without titles, zero defaults and alternatives of null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.server.api.rest.v2.operation import Operation

Schema = dict[str, object]

#: Members of requests that the transport fills in: headers, the server's own address.
FILLED_IN: Final = frozenset({"env", "origin"})
_ZEROS: Final[tuple[object, ...]] = ("", None, [], {}, 0, False)


def components(
    types: Iterable[object], ref: str = "#/components/schemas/{name}"
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the schema of each type, and the structs that they refer to by name."""
    found, parts = msgspec.json.schema_components(types, schema_hook=_any, ref_template=ref)
    return [_object(_clean(schema)) for schema in found], {name: _object(_clean(part)) for name, part in parts.items()}


def _any(kind: type) -> Schema:
    """Return the schema of `object`: any JSON."""
    if kind is not object:
        raise NotImplementedError
    return {"$comment": "any JSON"}  # an empty one would be taken for none


def input_schema(operation: Operation) -> Schema:
    """Return the schema of what an operation takes, in one piece: as tools declare their arguments."""
    _, parts = components([operation.request], "#/$defs/{name}")
    schema = parts.pop(operation.request.__name__)
    properties = {name: part for name, part in _members(schema, "properties").items() if name not in FILLED_IN}
    required = [field.encode_name for field in msgspec.structs.fields(operation.request) if _required(operation, field)]
    whole: Schema = {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False,
    }  # fmt: skip
    return {**whole, "$defs": parts} if parts else whole


def _required(operation: Operation, field: msgspec.structs.FieldInfo) -> bool:
    return field.name in operation.parameters or field.name in operation.required


def _members(schema: Schema, name: str) -> Schema:
    return _object(schema.get(name, {}))


def _object(value: object) -> Schema:
    assert isinstance(value, dict)
    return cast("Schema", value)


def _clean(value: object) -> object:
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("Schema", value)
    if isinstance(members.get("properties"), dict):
        properties = {name: _clean(part) for name, part in _members(members, "properties").items()}
        rest = {name: part for name, part in members.items() if name not in {"properties", "title"}}
        return {**_flat(rest), "properties": properties}
    return _flat({name: _clean(part) for name, part in members.items()})


def _flat(members: Schema) -> Schema:
    absent = "default" in members and members["default"] is None
    if "default" in members and members["default"] in _ZEROS:
        del members["default"]
    if members.get("required") == []:
        del members["required"]
    choices = members.get("anyOf")
    if isinstance(choices, list) and absent:
        kept = [choice for choice in cast("list[Schema]", choices) if choice != {"type": "null"}]
        if len(kept) == 1:
            return {**kept[0], **{name: part for name, part in members.items() if name != "anyOf"}}
    return members
