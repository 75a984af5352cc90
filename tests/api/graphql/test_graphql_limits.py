"""What a GraphQL request may ask for: each limit's status and text, and that what is allowed is answered."""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.book import START, Book

from holdfast.protocol.limits import (
    GQL_BODY,
    GQL_COST,
    GQL_DEPTH,
    GQL_FIELDS,
    GQL_FRAGMENTS,
    GQL_ROOTS,
    GQL_SAME_NAME,
    GQL_TEXT,
    GQL_TOKENS,
)
from holdfast.server.api.graphql import documents, loaders, transport
from holdfast.server.api.graphql.budget import Budget
from holdfast.server.store.history import RunTrace

if TYPE_CHECKING:
    from .conftest import Api

COMPLEX = "COMPLEXITY_LIMIT_EXCEEDED"
EVER = '{from: "2020-01-01T00:00:00Z"}'


def ask(api: Api, query: str, **variables: Any) -> tuple[int, Any]:
    answer = api.client.post("/v0/gql", json={"query": query, "variables": variables})
    return answer.status_code, answer.json()


def post(api: Api, body: bytes) -> tuple[int, Any]:
    answer = api.client.post("/v0/gql", content=body, headers={"content-type": "application/json"})
    return answer.status_code, answer.json()


def children(levels: int) -> str:
    return '{ run(runID: "x") { trace ' + "{ childrenSpans " * levels + "{ name }" + " }" * levels + " } }"


def bomb(levels: int) -> str:
    """Each fragment is the next one twice."""
    doubled = " ".join(f"fragment F{n} on App {{ a{n}: id ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    return f"{{ apps {{ ...F0 }} }} {doubled} fragment F{levels} on App {{ id }}"


def fragments(number: int) -> str:
    return "{ apps { id } } " + " ".join(f"fragment F{n} on App {{ id }}" for n in range(number))


def runs(first: object, selection: str) -> str:
    return f"{{ runs(first: {first}, orderBy: [], filter: {EVER}) {{ edges {{ node {{ {selection} }} }} }} }}"


REFUSED = [
    (children(GQL_DEPTH), f"operation is nested deeper than {GQL_DEPTH} levels"),
    (children(20), f"exceeds the limit of {GQL_COST}: ask for fewer rows"),
    ("{ apps " + "{ functions { app " * 5 + "{ id }" + "} }" * 5 + " }", f"exceeds the limit of {GQL_COST}"),
    (runs(399, "app { functions { triggers { type } app { functions { triggers { value } } } } }"), "complexity"),
    (
        "{ " + " ".join(f"a{n}: apps {{ id }}" for n in range(GQL_ROOTS + 1)) + " }",
        f"operation has {GQL_ROOTS + 1} root fields, which exceeds the limit of {GQL_ROOTS}",
    ),
    (
        "{ ...A } fragment A on Query { " + " ".join(f"a{n}: apps {{ id }}" for n in range(GQL_ROOTS + 1)) + " }",
        "root fields",
    ),
    (
        "{ apps { " + "id " * (GQL_SAME_NAME + 1) + "} }",
        f"operation selects id {GQL_SAME_NAME + 1} times in one place; the limit is {GQL_SAME_NAME}",
    ),
    (
        "{ apps { " + " ".join(f"a{n}: id" for n in range(GQL_FIELDS)) + " } }",
        f"operation has more than {GQL_FIELDS} fields, fragments included",
    ),
    (bomb(20), f"operation has more than {GQL_FIELDS} fields"),
    (fragments(GQL_FRAGMENTS + 1), f"the document has {GQL_FRAGMENTS + 1} fragments: the limit is {GQL_FRAGMENTS}"),
    (
        "{ " + " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(5)) + " }",
        f"exceeds the limit of {GQL_COST}",
    ),
    ("# " + "x" * GQL_TEXT, f"the document has {GQL_TEXT + 2} characters, which exceeds the limit of {GQL_TEXT}"),
]


@pytest.mark.parametrize(("query", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refused(api: Api, query: str, message: str) -> None:
    status, body = ask(api, query)
    assert status == 422
    assert message in body["errors"][0]["message"]
    assert body["errors"][0]["extensions"] == {"code": COMPLEX}
    assert body["data"] is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ apps { id " + ", " * 5 + "id " * GQL_TOKENS + "} }", f"Document contains more than {GQL_TOKENS} tokens"),
        ("{ a " * 3_000, "Document is nested too deeply"),
        ("{ run(runID: " + "[" * 3_000, "Document is nested too deeply"),
        (
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
            'Cannot spread fragment "A" within itself',
        ),
        ("{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", "introspection depth"),
    ],
)
def test_not_valid(api: Api, query: str, message: str) -> None:
    status, body = ask(api, query)
    assert status == 422
    assert message in body["errors"][0]["message"]


def test_pages_by_variable_are_counted(api: Api) -> None:
    query = """query($first: Int! = 399) { runs(first: $first, orderBy: [], filter: {from: "2020-01-01T00:00:00Z"}) {
      edges { node { app { functions { triggers { type } app { functions { slug name id url } } } } } } } }"""
    assert ask(api, query, first=3)[0] == 200
    assert ask(api, query, first=399)[0] == 422
    assert ask(api, query)[0] == 422
    assert ask(api, query, first=100_000)[0] == 200, "such a page has 40 rows"


def test_what_the_ui_asks_is_far_within(api: Api) -> None:
    """A page as large as it gets, with apps, functions and the first level of traces."""
    span = "name status attempts queuedAt startedAt endedAt outputID spanID stepID stepOp stepType isRoot groupID"
    status, _ = ask(
        api,
        runs(
            399, f"id app {{ name }} function {{ slug }} trace(preview: true) {{ {span} childrenSpans {{ {span} }} }}"
        ),
    )
    assert status == 200


@pytest.fixture
def book(api: Api) -> Book:
    api.library.app()
    api.library.function()
    book = Book(1)
    for number in range(20):
        book.step(f"s{number}", "x" * 1_000)
    book.returns("y" * 5_000)
    api.library.run(book)
    return book


TRACE = "query($id: String!) { run(runID: $id) { output trace(preview: true) { name childrenSpans { name } } } }"


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"fields": 30}, "the response has more than 30 fields: ask for fewer rows or fields"),
        ({"bytes": 4_000}, "the response is larger than 4000 bytes: ask for fewer rows"),
    ],
)
def test_an_answer_that_outgrows_its_budget(
    api: Api, book: Book, monkeypatch: pytest.MonkeyPatch, budget: dict[str, int], message: str
) -> None:
    monkeypatch.setattr(loaders, "Budget", lambda: Budget(**budget))
    status, body = ask(api, TRACE, id=book.id)
    assert (status, body) == (
        422, {"errors": [{"message": message, "extensions": {"code": COMPLEX}}], "data": None}
    )  # fmt: skip
    monkeypatch.undo()
    assert ask(api, TRACE, id=book.id)[0] == 200


def test_an_answer_that_takes_too_long(api: Api, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "GQL_SECONDS", 0.0)
    status, body = ask(api, TRACE, id=book.id)
    assert status == 503
    assert "ask for less" in body["errors"][0]["message"]


def test_a_body_that_is_too_large(api: Api) -> None:
    status, body = post(api, b'{"query": "{ apps { id } }", "variables": {"x": "' + b"x" * GQL_BODY + b'"}}')
    assert status == 413
    assert body == {"errors": [{"message": f"Request body is over the max size: Max {GQL_BODY} bytes"}], "data": None}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"[" * 100_000, 400, "json request body could not be decoded"),
        (b'{"variables": ' + b"[" * 100_000, 400, "json request body could not be decoded"),
        (b'{"variables": {"a": ' + b'{"a": ' * 100_000, 400, "json request body could not be decoded"),
        (b'{"query": "\xff\xfe"}', 400, "json request body could not be decoded"),
        (b'{"query": "{ apps { id } }", "variables": 7}', 400, "json request body could not be decoded"),
        (b'{"query": 7}', 400, "json request body could not be decoded"),
        (b'{"query": "{ apps { id } \x00"}', 400, "json request body could not be decoded"),
        (b'{"query": "\\u0000"}', 422, "Unexpected character"),
        (b'{"query": "{ run(runID: \\"\\ud800\\") { id } }"}', 400, "surrogate pair"),
        (b'{"query": "{ run(runID: \\"\\\\ud800\\") { id } }"}', 422, "Invalid Unicode escape"),
        (b'[{"query": "{ apps { id } }"}]', 400, "Expected `object`, got `array`"),
        (b'{"query": "{ apps { id } }", "query": "{ functions { id } }"}', 200, ""),
        ((b'{"query": "query($n: Int!) { stream(query: {limit: $n}) { id } }",'
         b' "variables": {"n": 99999999999999999999999999}}'), 422, "Int cannot represent non 32-bit signed integer"),
        ((b'{"query": "query($n: Int!) { stream(query: {limit: $n}) { id } }",'
         b' "variables": {"n": 1e400}}'), 400, "json request body could not be decoded"),
        ((b'{"query": "query($n: Int!) { stream(query: {limit: $n}) { id } }",'
         b' "variables": {"n": "5"}}'), 422, "Int cannot represent"),
        (b'{"query": "{ stream(query: {limit: 99999999999999999999}) { id } }"}',
         422, "Int cannot represent non 32-bit signed integer value"),
    ],
    ids=lambda value: repr(value[:50]) if isinstance(value, bytes) else "",
)  # fmt: skip
def test_odd_bodies(api: Api, body: bytes, status: int, message: str) -> None:
    found, answer = post(api, body)
    assert found == status, answer
    if message:
        assert message in answer["errors"][0]["message"]
        assert len(json.dumps(answer)) < 30_000


def test_odd_texts_find_nothing(api: Api) -> None:
    """Ids, slugs and names that nothing can have: an empty answer or an error, never a 500."""
    for text in ("\x00", "x" * 100_000, "'; DROP TABLE runs; --", "\ud800", "%", "💥" * 1_000, "../../etc"):
        for query in (
            "query($t: String!) { functionBySlug(query: {functionSlug: $t}) { id } }",
            "query($t: ID!) { event(query: {eventId: $t}) { id } }",
            "query($t: ID!) { functionRun(query: {functionRunId: $t}) { id } }",
            "query($t: String!) { run(runID: $t) { id } }",
            "query($t: String!) { runTrigger(runID: $t) { IDs } }",
            "query($t: String!) { runTraceSpanOutputByID(outputID: $t) { data } }",
        ):
            answer = api.client.post("/v0/gql", content=json.dumps({"query": query, "variables": {"t": text}}).encode(),
                                     headers={"content-type": "application/json"})  # fmt: skip
            assert answer.status_code in {200, 400}, answer.text
            assert "internal system error" not in answer.text, (text[:20], query)
        names = {"eventNames": [text], "from": "2020-01-01T00:00:00Z"}
        body = {"query": "query($f: EventsFilter!) { eventsV2(filter: $f) { totalCount } }", "variables": {"f": names}}
        answer = api.client.post("/v0/gql", json=body)
        assert answer.status_code in {200, 400}
        assert "internal system error" not in answer.text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_variables_of_any_type(api: Api, value: object) -> None:
    query = """query($id: String!, $filter: RunsFilterV2!, $order: [RunsV2OrderBy!]!, $event: ULID!, $first: Int!) {
      run(runID: $id) { id } eventV2(id: $event) { id }
      runs(first: $first, orderBy: $order, filter: $filter) { totalCount } }"""
    good = {"id": "x", "filter": {"from": "2020-01-01T00:00:00Z"}, "order": [], "event": "x", "first": 1}
    for name in good:
        status, body = ask(api, query, **good | {name: value})
        assert status in {200, 400, 422}
        assert "internal system error" not in json.dumps(body)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (" || ".join(["event.data.n == 1"] * 101), "the query compares 101 times; the limit is 100"),
        ("\n".join(["event.data.n == 1"] * 101), "the query compares 101 times; the limit is 100"),
        ("event.data.n == " + "1" * 8_192, "the query is too long: 8208 characters; the limit is 8192"),
    ],
)
def test_searches_beyond_the_limits(api: Api, query: str, message: str) -> None:
    runs = "query($f: RunsFilterV2!) { runs(orderBy: [], filter: $f) { totalCount } }"
    events = "query($f: EventsFilter!) { eventsV2(filter: $f) { totalCount } }"
    for text in (runs, events):
        status, body = ask(api, text, f={"from": "2020-01-01T00:00:00Z", "query": query})
        assert status == 200
        assert body["errors"][0]["message"].endswith(message)


def test_the_longest_search(api: Api) -> None:
    api.library.run(Book(1, start=START).returns(1))
    query = " || ".join(["event.data.n == 1"] * 100)
    found = api.data("query($f: RunsFilterV2!) { runs(orderBy: [], filter: $f) { totalCount } }",
                     f={"from": "2020-01-01T00:00:00Z", "query": query})  # fmt: skip
    assert found["runs"]["totalCount"] == 0


def test_too_many_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "GQL_WAITING", 0)
    answer = api.client.post("/v0/gql", json={"query": "{ apps { id } }"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"errors": [{"message": transport.BUSY}], "data": None}
    monkeypatch.undo()
    assert ask(api, "{ apps { id } }") == (200, {"data": {"apps": []}})


def test_what_was_read_goes_with_the_request(api: Api, book: Book) -> None:
    query = '{ runs(orderBy: [], filter: {from: "2020-01-01T00:00:00Z"}) { edges { node { id trace { name } } } } }'
    ask(api, query)
    gc.collect()
    gc.disable()
    try:
        found = ask(api, query)[1]["data"]["runs"]["edges"]
        assert [edge["node"]["id"] for edge in found] == [book.id]
        assert not any(isinstance(known, RunTrace) for known in gc.get_objects())
    finally:
        gc.enable()
