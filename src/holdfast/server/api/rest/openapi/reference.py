"""The document in words: lines of a table, and the page of the manual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from holdfast.server.api.rest.openapi.document import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.server.api.rest.v2.json_schemas import Schema

Line = tuple[str, str, str, str]
"""Tag, method, path, summary."""

_INTRODUCTION: Final = """# HTTP API

Generated from the OpenAPI document that every server has at `/openapi.json`, by `scripts/api_reference.py`. In `start`
routes want `Authorization: Bearer` with the signing key or an API token, except for probes, what describes the API, and
those with a credential of their own: `/e` and `/webhooks` have a key in the path, following realtime topics wants a
token for them, publishing the signing key. A dev server requires only such tokens.

REST v2 is below `/api/v2` and `/v2`. Its answers are `{"data", "metadata", "page"?}`, members that are empty or zero
are left out, 64-bit numbers are strings; its errors are `{"errors": [{"code", "message"}]}`. Errors of all other routes
are `{"error", "data", "status"}`.
"""


def lines(version: str = "") -> list[Line]:
    """Return all routes, by tag."""
    found: list[Line] = []
    for path, methods in _schema(build(version)["paths"]).items():
        for method, shown in _schema(methods).items():
            route = _schema(shown)
            tag = str(cast("list[object]", route["tags"])[0])
            found.append((tag, method.upper(), path, str(route["summary"])))
    tags = list(dict.fromkeys(line[0] for line in found))
    return sorted(found, key=lambda line: tags.index(line[0]))


def markdown() -> str:
    """Return the page of the manual."""
    return "\n".join([_INTRODUCTION, *_sections()]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    document = build("")
    tag, parts = "", _schema(_schema(document["components"])["schemas"])
    paths = _schema(document["paths"])
    for line in lines():
        if line[0] != tag:
            tag = line[0]
            yield f"## {tag}\n"
        yield from _route(line, _schema(_schema(paths[line[2]])[line[1].lower()]), parts)


def _route(line: Line, route: Schema, parts: Schema) -> Iterator[str]:
    _, method, path, summary = line
    yield f"### `{method} {path}`\n"
    text = str(route.get("description") or summary)
    yield f"{text.rstrip('.')}.\n"
    parameters = [_schema(each) for each in cast("list[object]", route.get("parameters", []))]
    rows = [_parameter(each) for each in parameters if each["in"] != "path"]
    rows += [(f"body: {name}", kind, text) for name, kind, text in _body(route, parts)]
    if rows:
        yield "| parameter | type | |\n|---|---|---|"
        yield "\n".join(f"| `{name}` | {kind} | {_cell(text)} |" for name, kind, text in rows) + "\n"
    answers = _schema(route["responses"])
    yield "Answers: " + ", ".join(sorted(answers)) + ".\n"


def _parameter(parameter: Schema) -> tuple[str, str, str]:
    schema = _schema(parameter["schema"])
    text = str(parameter.get("description") or schema.get("description") or "")
    return str(parameter["name"]), _kind(schema), text


def _body(route: Schema, parts: Schema) -> Iterator[tuple[str, str, str]]:
    body = route.get("requestBody")
    if body is None:
        return
    for content in _schema(_schema(body)["content"]).values():
        schema = _schema(_schema(content)["schema"])
        properties = _schema(_resolved(schema, parts).get("properties", {}))
        if not properties:
            yield "*", _kind(schema), ""
        for name, part in properties.items():
            yield name, _kind(_schema(part)), str(_schema(part).get("description", ""))


def _resolved(schema: Schema, parts: Schema) -> Schema:
    """Return a schema by its reference; the first of several."""
    if isinstance(schema.get("anyOf"), list):
        schema = _schema(cast("list[object]", schema["anyOf"])[0])
    if schema.get("type") == "array" and "items" in schema:
        schema = _schema(schema["items"])
    return _schema(parts[str(schema["$ref"]).rpartition("/")[2]]) if "$ref" in schema else schema


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for way in ("anyOf", "oneOf"):
        if way in schema:
            return " or ".join(_kind(_schema(each)) for each in cast("list[object]", schema[way]))
    kind = schema.get("format") or schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(_schema(schema.get('items', {})))}"
    return " or ".join(map(str, cast("list[object]", kind))) if isinstance(kind, list) else str(kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _schema(value: object) -> Schema:
    assert isinstance(value, dict)
    return cast("Schema", value)
