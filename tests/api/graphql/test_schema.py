"""The schema, type by type as the reference introspects; and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from graphql import graphql_sync
from tests.api.conftest import recorded

from holdfast.server.api.graphql import executable_schema, resolvers

if TYPE_CHECKING:
    from .conftest import Api

RECORDED = {kind["name"]: kind for kind in recorded("introspection.json")["types"]}
REF = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"
INPUT = f"name description defaultValue type {{ {REF} }}"
INTROSPECTION = f"""{{ __schema {{ queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }}
  types {{ kind name description interfaces {{ name }}
    fields(includeDeprecated: true) {{
      name description isDeprecated deprecationReason args {{ {INPUT} }} type {{ {REF} }} }}
    inputFields {{ {INPUT} }} possibleTypes {{ name }}
    enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} }} }} }}"""
#: What is ours alone: fields beside the recorded ones, and their types. Nothing else may differ.
EXTENSIONS = {
    "Query": {
        "runsHistogram": "(filter: RunsFilterV2!, bars: Int! = 60): [RunsBar!]!",
        "runLatencies": "(from: Time!, until: Time, functionID: UUID, bars: Int! = 60): [RunLatencies!]!",
    },
    "Function": {
        "health": "(from: Time!): FunctionHealth!",
        "paused": "String",
        "nextRun": "Time",
        "backlog": "Backlog",
        "steps": "(from: Time!): [StepLatencies!]!",
    },
    "EventV2": {"excerpt": "String!"},
    "FunctionRunV2": {
        "why": "[RunReason!]!",
        "doing": "RunReason",
        "errorLine": "String",
        "failedAttempts": "Int!",
        "originalRunID": "ULID",
        "reruns": "[FunctionRunV2!]!",
        "savedSteps": "(stepID: String): [SavedStep!]!",
    },
    "RerunFromStepInput": {"output": "Bytes"},
    "RunsFilterV2": {"text": "String"},
    "EventsFilter": {"text": "String"},
    "Mutation": {
        "pauseFunction": '(slug: String!, mode: String! = "queue"): Function!',
        "resumeFunction": "(slug: String!): Function!",
    },
}
EXTENSION_TYPES = {
    "RunReason", "SavedStep", "RunsBar", "FunctionHealth", "RunLatencies", "StepLatencies", "Backlog",
    "BacklogKey", "BacklogThrottle",
    "BacklogRateLimit", "BacklogDebounce", "BacklogBatch", "BacklogSingleton",
}  # fmt: skip
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


@pytest.fixture(scope="module")
def introspected() -> Any:
    resolvers.register()
    answer = graphql_sync(executable_schema.build(), INTROSPECTION)
    assert not answer.errors
    assert answer.data
    return answer.data["__schema"]


@pytest.fixture(scope="module")
def types(introspected: Any) -> dict[str, Any]:
    return {kind["name"]: kind for kind in introspected["types"]}


def ref(kind: dict[str, Any]) -> str:
    if kind["kind"] == "NON_NULL":
        return ref(kind["ofType"]) + "!"
    return f"[{ref(kind['ofType'])}]" if kind["kind"] == "LIST" else kind["name"]


def members(found: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Fields, arguments or values by name, with everything that is recorded of them."""
    return {
        member["name"]: {
            "type": ref(member["type"]) if "type" in member else None,
            "default": member.get("defaultValue"),
            "deprecated": member.get("isDeprecated", False),
            "description": member.get("description") or None,
            "arguments": members(member.get("args")),
        }
        for member in found or []
        if not member["name"].startswith("__")
    }


def signature(member: dict[str, Any]) -> str:
    """A field as SDL has it."""
    given = [
        f"{name}: {found['type']}" + (f" = {found['default']}" if found["default"] else "")
        for name, found in member["arguments"].items()
    ]
    return f"({', '.join(given)}): {member['type']}" if given else str(member["type"])


def test_the_same_types(types: dict[str, Any]) -> None:
    assert set(types) - OWN == (set(RECORDED) - OWN) | EXTENSION_TYPES


def test_over_http(api: Api, introspected: Any) -> None:
    assert api.data(INTROSPECTION)["__schema"] == introspected


def test_the_same_roots(introspected: Any) -> None:
    found = introspected
    assert (found["queryType"], found["mutationType"]) == ({"name": "Query"}, {"name": "Mutation"})
    assert found["subscriptionType"] is None


@pytest.mark.parametrize("name", sorted(set(RECORDED) - OWN))
def test_each_type_as_recorded(types: dict[str, Any], name: str) -> None:
    mine, theirs = types[name], RECORDED[name]
    assert mine["kind"] == theirs["kind"]
    for part in ("fields", "inputFields", "enumValues"):
        found, expected = members(mine[part]), members(theirs[part])
        extended = "inputFields" if mine["kind"] == "INPUT_OBJECT" else "fields"
        more = EXTENSIONS.get(name, {}) if part == extended else {}
        ours = {field: signature(found.pop(field)) for field in more}
        assert ours == more
        assert found == expected
        assert list(found) == list(expected), "another order"
    assert [kind["name"] for kind in mine["possibleTypes"] or []] == [k["name"] for k in theirs["possibleTypes"] or []]
    assert (mine["interfaces"] or []) == (theirs["interfaces"] or [])


def test_descriptions_are_as_recorded(types: dict[str, Any]) -> None:
    """The recorded answer describes no type: neither do we, but for GraphQL's own scalars."""
    described = {name for name in types if types[name]["description"] and not name.startswith("__")}
    assert described <= {"String", "Int", "Float", "Boolean", "ID"}


def test_graphql_is_not_imported_before_the_first_request() -> None:
    code = "import sys, holdfast.server.api.graphql; sys.exit(int('graphql' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
