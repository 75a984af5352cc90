"""What clients see of queries that take long: searches that stop early and go on, the error of what takes too long."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from tests.api.book import START, Book
from tests.api.client import Client, dumps

from holdfast.server.api.common.error_bodies import add_handlers
from holdfast.server.api.rest.v1 import run_routes
from holdfast.server.api.rest.v2 import operation_routes as rest_v2
from holdfast.server.store.sql import history as history_module
from holdfast.server.store.sqlite.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pytest
    from starlette.routing import BaseRoute

    from .conftest import Api

RUNS = """query($after: String, $query: String) { runs(first: 5, after: $after,
  orderBy: [{field: QUEUED_AT, direction: DESC}], filter: {from: "2020-01-01T00:00:00Z", query: $query}) {
  edges { node { id } } pageInfo { hasNextPage endCursor } } }"""


def with_errors(routes: Sequence[BaseRoute]) -> Starlette:
    app = Starlette(routes=routes)
    add_handlers(app)
    return app


def test_a_search_goes_on_behind_its_cursor(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "SEARCH_S", 0.0)
    monkeypatch.setattr("holdfast.server.store.sql.pages._CHUNK", 10)
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


ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT count(*) FROM n WHERE EXISTS (SELECT 1 FROM runs r WHERE 1 OR {condition}) OR 1"
)
TOTAL = 'query { runs(first: 1, orderBy: [], filter: {from: "2020-01-01T00:00:00Z"}) { totalCount } }'
TOO_SLOW = "the query took too long: narrow its time range, or its filter"


def test_a_query_that_takes_too_long_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(load_queries("history"), "run_count", ENDLESS)
    api.library.run(Book(1, start=START))
    monkeypatch.setattr(api.backend.history.readers, "_deadline_s", 0.05)
    body = api.gql(TOTAL)
    assert [error["message"] for error in body["errors"]] == [TOO_SLOW]
    assert body["errors"][0]["extensions"] == {"code": "TOO_SLOW"}


def test_rest_says_so_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.library.run(book := Book(1, start=START))
    monkeypatch.setattr(api.backend.history.readers, "_deadline_s", -1.0)
    client = Client(with_errors(rest_v2.routes(api.backend)))
    found = client.get(f"/v2/runs/{book.id}")
    client.close()
    assert found.status_code == 503
    assert found.json() == {"errors": [{"code": "internal_error", "message": TOO_SLOW}]}
    client = Client(with_errors(run_routes.routes(api.backend)))
    found = client.get(f"/v1/runs/{book.id}")
    client.close()
    assert found.status_code == 503
    assert found.json() == {"error": TOO_SLOW, "data": None, "status": 503}


def test_a_query_ends_when_its_client_goes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would never end, of a client that hangs up while it runs: its thread is free for others at once."""
    monkeypatch.setitem(load_queries("history"), "run_count", ENDLESS)
    api.library.run(Book(1, start=START))
    readers = api.backend.history.readers
    monkeypatch.setattr(readers, "_deadline_s", 100.0)
    running, ended = threading.Event(), threading.Event()
    work = readers._work

    calls = itertools.count()

    def noted(given: Any, task: Any) -> Any:
        endless = next(calls) == 1  # the page comes first
        if endless:
            running.set()
        try:
            return work(given, task)
        finally:
            if endless:
                ended.set()

    monkeypatch.setattr(readers, "_work", noted)
    messages = [{"type": "http.request", "body": dumps({"query": TOTAL}), "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        assert await asyncio.to_thread(running.wait, 20)
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    scope = {
        "type": "http", "method": "POST", "path": "/v0/gql", "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    api.client.loop.run(api.client._app(scope, receive, send))  # type: ignore[arg-type]
    assert running.is_set()
    assert ended.wait(20)
