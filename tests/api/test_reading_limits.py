"""What clients see of queries that take long: searches that stop early and go on, the error of what takes too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.server.store.sqlite import history as history_module
from holdfast.server.store.sqlite.queries import load_queries

from .book import START, Book

if TYPE_CHECKING:
    from collections.abc import Collection

    import pytest

    from .conftest import Api

RUNS = """query($after: String, $query: String) { runs(first: 5, after: $after,
  orderBy: [{field: QUEUED_AT, direction: DESC}], filter: {from: "2020-01-01T00:00:00Z", query: $query}) {
  edges { node { id } } pageInfo { hasNextPage endCursor } } }"""


def test_a_search_goes_on_behind_its_cursor(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "SEARCH_S", 0.0)
    monkeypatch.setattr("holdfast.server.store.sqlite.pages._CHUNK", 10)
    books = [Book(number, start=START + number).returns({"n": number}) for number in range(35)]
    for book in books:
        api.library.run(book)
    found: list[str] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after:
        page = api.data(RUNS, after=after, query="output.n < 2")["runs"]
        found += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        pages += 1
    assert found == [books[1].id, books[0].id]
    assert pages == 4


def test_outputs_are_read_when_asked_for_and_together(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    books = [Book(number, start=START + number).returns("x" * 1_000) for number in range(3)]
    for book in books:
        api.library.run(book)
    asked: list[list[str]] = []
    read = api.backend.history.outputs

    async def noted(run_ids: Collection[str]) -> dict[str, bytes]:
        asked.append(sorted(run_ids))
        return await read(run_ids)

    monkeypatch.setattr(api.backend.history, "outputs", noted)
    api.data(RUNS)
    assert asked == []
    edges = api.data(RUNS.replace("node { id }", "node { id output }"))["runs"]["edges"]
    assert [edge["node"]["output"] for edge in edges] == ['"' + "x" * 1_000 + '"'] * 3
    assert asked == [sorted(book.id for book in books)]


def test_a_query_that_takes_too_long_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        load_queries("history"), "run_count", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT count(*) FROM n WHERE EXISTS (SELECT 1 FROM runs r WHERE 1 OR {condition}) OR 1"
    )  # fmt: skip
    api.library.run(Book(1, start=START))
    monkeypatch.setattr(api.backend.history.readers, "_deadline_s", 0.05)
    query = 'query { runs(first: 1, orderBy: [], filter: {from: "2020-01-01T00:00:00Z"}) { totalCount } }'
    body = api.gql(query)
    assert [error["message"] for error in body["errors"]] == [
        "the query took too long: narrow its time range, or its filter"
    ]
    assert body["errors"][0]["extensions"] == {"code": "TOO_SLOW"}
