"""Plain selections are read without graphql-core's executor: the answers are the same, field by field."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLObjectType, GraphQLSchema, GraphQLUnionType, get_named_type
from tests.api.book import Book

from holdfast.server.api.graphql import executable_schema as schema_module
from holdfast.server.api.graphql import executor, projection
from holdfast.server.api.graphql.budget import Budget
from holdfast.server.api.traces import node

from .test_trees import QUERIES, SCENARIOS, TREES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Api

pytestmark = pytest.mark.skipif(not executor._OPTIONS, reason="graphql-core 3.2 has no executor to replace")

ROOTS = {
    "run(runID: $id)": "FunctionRunV2",
    "runTrace(runID: $id)": "RunTraceSpan",
    'runs(first: 5, orderBy: [], filter: {from: "2020-01-01T00:00:00Z"})': "RunsV2Connection",
    'eventsV2(first: 5, filter: {from: "2020-01-01T00:00:00Z"})': "EventsConnection",
    "functionRun(query: {functionRunId: $id})": "FunctionRun",
    "apps": "App",
    "functions": "Function",
}
UNLIKE = frozenset({"why", "totalCount"})
"""Fields that ask for more than a row."""


@pytest.fixture
def both(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Ask twice, by projections and by graphql-core alone: answer the body if both are the same."""
    options = dict(executor._OPTIONS)
    budgets: list[Budget] = []

    class Watched(Budget):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            budgets.append(self)

    monkeypatch.setattr("holdfast.server.api.graphql.loaders.Budget", Watched)

    def ask(query: str, **variables: Any) -> Any:
        monkeypatch.setattr(executor, "_OPTIONS", {})
        expected = api.client.post("/v0/gql", json={"query": query, "variables": variables}).content
        monkeypatch.setattr(executor, "_OPTIONS", options)
        found = api.client.post("/v0/gql", json={"query": query, "variables": variables}).content
        assert found == expected, query
        left = [(budget._fields, budget._bytes) for budget in budgets]
        body = json.loads(found)
        if left and "errors" not in body:
            assert left[-1] == left[-2], query
        return body

    return ask


class Selections:
    """Random selections of types, with aliases, fragments, inline fragments, `@include` and `@skip`."""

    def __init__(self, schema: GraphQLSchema, seed: int) -> None:
        self.random = random.Random(seed)
        self.schema = schema
        self.fragments: list[str] = []

    def of(self, name: str, depth: int) -> str:
        kind = self.schema.type_map[name]
        if isinstance(kind, GraphQLUnionType):
            members = [member.name for member in kind.types if self.random.random() < 0.8]
            parts = [f"... on {member} {self.of(member, depth - 1)}" for member in members]
            return "{ __typename " + " ".join(parts) + " }"
        assert isinstance(kind, GraphQLObjectType)
        parts = list(self._parts(kind, depth))
        self.random.shuffle(parts)
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def _parts(self, kind: GraphQLObjectType, depth: int) -> Iterator[str]:
        for name, field in kind.fields.items():
            if self.random.random() < 0.5 or field.args or name in UNLIKE:
                continue
            within = get_named_type(field.type)
            inner = ""
            if isinstance(within, GraphQLObjectType | GraphQLUnionType):
                if depth <= 0:
                    continue
                inner = " " + self.of(within.name, depth - 1)
            yield self._dressed(f"{name}{self._directive()}{inner}", name, kind)
        if kind.name == "FunctionRunV2" and depth > 0:
            yield f"new: trace(preview: true) {self.of('RunTraceSpan', depth - 1)}"
            yield f"old: trace {self.of('RunTraceSpan', depth - 1)}"
        if self.random.random() < 0.3:
            yield "__typename"

    def _dressed(self, text: str, name: str, kind: GraphQLObjectType) -> str:
        chance = self.random.random()
        if chance < 0.15:
            return f"x{name.title()}: {text}"
        if chance < 0.25:
            return f"... on {kind.name}{self._directive()} {{ {text} }}"
        if chance < 0.3:
            return f"...{self._directive()} {{ {text} }}"
        if chance < 0.4:
            fragment = f"F{len(self.fragments)}"
            self.fragments.append(f"fragment {fragment} on {kind.name} {{ {text} }}")
            return f"...{fragment}{self._directive()}"
        return text

    def _directive(self) -> str:
        directives = [f" @{name}(if: ${value})" for name in ("include", "skip") for value in ("yes", "no")]
        return self.random.choice([""] * 12 + directives)


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_recorded_traces(api: Api, both: Callable[..., Any], scenario: str) -> None:
    book = Book()
    SCENARIOS[scenario](book)
    api.library.app()
    api.library.function(slug=TREES[scenario.partition(" ")[0]]["legacy"]["name"] if "/" in scenario else "f")
    api.library.run(book)
    api.backend.now = book.now + 1
    for name in ("run_preview", "run"):
        body = both(QUERIES[name], runID=book.id)
        assert body["data"]["run"]["trace"]["spanID"]
    assert both(QUERIES["runTrace"], runID=book.id)["data"]["runTrace"]["spanID"]


@pytest.mark.parametrize("seed", range(25))
def test_random_selections(api: Api, both: Callable[..., Any], seed: int) -> None:
    schema = schema_module.build()
    names = list(SCENARIOS)
    api.library.app()
    api.library.function()
    books = []
    for number in range(3):
        book = Book(number + 1, start=1_795_238_179_000 + 100_000 * number)
        SCENARIOS[names[(seed * 3 + number) % len(names)]](book)
        api.library.run(book)
        books.append(book)
    api.backend.now = books[-1].now + 1
    for root, kind in ROOTS.items():
        selections = Selections(schema, seed)
        selection = selections.of(kind, 3)
        used = [part for part in ("$id", "$no", "$yes") if part in f"{selection}{root}{selections.fragments}"]
        declared = {"$id": "$id: String!", "$yes": "$yes: Boolean = true", "$no": "$no: Boolean!"}
        if root.startswith("functionRun"):
            declared["$id"] = "$id: ID!"
        head = f"query({', '.join(declared[part] for part in used)})" if used else "query"
        query = f"{head} {{ {root} {selection} }} {' '.join(selections.fragments)}"
        variables = {name[1:]: value for name, value in (("$id", books[0].id), ("$no", False)) if name in used}
        body = both(query, **variables)
        assert body["data"] or "path" in body["errors"][0], body


def test_what_is_not_as_its_type_says_is_told_as_ever(
    api: Api, both: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A null where none may be, within a list within an object: the same error, at the same place."""
    book = Book().step("a", 1).step("b", 2).returns(1)
    api.library.app()
    api.library.function()
    api.library.run(book)
    wrong: dict[str, object] = {}
    original = node.NodeFactory.node

    def made(self: Any, label: str, *given: Any) -> Any:
        found = original(self, label, *given)
        if label.startswith("step/"):
            for name, value in wrong.items():
                setattr(found, name, value)
        return found

    monkeypatch.setattr(node.NodeFactory, "node", made)
    query = """query($id: String!) { run(runID: $id) { id trace(preview: true) { name childrenSpans { spanID name
      status queuedAt attempts isUserland skipReason } } } }"""
    for name, value in (
        ("name", None), ("status", "ODD"), ("queued_at", "noon"), ("is_userland", None), ("skip_reason", 7),
        ("skip_reason", "x" * 1_000), ("is_userland", 3), ("queued_at", 1.5),
    ):  # fmt: skip
        wrong.clear()
        wrong[name] = value
        both(query, id=book.id)


def test_an_answer_that_is_too_large_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    for number in range(30):
        book.step(f"s{number}", number)
    api.library.app()
    api.library.function()
    api.library.run(book.returns(1))
    monkeypatch.setattr("holdfast.server.api.graphql.loaders.Budget", lambda: Budget(fields=100))
    query = "query($id: String!) { runTrace(runID: $id) { childrenSpans { spanID name } } }"
    response = api.client.post("/v0/gql", json={"query": query, "variables": {"id": book.id}})
    assert response.status_code == 422
    assert "more than 100 fields" in response.json()["errors"][0]["message"]


def test_traces_are_read_by_projections(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lest the comparisons above compare graphql-core with itself."""
    book = Book().step("a", 1).returns(1)
    api.library.app()
    api.library.function()
    api.library.run(book)
    seen: list[str] = []
    read = projection.Projection.__call__

    def noted(self: Any, source: object) -> dict[str, object]:
        seen.append(type(source).__name__)
        return read(self, source)

    monkeypatch.setattr(projection.Projection, "__call__", noted)
    for name in ("run_preview", "run"):
        api.data(QUERIES[name], runID=book.id)
    assert seen.count("TraceNode") > 4
