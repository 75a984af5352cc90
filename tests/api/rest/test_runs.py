"""Lists of runs: filters, orders, cursors under writes, search."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.book import FUNCTION_ID, START, Book, Library, deferred
from tests.api.conftest import recorded

from holdfast.protocol.ids import ulid
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus
from holdfast.server.store.search import SearchError, parse_search
from holdfast.server.store.sqlite.readers import Readers

if TYPE_CHECKING:
    from .conftest import Api

OTHER_FUNCTION = "e228af85-a7ec-57a1-a5e2-42c4ea7768e6"
QUERY = recorded("queries.json")["runs"]
NEWEST = [{"field": "QUEUED_AT", "direction": "DESC"}]
EVER = {"from": "2020-01-01T00:00:00Z"}


def page(api: Api, **given: Any) -> dict[str, Any]:
    variables = {"first": 40, "order": NEWEST, "filter": EVER, "preview": True} | given
    found: dict[str, Any] = api.data(QUERY, **variables)["runs"]
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in found["edges"]]


def ended(number: int, status: RunStatus = RunStatus.COMPLETED, at: int | None = None, **more: Any) -> Book:
    book = Book(number=number, start=START + number * 1_000 if at is None else at, **more)
    book.started_at = book.start + 5
    book.end(status, {"n": number})
    book.ended_at = book.start + 10 * (100 - number)
    return book


@pytest.fixture
def functions(library: Library) -> None:
    library.app()
    library.function()
    library.function(OTHER_FUNCTION, "rec-py-two-steps")


@pytest.mark.usefixtures("functions")
def test_filters(api: Api) -> None:
    completed = api.library.run(ended(1))
    failed = api.library.run(ended(2, RunStatus.FAILED, function_id=OTHER_FUNCTION))
    child = api.library.run(ended(3, detail=RunDetail(deferred_from=completed)))
    queued = api.library.run(Book(number=4, start=START + 4_000))
    api.library.run(ended(5, RunStatus.SKIPPED))
    api.library.run(ended(6, detail=RunDetail(debug_run_id=ulid(START, 9))))
    everything = [queued, child, failed, completed]

    def matching(**where: Any) -> list[str]:
        found = page(api, filter=EVER | where)
        assert found["totalCount"] == len(found["edges"])
        return ids(found)

    assert matching() == everything
    assert matching(status=["FAILED"]) == [failed]
    assert matching(status=["QUEUED", "FAILED"]) == [queued, failed]
    assert matching(status=["SKIPPED"]) == everything
    assert matching(functionIDs=[FUNCTION_ID]) == [queued, child, completed]
    assert matching(appIDs=["00000000-0000-4000-a000-000000000000"]) == []
    assert matching(isDeferred=True) == [child]
    assert matching(isDeferred=False) == [queued, failed, completed]
    assert matching(until="2020-01-02T00:00:00Z") == []
    assert matching(timeField="ENDED_AT") == [child, failed, completed]


@pytest.mark.usefixtures("functions")
def test_orders(api: Api) -> None:
    runs = [api.library.run(ended(number)) for number in range(1, 6)]
    assert ids(page(api, order=[{"field": "ENDED_AT", "direction": "ASC"}])) == sorted(
        runs, key=lambda run: ended(runs.index(run) + 1).ended_at or 0
    )
    assert ids(page(api, order=[{"field": "STARTED_AT", "direction": "DESC"}])) == runs[::-1]
    assert ids(page(api, order=[])) == runs


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(("first", "size"), [(0, 40), (-1, 40), (400, 40), (2, 2), (399, 45)])
def test_page_sizes(api: Api, first: int, size: int) -> None:
    for number in range(45):
        api.library.run(ended(number))
    found = page(api, first=first)
    assert len(found["edges"]) == size
    assert found["pageInfo"]["hasNextPage"] == (size == (first if 0 < first < 400 else 40))
    assert found["totalCount"] == 45


def test_broken_cursor_is_the_first_page(api: Api) -> None:
    run = api.library.run(ended(1))
    assert ids(page(api, after="nonsense")) == [run]


ORDERS = [
    NEWEST,
    [{"field": "QUEUED_AT", "direction": "ASC"}],
    [{"field": "STARTED_AT", "direction": "DESC"}],
    [{"field": "ENDED_AT", "direction": "ASC"}, {"field": "STARTED_AT", "direction": "DESC"}],
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 6), min_size=1, max_size=14),
    size=st.integers(1, 5),
    later=st.lists(st.integers(7, 9), max_size=4),
)
def test_pages_lose_and_repeat_nothing(
    api: Api, order: list[dict[str, str]], times: list[int], size: int, later: list[int]
) -> None:
    """While pages are read, runs are added and others end: each run that was there is seen exactly once."""
    for table in ("runs", "events", "event_runs"):
        api.library.db.execute(f"DELETE FROM {table}")
    books = [ended(number, at=START + time * 1_000) for number, time in enumerate(times)]
    for book in books:
        book.started_at, book.ended_at = book.start + 1, book.start + 2
    known = {api.library.run(book) for book in books}
    found: list[str] = []
    after = None
    writes = list(enumerate(later, start=100))
    while True:
        got = page(api, first=size, order=order, after=after)
        found += ids(got)
        if not got["pageInfo"]["hasNextPage"]:
            break
        after = got["pageInfo"]["endCursor"]
        if writes:
            number, time = writes.pop()
            new = ended(number, at=START + time * 1_000)
            api.library.run(new)
    seen = [run for run in found if run in known]
    assert sorted(seen) == sorted(known)


SEARCHES: list[tuple[str, set[str]]] = [
    ('event.name == "rec/a"', {"a"}),
    ('event.name != "rec/a"', {"b", "failed"}),
    ('event.id == "search-id"', {"a"}),
    ('event.v == "7"', {"a"}),
    ("event.ts > 5", {"a", "b", "failed"}),
    ('event.data.name == "needle"', {"a"}),
    ("event.data.n > 1", {"a"}),
    ("event.data.n == 5.0", {"a"}),
    ("5 == event.data.n", {"a"}),
    ("event.data.nested.deep == true", {"a"}),
    ("event.data.nested.deep == 1", set()),
    ("event.data.missing == null", {"a", "b", "failed"}),
    ("event.data.n == null", {"failed"}),
    ("output.a == 1", {"b"}),
    ('output == "x"', set()),
    ('error.message == "child failed"', {"failed"}),
    ('error.name == "ValueError"', {"failed"}),
    ('event.name == "rec/a" || output.a == 1', {"a", "b"}),
    ('event.data.name == "other" && event.data.n == 1', {"b"}),
    ('event.data.tags[0] == "a"', {"a"}),
    ("!(event.data.n == 5)", {"b", "failed"}),
    ('event.name == "rec/a"\n\nevent.data.n == 5', {"a"}),
    ('run.id == "x"', {"a", "b", "failed"}),
    ("1 == 1", {"a", "b", "failed"}),
    ('(event.data.n >= 1 && event.data.n < 5) || event.data.name == "it\'s \\"q\\""', {"b"}),
    ("event.data.second == true", {"b"}),
]


@pytest.fixture
def searched(api: Api) -> dict[str, str]:
    """Three runs, `b` of a batch of two events."""
    library = api.library
    a, b, c, second = (ulid(START, number) for number in (1, 2, 3, 4))
    data = {"n": 5, "name": "needle", "nested": {"deep": True}, "tags": ["a"]}
    library.event(a, "rec/a", START, data, v="7", external_id="search-id")
    library.event(b, "rec/b", START, {"n": 1, "name": "other"})
    library.event(second, "rec/b", START, {"n": 1, "second": True})
    library.event(c, "rec/c", START, {"name": "bad"})
    books = {
        "a": Book(1, event_ids=[a]).returns({"hello": "needle"}),
        "b": Book(2, event_ids=[b, second], batch_id=ulid(START, 8)).returns({"a": 1}),
        "failed": Book(3, event_ids=[c]).end(RunStatus.FAILED, {"name": "ValueError", "message": "child failed"}),
    }
    return {library.run(book): name for name, book in books.items()}


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(("query", "wanted"), SEARCHES)
def test_search(api: Api, searched: dict[str, str], query: str, wanted: set[str], preview: bool) -> None:
    found = page(api, filter=EVER | {"query": query}, preview=preview)
    assert {searched[run] for run in ids(found)} == wanted
    assert found["totalCount"] == len(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("needle", {"a"}),  # in an event and an output
        ("NEEDLE hello", {"a"}),  # words are found anywhere, in either case
        ("needle other", set()),
        ("second", {"b"}),  # in a later event of a batch
        ("rec/c", {"failed"}),  # an event's name
        ("child failed", {"failed"}),  # an error's message
        ("%", set()),  # no pattern
        (ulid(START, 2), {"b"}),  # a run's id and an event's
        ("", {"a", "b", "failed"}),
    ],
)
def test_free_text(api: Api, searched: dict[str, str], text: str, wanted: set[str]) -> None:
    found = page(api, filter=EVER | {"text": text})
    assert {searched[run] for run in ids(found)} == wanted
    assert found["totalCount"] == len(wanted)


def test_free_text_finds_functions_and_goes_with_a_query(api: Api, searched: dict[str, str]) -> None:
    api.library.function()
    both = EVER | {"text": "rec-py-no", "query": "event.data.n == 5"}
    assert {searched[run] for run in ids(page(api, filter=both))} == {"a"}
    body = api.gql(QUERY, first=1, order=NEWEST, filter=EVER | {"text": "a " * 21})
    assert body["errors"][0]["message"] == "error retrieving runs: the text has 21 words; the limit is 20"


def test_free_text_of_events(api: Api, searched: dict[str, str]) -> None:
    query = "query($text: String!) { eventsV2(filter: {from: 0, text: $text}) { edges { node { name } } } }"
    query = query.replace("from: 0", 'from: "2020-01-01T00:00:00Z"')

    def names(text: str) -> list[str]:
        return [edge["node"]["name"] for edge in api.data(query, text=text)["eventsV2"]["edges"]]

    assert names("Needle") == ["rec/a"]
    assert names(ulid(START, 3)) == ["rec/c"]
    assert names("needle second") == []


def test_search_among_outputs_that_are_no_json(api: Api) -> None:
    book = Book(1).returns(1)
    book.output = "plain text"
    api.library.run(book)
    assert ids(page(api, filter=EVER | {"query": "output.a == 1"})) == []


EXPECTED = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("nonsense ==", f"Syntax error: mismatched input '<EOF>' expecting {EXPECTED}\n | nonsense =="),
        ("has(event.data.n)", "macros are currently not supported"),
        ("event.data.n", "macros are currently not supported"),
        ('event.data.name.contains("eed")', "invalid syntax detected"),
        ('event.data["name"] == "needle"', "invalid syntax detected"),
        ("event.data.n + 1 == 6", "invalid syntax detected"),
    ],
)
def test_bad_search(api: Api, query: str, message: str) -> None:
    body = api.gql(QUERY, first=1, order=NEWEST, filter=EVER | {"query": query})
    assert body["errors"] == [{"message": f"error retrieving runs: {message}", "path": ["runs"]}]
    assert body["data"] is None


PARTS = ["event.data.n", "==", "5", "!", "(", ")", "&&", "||", '"x"', "01", "-", "9" * 30, "1e999", "[0]", ".", "null"]


@given(st.text(max_size=30) | st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join))
def test_any_text_is_a_search_or_an_error(text: str) -> None:
    with contextlib.suppress(SearchError):
        parse_search(text)


def test_huge_numbers_and_deep_nesting(api: Api) -> None:
    api.library.run(Book(1).returns(1))
    for query in (f"event.data.n < {2**64 - 1}u", f"event.data.n[{2**63 - 1}] == 1", "1e999 == event.ts"):
        assert page(api, filter=EVER | {"query": query})["edges"] == []
    body = api.gql(QUERY, first=1, order=NEWEST, filter=EVER | {"query": f"event.data.n == {'9' * 30}"})
    assert body["errors"][0]["message"].startswith("error retrieving runs: invalid int literal")
    body = api.gql(QUERY, first=1, order=NEWEST, filter=EVER | {"query": "(" * 5_000})
    assert body["errors"][0]["message"] == "error retrieving runs: invalid syntax detected"
    assert len(page(api, filter=EVER | {"query": "(" * 50 + "event.ts > 0" + ")" * 50})["edges"]) == 1


@pytest.mark.usefixtures("functions")
def test_defers(api: Api) -> None:
    parent = Book(1, state=deferred("rec-py-two-steps", "rec-py-gone")).returns(1)
    api.library.run(parent)
    detail = RunDetail(deferred_from=parent.id)
    child = api.library.run(Book(2, start=START + 500, function_id=OTHER_FUNCTION, detail=detail).returns(2))
    query = """query($id: String!) { run(runID: $id) { isDeferred
      defers { userlandDeferID fnSlug status runID run { id } function { slug } }
      siblingDefers { fnSlug } deferredFrom { runID run { id } function { slug } } } }"""
    found = api.data(query, id=parent.id)["run"]
    assert not found["isDeferred"]
    assert [(defer["fnSlug"], defer["runID"]) for defer in found["defers"]] == [
        ("rec-py-two-steps", child),
        ("rec-py-gone", None),
    ]
    found = api.data(query, id=child)["run"]
    assert found["isDeferred"]
    assert found["siblingDefers"] == [{"fnSlug": "rec-py-gone"}]
    assert found["deferredFrom"][0]["runID"] == parent.id


@pytest.mark.usefixtures("functions")
def test_no_statement_per_run(api: Api) -> None:
    """A page with traces takes as many statements for forty runs as for one."""
    for number in range(40):
        api.library.run(Book(number, start=START + number).step("a", 1).returns(1))
    query = """query($first: Int!) { runs(first: $first, orderBy: [], filter: {from: "2020-01-01T00:00:00Z"}) {
      edges { node { function { name app { name } } app { name functions { slug } }
      trace(preview: true) { childrenSpans { name } } } } } }"""
    counts = []
    for first in (1, 40):
        calls: list[str] = []
        original = Readers.call

        async def counting(self: Any, work: Any, calls: list[str] = calls, original: Any = original) -> Any:
            calls.append("call")
            return await original(self, work)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Readers, "call", counting)
            api.data(query, first=first)
        counts.append(len(calls))
    assert counts[0] == counts[1] <= 8


@pytest.mark.usefixtures("functions")
def test_has_ai(api: Api) -> None:
    """Runs that called a model: through the gateway, in the SDK's wrapper; not those that only talk about it."""
    books = {
        "gateway": Book(1).gateway("infer", {"data": {}}).returns(1),
        "wrapped": Book(2).step("wrap", 1, type="step.ai.wrap").returns(1),
        "fetched": Book(3).gateway("fetch", {"data": {}}, op="Gateway").returns(1),
        "plain": Book(4).step("a", {"o": "AIGateway", "kind": "inngest.ai"}).returns(1),
    }
    runs = {api.library.run(book): name for name, book in books.items()}
    found = page(api)
    assert {runs[edge["node"]["id"]] for edge in found["edges"] if edge["node"]["hasAI"]} == {"gateway", "wrapped"}
