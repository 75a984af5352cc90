"""The document: one object, made once, when it is first asked for."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.api.rest.openapi.entries import ENTRIES
from holdfast.server.api.rest.v2.catalogue import OPERATIONS
from holdfast.server.api.rest.v2.envelope import Metadata, Page, Problems
from holdfast.server.api.rest.v2.json_schemas import FILLED_IN, Schema, components

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.server.api.rest.openapi.entry import Entry, Reply
    from holdfast.server.api.rest.v2.operation import Operation

_VERSION: Final = "3.1.0"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_V2: Final = "/api/v2"
_TEXTS: Final = {
    200: "Done.",
    400: "The request can't be read, or a value is out of its range.",
    403: "The caller's role does not allow it.",
    404: "Not found.",
    409: "It has ended, or (when invoking) the idempotency key was already used: the body is that of 200.",
    413: "The body is too large.",
    422: "Nothing was started, or the sync failed.",
    500: "The server failed.",
    501: "Not available on a self-hosted server.",
    503: "The change could not be stored; nothing was done.",
}
#: A status beside 200 that has the body of 200.
_DATA_TOO: Final = {("InvokeFunction", 409), ("SyncApp", 422)}


@cache
def document(version: str) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(build(version))


def build(version: str) -> Schema:
    """Return the document of a server of this version."""
    types = _Types()
    paths: dict[str, Schema] = {}
    for entry in ENTRIES:
        paths.setdefault(entry.path, {})[entry.method.lower()] = _entry(entry, types)
    for operation in OPERATIONS:
        paths.setdefault(_V2 + operation.template, {})[operation.method.lower()] = _operation(operation, types)
    return {
        "openapi": _VERSION,
        "info": {
            "title": "Holdfast", "version": version,
            "description": "The HTTP API of a Holdfast server. All of REST v2 is also below `/v2`.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": types.parts,
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "The signing key or an API token. A dev server requires none.",
                }
            },
        },
    }  # fmt: skip


class _Types:
    """Schemas of all types, so that a struct is there once."""

    def __init__(self) -> None:
        kinds = [*_types_of_entries(), *_types_of_operations(), Metadata, Page, Problems]
        self._keys = {repr(kind): place for place, kind in enumerate(kinds)}
        self._schemas, self.parts = components(kinds)
        for name in {each.request.__name__ for each in OPERATIONS}:
            self.parts.pop(name, None)  # requests are shown as parameters and bodies

    def schema(self, kind: object) -> Schema:
        """Return the schema of a type, by reference if it is a struct."""
        return self._schemas[self._keys[repr(kind)]]


def _types_of_entries() -> Iterator[object]:
    for entry in ENTRIES:
        yield from (kind for reply in entry.replies for kind in (reply.type, reply.envelope) if kind is not None)
        yield from (parameter.type for parameter in entry.query)
        if entry.body is not None:
            yield entry.body


def _types_of_operations() -> Iterator[object]:
    for operation in OPERATIONS:
        yield operation.answer
        yield operation.request
        yield from (field.type for field in msgspec.structs.fields(operation.request))


# --- REST v2 --------------------------------------------------------------------------------------------------------


def _has_body(operation: Operation) -> bool:
    return operation.method in {"POST", "PUT", "PATCH"}


def _operation(operation: Operation, types: _Types) -> Schema:
    shown: Schema = {
        "operationId": operation.id, "tags": ["REST v2"], "summary": operation.summary,
        "description": operation.description, "parameters": _parameters(operation, types),
        "responses": _responses(operation, types), "security": [{"bearer": []}, {}],
    }  # fmt: skip
    if _has_body(operation):
        body = _body(operation, types)
        required = bool(operation.required)
        shown["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    return shown


def _parameters(operation: Operation, types: _Types) -> list[Schema]:
    found: list[Schema] = []
    for field in msgspec.structs.fields(operation.request):
        if field.name in operation.parameters:
            continue
        if field.name not in FILLED_IN and not _has_body(operation):
            found.append({"name": field.encode_name, "in": "query", "schema": types.schema(field.type)})
    found += [_in_path(name) for name in operation.parameters]
    if "env" in operation.request.__struct_fields__:
        found.append({"name": "X-Inngest-Env", "in": "header", "schema": {"type": "string"}})
    return found


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _body(operation: Operation, types: _Types) -> Schema:
    fields = {field.name: field for field in msgspec.structs.fields(operation.request)}
    if operation.body:
        return types.schema(fields[operation.body].type)
    kept = {name: field for name, field in fields.items() if name not in {*operation.parameters, *FILLED_IN}}
    schema: Schema = {
        "type": "object",
        "properties": {field.encode_name: types.schema(field.type) for field in kept.values()},
    }
    if operation.required:
        schema["required"] = [fields[name].encode_name for name in operation.required]
    if operation.request.__struct_config__.forbid_unknown_fields:
        schema["additionalProperties"] = False
    return schema


def _responses(operation: Operation, types: _Types) -> Schema:
    statuses = {400, 403, 500, 503, *operation.errors}
    if 501 not in operation.errors:
        statuses.add(200)
    found: Schema = {}
    for status in sorted(statuses):
        schema = types.schema(Problems)
        if status == 200:
            schema = _envelope(operation, types)
        elif (operation.id, status) in _DATA_TOO:
            schema = {"anyOf": [_envelope(operation, types), schema]}
        found[str(status)] = {"description": _TEXTS[status], "content": {"application/json": {"schema": schema}}}
    found["401"] = {
        "description": "The signing key or token is missing or invalid.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return found


def _envelope(operation: Operation, types: _Types) -> Schema:
    properties: Schema = {"data": types.schema(operation.answer), "metadata": types.schema(Metadata)}
    required = ["metadata"] if operation.paged else ["data", "metadata"]
    if operation.paged:
        properties["page"] = types.schema(Page)
        required.append("page")
    return {"type": "object", "properties": properties, "required": required}


# --- everything else ------------------------------------------------------------------------------------------------


def _entry(entry: Entry, types: _Types) -> Schema:
    parameters: list[Schema] = [_in_path(name) for name in _PARAMETER.findall(entry.path)]
    for parameter in entry.query:
        schema = types.schema(parameter.type)
        parameters.append({"name": parameter.name, "in": "query", "description": parameter.text, "schema": schema})
    shown: Schema = {
        "tags": [entry.tag], "summary": entry.summary, "parameters": parameters,
        "responses": {str(reply.status): _reply(reply, types) for reply in entry.replies},
    }  # fmt: skip
    if entry.guarded:
        shown["security"] = [{"bearer": []}, {}]
        responses = shown["responses"]
        assert isinstance(responses, dict)
        responses.setdefault("401", {
            "description": "The signing key or token is missing or invalid.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        })  # fmt: skip
    if entry.body is not None:
        shown["requestBody"] = {"content": {entry.body_content: {"schema": types.schema(entry.body)}}}
    return shown


def _reply(reply: Reply, types: _Types) -> Schema:
    shown: Schema = {"description": reply.text}
    if reply.content:
        schema: Schema = types.schema(reply.type) if reply.type is not None else {"type": "string"}
        if reply.envelope is not None:
            schema = {
                "type": "object", "required": ["data", "metadata"],
                "properties": {"data": schema, "metadata": types.schema(reply.envelope)},
            }  # fmt: skip
        shown["content"] = {reply.content: {"schema": schema}}
    return shown
