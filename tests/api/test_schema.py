"""The schema, type by type as the reference introspects; and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import recorded

if TYPE_CHECKING:
    from .conftest import Api

RECORDED = {kind["name"]: kind for kind in recorded("introspection.json")["types"]}
REF = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"
INTROSPECTION = f"""{{ __schema {{ types {{ kind name
  fields(includeDeprecated: true) {{ name isDeprecated args {{ name defaultValue type {{ {REF} }} }} type {{ {REF} }} }}
  inputFields {{ name defaultValue type {{ {REF} }} }}
  enumValues(includeDeprecated: true) {{ name isDeprecated }} possibleTypes {{ name }} interfaces {{ name }} }} }} }}"""
#: What is ours alone: fields beside the recorded ones, and their types. Nothing else may differ.
EXTENSIONS = {"FunctionRunV2": {"why"}, "Mutation": {"pauseFunction", "resumeFunction"}}
EXTENSION_TYPES = {"RunReason"}
# The reference introspects no description of built-in scalars that it doesn't use.
OWN = {
    "__Schema",
    "__Type",
    "__TypeKind",
    "__Field",
    "__InputValue",
    "__EnumValue",
    "__Directive",
    "__DirectiveLocation",
}


@pytest.fixture
def types(api: Api) -> dict[str, Any]:
    return {kind["name"]: kind for kind in api.data(INTROSPECTION)["__schema"]["types"]}


def ref(kind: dict[str, Any]) -> str:
    if kind["kind"] == "NON_NULL":
        return ref(kind["ofType"]) + "!"
    return f"[{ref(kind['ofType'])}]" if kind["kind"] == "LIST" else kind["name"]


def members(found: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Fields, arguments or values by name: their types, defaults and arguments."""
    return {
        member["name"]: (
            ref(member["type"]) if "type" in member else None,
            member.get("defaultValue"),
            member.get("isDeprecated", False),
            members(member.get("args")),
        )
        for member in found or []
        if not member["name"].startswith("__")
    }


def test_the_same_types(types: dict[str, Any]) -> None:
    assert set(types) - OWN == (set(RECORDED) - OWN) | EXTENSION_TYPES


def test_each_type_as_recorded(types: dict[str, Any]) -> None:
    for name in set(RECORDED) - OWN:
        mine, theirs = types[name], RECORDED[name]
        assert mine["kind"] == theirs["kind"], name
        for part in ("fields", "inputFields", "enumValues"):
            more = EXTENSIONS.get(name, set()) if part == "fields" else set()
            expected = members(theirs[part])
            assert expected.keys().isdisjoint(more), f"{name}.{part}"
            found = members(mine[part])
            assert found.keys() == expected.keys() | more, f"{name}.{part}"
            assert {field: found[field] for field in expected} == expected, f"{name}.{part}"
        possible = {kind["name"] for kind in theirs["possibleTypes"]}
        assert {kind["name"] for kind in mine["possibleTypes"] or []} == possible, name


def test_graphql_is_not_imported_before_the_first_request() -> None:
    code = "import sys, holdfast.server.api.graphql; sys.exit(int('graphql' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
