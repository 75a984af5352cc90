"""Pages under writes: whoever pages through a list sees each row that was there all the time exactly once.

While pages are read, rows are added, runs start and end. Rows that come or change meanwhile may be seen or not.
"""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.book import FUNCTION_ID, START, Book
from tests.api.conftest import recorded

from holdfast.protocol.ids import ulid
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Api

QUERIES = recorded("queries.json")
EVER = {"from": "2020-01-01T00:00:00Z"}
OTHER = "e228af85-a7ec-57a1-a5e2-42c4ea7768e6"
STATUSES = [RunStatus.SCHEDULED, RunStatus.RUNNING, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED]
FIELDS = ["QUEUED_AT", "STARTED_AT", "ENDED_AT"]
PROPERTY = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

levels = st.fixed_dictionaries({"field": st.sampled_from(FIELDS), "direction": st.sampled_from(["ASC", "DESC"])})
orders = st.lists(levels, max_size=3, unique_by=lambda level: level["field"])
filters = st.fixed_dictionaries(
    {},
    optional={
        "functionIDs": st.just([FUNCTION_ID]),
        "status": st.lists(st.sampled_from(["QUEUED", "RUNNING", "COMPLETED", "FAILED"]), min_size=1, max_size=2),
        "timeField": st.sampled_from(["QUEUED_AT", "STARTED_AT"]),
        "query": st.just("event.data.n >= 0"),
    },
)
#: Each run: its second of scheduling, its status, and whether it is the first function's.
rows = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(STATUSES), st.booleans()), min_size=1, max_size=12)
#: What happens between pages: a run comes, or the n-th of those that may change starts or ends.
writes = st.lists(st.one_of(st.tuples(st.just("new"), st.integers(0, 9)), st.tuples(st.just("end"), st.integers(0, 9))))


def book_of(number: int, second: int, status: RunStatus, *, first: bool) -> Book:
    book = Book(number, start=START + second * 1_000, function_id=FUNCTION_ID if first else OTHER)
    book.event_ids = [ulid(book.start, number)]
    book.status = status
    if status is not RunStatus.SCHEDULED:
        book.started_at = book.start + number % 3
    if status.ended:
        book.end(status, {"n": number})
        book.ended_at = book.start + number % 4
    return book


def add_event(api: Api, number: int, second: int) -> str:
    id = ulid(START + second * 1_000, number)
    api.library.event(id, "rec/event", START + second * 1_000, {"n": number})
    return id


def writes_of(api: Api, seconds: list[int]) -> list[Callable[[], object]]:
    """Events that come between pages."""
    return [partial(add_event, api, 1_000 + number, second) for number, second in enumerate(seconds)]


def add(api: Api, book: Book) -> str:
    api.library.event(book.event_ids[0], "rec/event", book.start, {"n": book.number})
    return api.library.run(book)


def clear(api: Api) -> None:
    for table in ("runs", "events", "event_runs", "steps", "spans"):
        api.library.db.execute(f"DELETE FROM {table}")


def walk(
    api: Api, read: Callable[[str | None], tuple[list[str], str | None]], between: list[Callable[[], object]]
) -> list[str]:
    """All pages, with a write after each."""
    found: list[str] = []
    after: str | None = None
    waiting = between[::-1]
    for _ in range(200):
        page, after = read(after)
        found += page
        if after is None:
            return found
        if waiting:
            waiting.pop()()
    raise AssertionError("pages without end")


@PROPERTY
@given(order=orders, where=filters, given_rows=rows, size=st.integers(1, 6), happens=writes)
def test_runs(
    api: Api,
    order: list[dict[str, str]],
    where: dict[str, Any],
    given_rows: list[tuple[int, RunStatus, bool]],
    size: int,
    happens: list[tuple[str, int]],
) -> None:
    clear(api)
    books = [book_of(n, second, status, first=first) for n, (second, status, first) in enumerate(given_rows)]
    for book in books:
        add(api, book)
    changing = [book for book in books if not book.status.ended]
    changed: set[str] = set()

    def write(kind: str, number: int) -> None:
        if kind == "new":
            add(api, book_of(1_000 + len(changed) + number, number, STATUSES[number % 5], first=True))
        elif changing:
            book = changing.pop(number % len(changing))
            changed.add(book.id)
            book.started_at = book.started_at or book.start + 7
            book.end(RunStatus.COMPLETED, {})
            book.ended_at = book.start + 9
            api.library.run(book)

    def read(after: str | None) -> tuple[list[str], str | None]:
        given = {"first": size, "after": after, "order": order, "filter": EVER | where}
        found = api.data(QUERIES["runs"], **given)["runs"]
        page = [edge["node"]["id"] for edge in found["edges"]]
        assert len(page) <= size
        assert found["pageInfo"]["hasNextPage"] == (len(page) == size)
        return page, found["pageInfo"]["endCursor"] if len(page) == size else None

    expected = {edge["node"]["id"] for edge in api.data(
        QUERIES["runs"], first=399, order=order, filter=EVER | where)["runs"]["edges"]}  # fmt: skip
    found = walk(api, read, [lambda kind=kind, number=number: write(kind, number) for kind, number in happens])
    steady = expected - changed
    assert sorted(run for run in found if run in steady) == sorted(steady)
    never_changed = [run for run in found if run not in changed]
    assert len(never_changed) == len(set(never_changed))


@PROPERTY
@given(seconds=st.lists(st.integers(0, 6), min_size=1, max_size=15), size=st.integers(1, 6),
       later=st.lists(st.integers(0, 9), max_size=6), search=st.sampled_from([None, "event.data.n >= 0"]))  # fmt: skip
def test_events(api: Api, seconds: list[int], size: int, later: list[int], search: str | None) -> None:
    clear(api)

    known = [add_event(api, number, second) for number, second in enumerate(seconds)]

    def read(after: str | None) -> tuple[list[str], str | None]:
        found = api.data(QUERIES["eventsV2"], first=size, after=after, filter=EVER | {"query": search})["eventsV2"]
        page = [edge["node"]["id"] for edge in found["edges"]]
        assert found["totalCount"] >= len(known)
        return page, found["pageInfo"]["endCursor"] if len(page) == size else None

    found = walk(api, read, writes_of(api, later))
    assert [id for id in found if id in known] == sorted(known, reverse=True)
    assert len(found) == len(set(found))


@PROPERTY
@given(seconds=st.lists(st.integers(0, 6), min_size=1, max_size=15), size=st.integers(1, 6),
       later=st.lists(st.integers(0, 9), max_size=6))  # fmt: skip
def test_events_of_rest(api: Api, seconds: list[int], size: int, later: list[int]) -> None:
    clear(api)

    known = [add_event(api, number, second) for number, second in enumerate(seconds)]

    def read(after: str | None) -> tuple[list[str], str | None]:
        path = f"/v1/events?limit={size}&received_after=2020-01-01T00:00:00Z" + (f"&cursor={after}" if after else "")
        answer = api.client.get(path)
        assert answer.status_code == 200, answer.text
        page = [row["internal_id"] for row in answer.json()["data"]]
        return page, page[-1] if len(page) == size else None

    found = walk(api, read, writes_of(api, later))
    assert [id for id in found if id in known] == sorted(known, reverse=True)
    assert len(found) == len(set(found))


@PROPERTY
@given(seconds=st.lists(st.integers(0, 6), min_size=1, max_size=15), size=st.integers(1, 6),
       later=st.lists(st.integers(0, 9), max_size=6))  # fmt: skip
def test_the_stream(api: Api, seconds: list[int], size: int, later: list[int]) -> None:
    """Its pages are bounds on the id, which the client takes from what it saw."""
    clear(api)

    known = [add_event(api, number, second) for number, second in enumerate(seconds)]
    query = "query($q: StreamQuery!) { stream(query: $q) { id } }"

    def read(after: str | None) -> tuple[list[str], str | None]:
        page = [row["id"] for row in api.data(query, q={"limit": size, "before": after})["stream"]]
        return page, min(page) if len(page) == size else None

    found = walk(api, read, writes_of(api, later))
    assert sorted(id for id in found if id in known) == sorted(known)
    assert len(found) == len(set(found))


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


FOREIGN = ["", "nonsense", "====", "é", encoded([]), encoded({}), encoded({"id": 7}), encoded({"ID": None}), "\x00",
           encoded({"id": "x", "c": {"queued_at": {"f": "queued_at", "v": "x"}}}), base64.b64encode(b"\xff").decode(),
           base64.b64encode(b"[" * 10_000).decode(), "A" * 100_000]  # fmt: skip


@pytest.mark.parametrize("cursor", FOREIGN, ids=lambda cursor: repr(cursor[:24]))
def test_a_cursor_that_is_none_is_the_first_page(api: Api, cursor: str) -> None:
    run = add(api, book_of(1, 0, RunStatus.COMPLETED, first=True))
    order = [{"field": "QUEUED_AT", "direction": "DESC"}]
    found = api.data(QUERIES["runs"], first=5, after=cursor, order=order, filter=EVER)["runs"]
    assert [edge["node"]["id"] for edge in found["edges"]] == [run]
    found = api.data(QUERIES["eventsV2"], first=5, after=cursor, filter=EVER)["eventsV2"]
    assert len(found["edges"]) == 1


@pytest.mark.parametrize(
    "order", [[{"field": "ENDED_AT", "direction": "ASC"}], [{"field": "QUEUED_AT", "direction": "ASC"}]]
)
def test_a_cursor_of_another_order_goes_on_after_its_run(api: Api, order: list[dict[str, str]]) -> None:
    """What an order doesn't find in a cursor counts as the least: no error, no endless loop."""
    for number in range(6):
        add(api, book_of(number, number, RunStatus.COMPLETED, first=True))
    cursor = api.data(QUERIES["runs"], first=2, order=[{"field": "STARTED_AT", "direction": "ASC"}], filter=EVER)
    after = cursor["runs"]["pageInfo"]["endCursor"]
    found = api.data(QUERIES["runs"], first=10, after=after, order=order, filter=EVER)["runs"]["edges"]
    assert len(found) <= 6


@PROPERTY
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()))
def test_any_text_as_a_cursor(api: Api, text: str) -> None:
    for name, more in (("runs", {"order": []}), ("eventsV2", {})):
        assert "errors" not in api.gql(QUERIES[name], first=5, after=text, filter=EVER, **more)
