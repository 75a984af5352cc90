"""Exports over HTTP: the lines of `holdfast export`, page by page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from tests.api.access_rig import KEY, Rig, bearer
from tests.api.book import START, Book, Library
from tests.api.client import Client

from holdfast.protocol.ids import ulid
from holdfast.server.api.rest.v0 import export_routes
from holdfast.server.model.status import RunStatus
from holdfast.server.store import export as lines
from holdfast.server.store.sql.export import SqlExport
from holdfast.server.store.sqlite.export import open_pages
from holdfast.server.store.sqlite.readers import Readers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LARGE = 400_000


@pytest.fixture
def client(library: Library) -> Iterator[Client]:
    library.app()
    library.function()
    readers = Readers(library.path)
    client = Client(Starlette(routes=export_routes.routes(SqlExport(readers))))
    yield client
    client.close()
    readers.close()


def ended(number: int, status: RunStatus = RunStatus.COMPLETED) -> Book:
    book = Book(number=number, start=START + number * 1_000)
    book.started_at = book.start + 5
    book.end(status, {"n": number})
    return book


def large(library: Library, number: int) -> Book:
    book = Book(number=number, start=START + number * 1_000)
    book.event_ids = [library.event(ulid(book.start, number), data={"x": "x" * LARGE})]
    book.step("a", "x" * LARGE).step("b", "y").end(RunStatus.COMPLETED, {"n": number})
    return book


def got(client: Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


def test_runs_are_those_of_the_command(client: Client, library: Library) -> None:
    ids = [library.run(ended(n, RunStatus.FAILED if n % 5 == 0 else RunStatus.COMPLETED)) for n in range(1, 451)]
    runs = got(client, "/v1/export/runs")
    assert [run["id"] for run in runs] == ids
    assert runs[6]["output"] == {"n": 7}
    for what in ("runs", "events"):
        with open_pages(library.path, what, lines.Wanted()) as pages:
            assert client.get(f"/v1/export/{what}").content == b"".join(pages)
    assert [run["id"] for run in got(client, "/v1/export/runs?status=failed&status=Running")] == ids[4::5]
    assert got(client, "/v1/export/runs?since=1h") == []
    assert len(got(client, "/v1/export/runs?until=1h")) == 450
    assert got(client, "/v1/export/runs?function=no-such") == []
    assert "steps" in got(client, "/v1/export/runs?with_steps=true")[0]


def test_a_page_that_is_full_and_the_last(client: Client, library: Library) -> None:
    for n in range(1, 2 * lines.PAGE + 1):
        library.run(ended(n))
    assert len(got(client, "/v1/export/runs")) == 2 * lines.PAGE


def test_large_rows_make_short_pages(library: Library) -> None:
    library.app()
    library.function()
    ids = [library.run(large(library, n)) for n in range(1, 9)]
    with open_pages(library.path, "runs", lines.Wanted(with_steps=True)) as found:
        pages = list(found)
        assert max(map(len, pages)) < lines.PAGE_BYTES + 2 * LARGE
        runs = [json.loads(line) for page in pages for line in page.splitlines()]
        assert [(run["id"], len(run["steps"])) for run in runs] == [(id, 2) for id in ids]
    with open_pages(library.path, "events", lines.Wanted()) as found:
        pages = list(found)
        assert max(map(len, pages)) < lines.PAGE_BYTES + 2 * LARGE
        events = [json.loads(line) for page in pages for line in page.splitlines()]
        assert [len(event["event"]["data"]["x"]) for event in events] == [LARGE] * 8


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("since=soon", "since: neither a time such as 2026-01-31T12:00:00Z nor an age such as 7d: 'soon'"),
        ("until=-", "until: neither a time"),
        ("status=lost", "status: 'lost' is none of running, completed, failed, cancelled, scheduled, skipped"),
        ("statuses=failed", "there is no parameter 'statuses'; did you mean 'status'?"),
        ("name=a", "there is no parameter 'name'"),
        ("with_steps=maybe", "with_steps: neither true nor false: 'maybe'"),
    ],
)
def test_what_makes_no_sense_is_refused(client: Client, query: str, text: str) -> None:
    answer = client.get(f"/v1/export/runs?{query}")
    assert answer.status_code == 400
    assert text in answer.json()["error"]


def test_head_reads_nothing(client: Client, library: Library) -> None:
    library.run(ended(1))
    answer = client.request("HEAD", "/v1/export/runs")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.post("/v1/export/runs").status_code == 405


def test_what_takes_too_long_says_so(library: Library) -> None:
    readers = Readers(library.path, deadline_s=0)
    client = Client(Starlette(routes=export_routes.routes(SqlExport(readers))))
    answer = client.get("/v1/export/events")
    assert answer.status_code == 503
    assert "holdfast export" in answer.json()["error"]
    client.close()
    readers.close()


def test_a_start_server_wants_a_key(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        assert rig.request("GET", "/v1/export/runs").status_code == 401
        answer = rig.request("GET", "/v1/export/events", headers=bearer(KEY))
        assert (answer.status_code, answer.text) == (200, "")
    finally:
        rig.close()
