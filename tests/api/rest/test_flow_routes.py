"""Bulk cancellation, pausing, and why: requests, answers and errors (http-apis.md §8.5; the rest is ours)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.api.book import APP_ID, FUNCTION_ID, START, Book

from holdfast.protocol.ids import ulid
from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.reason import Reason, ReasonKind
from holdfast.server.model.status import RunStatus

if TYPE_CHECKING:
    from .conftest import Api

SLUG = "rec-py-no-step"
NOW = START + 60_000


def time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)


def create(api: Api, **changes: Any) -> Any:
    given = {"app_id": "rec-py", "function_id": SLUG, "started_before": time(NOW - 1_000)} | changes
    return api.client.post("/v1/cancellations", json={k: v for k, v in given.items() if v is not ...})


@pytest.fixture
def app(api: Api) -> Api:
    api.library.app()
    api.library.function()
    return api


# --- bulk cancellation ------------------------------------------------------------------------------------------------


def test_create_list_delete(app: Api) -> None:
    answer = create(app, started_after="2026-01-02T03:04:05.5Z", **{"if": "event.data.n == 1"})
    assert answer.status_code == 200
    data = answer.json()["data"]
    id = data.pop("id")
    assert data == {
        "created_at": time(NOW), "name": None, "account_id": "00000000-0000-4000-a000-000000000000",
        "environment_id": "00000000-0000-4000-b000-000000000000", "app_id": APP_ID,
        "function_internal_id": FUNCTION_ID, "function_id": SLUG, "started_after": "2026-01-02T03:04:05.5Z",
        "started_before": time(NOW - 1_000), "if": "event.data.n == 1", "kind": "bulk_run", "cause": "API",
        "queue_name": None,
    }  # fmt: skip
    after = 1_767_323_045_500
    expected = BulkCancellation(id, NOW, APP_ID, FUNCTION_ID, SLUG, after, NOW - 1_000, "event.data.n == 1")
    assert app.backend.bulk == [expected]
    second = create(app).json()["data"]
    assert "if" not in second
    assert second["started_after"] is None
    assert [one["id"] for one in app.client.get("/v1/cancellations").json()["data"]] == [second["id"], id]
    gone = app.client.request("DELETE", f"/v1/cancellations/{id.lower()}")
    assert (gone.status_code, gone.json()["data"]) == (200, {"ok": True})
    again = app.client.request("DELETE", f"/v1/cancellations/{id}")
    assert (again.status_code, again.json()["error"]) == (404, "Cancellation not found")
    bad = app.client.request("DELETE", "/v1/cancellations/nonsense")
    assert (bad.status_code, bad.json()["error"]) == (400, "Invalid cancellation ID")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"app_id": ...}, 400, "app_id is required"),
        (
            {"app_id": "", "function_id": "", "started_before": ...},
            400,
            "app_id is required\nfunction_id is required\nstarted_before is required",
        ),
        ({"started_before": time(NOW + 5_001)}, 400, "started_before must be in the past"),
        ({"started_after": time(NOW)}, 400, "started_after must be before started_before"),
        (
            {"started_before": time(NOW + 9_000), "started_after": time(NOW + 10_000)},
            400,
            "started_before must be in the past\nstarted_after must be before started_before",
        ),
        ({"app_id": "other"}, 404, "function not found"),
        ({"function_id": "no-step"}, 404, "function not found"),
        ({"started_before": "yesterday"}, 400, "Invalid cancellation request"),
        ({"started_before": 5}, 400, "Invalid cancellation request"),
        ({"app_id": 5}, 400, "Invalid cancellation request"),
    ],
)
def test_what_is_refused(app: Api, changes: dict[str, Any], status: int, error: str) -> None:
    answer = create(app, **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert not app.backend.bulk


def test_a_broken_expression(app: Api) -> None:
    answer = create(app, **{"if": "event.data."})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("invalid expression: error compiling expression: ERROR: ")


def test_five_seconds_ahead_are_fine(app: Api) -> None:
    assert create(app, started_before=time(NOW + 5_000), started_after=time(NOW + 5_000)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"'])
def test_bodies_that_are_none(app: Api, body: bytes) -> None:
    answer = app.client.post("/v1/cancellations", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid cancellation request")


# --- pausing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [SLUG, FUNCTION_ID, FUNCTION_ID.upper()])
def test_pause_and_resume(app: Api, reference: str) -> None:
    def state(method: str, path: str, **more: Any) -> tuple[bool, str | None, int]:
        answer = app.client.request(method, f"/v1/functions/{reference}{path}", **more)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert (data["id"], data["internal_id"], data["name"]) == (SLUG, FUNCTION_ID, "no-step")
        return data["paused"], data["pause_mode"], data["held"]

    assert state("GET", "") == (False, None, 0)
    assert state("POST", "/pause") == (True, "queue", 2)
    assert state("POST", "/pause", json={"mode": "skip"}) == (True, "skip", 2)
    assert state("GET", "") == (True, "skip", 2)
    assert state("POST", "/pause", json={}) == (True, "queue", 2)
    assert state("POST", "/resume") == (False, None, 0)
    assert state("POST", "/resume") == (False, None, 0)


def test_what_cannot_be_paused(app: Api) -> None:
    for body in (b'{"mode": "drain"}', b"[]", b"{", b"\xff"):
        answer = app.client.post(f"/v1/functions/{SLUG}/pause", content=body)
        assert (answer.status_code, answer.json()["error"]) == (400, 'Invalid pause: "mode" is "queue" or "skip"')
    for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/resume")):
        answer = app.client.request(method, f"/v1/functions/none{path}")
        assert (answer.status_code, answer.json()["error"]) == (404, "Function not found: none")
    assert not app.backend.pauses


def test_pause_by_graphql(app: Api) -> None:
    query = "mutation($s: String!, $m: String!) { pauseFunction(slug: $s, mode: $m) { id slug } }"
    assert app.data(query, s=SLUG, m="skip") == {"pauseFunction": {"id": FUNCTION_ID, "slug": SLUG}}
    assert app.backend.pauses[FUNCTION_ID].mode == "skip"
    by_default = app.data("mutation($s: String!) { pauseFunction(slug: $s) { slug } }", s=SLUG)
    assert by_default == {"pauseFunction": {"slug": SLUG}}
    assert app.backend.pauses[FUNCTION_ID].mode == "queue"
    assert app.gql(query, s=SLUG, m="drain")["errors"][0]["message"] == 'mode is "queue" or "skip"'
    assert app.gql(query, s="none", m="skip")["errors"][0]["message"] == "function not found: none"
    resumed = app.data("mutation($s: String!) { resumeFunction(slug: $s) { slug } }", s=SLUG)
    assert resumed == {"resumeFunction": {"slug": SLUG}}
    assert not app.backend.pauses
    unknown = app.gql('mutation { resumeFunction(slug: "none") { slug } }')
    assert unknown["errors"][0]["message"] == "function not found: none"


# --- why --------------------------------------------------------------------------------------------------------------

BLOCKED = Reason(
    kind=ReasonKind.CONCURRENCY, text="it waits", key="event.data.k", value="x", limit=1, held=1,
    holders=(ulid(START, 7),), ahead=2,
)  # fmt: skip


def test_why_a_run(api: Api) -> None:
    book = Book(status=RunStatus.SCHEDULED)
    api.library.run(book)
    api.backend.reasons[book.id] = [BLOCKED, Reason(kind=ReasonKind.SLEEP, text="it sleeps", until=NOW + 1_500)]
    answer = api.client.get(f"/v1/runs/{book.id.lower()}/why")
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {
            "run_id": book.id,
            "status": "Scheduled",
            "reasons": [
                {
                    "kind": "concurrency", "text": "it waits", "key": "event.data.k", "value": "x", "limit": 1,
                    "held": 1, "holders": [ulid(START, 7)], "ahead": 2,
                },
                {"kind": "sleep", "text": "it sleeps", "until": time(NOW + 1_500)},
            ],
        },
        "metadata": {"fetched_at": time(NOW)},
    }  # fmt: skip


def test_why_an_event(api: Api) -> None:
    event = api.library.event(ulid(START, 1), "shop/order")
    api.backend.reasons[event] = [Reason(kind=ReasonKind.BATCH, text="3 of 5", until=NOW, held=3, limit=5)]
    data = api.client.get(f"/v1/events/{event}/why").json()["data"]
    reason = {"kind": "batch", "text": "3 of 5", "until": time(NOW), "held": 3, "limit": 5}
    assert data == {"event_id": event, "name": "shop/order", "reasons": [reason]}
    assert api.backend.commands == [("why_event", event, [])]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/runs/x/why", 400, "Invalid run ID: x"),
        (f"/v1/runs/{ulid(START, 9)}/why", 404, f"Unable to load function run: {ulid(START, 9)}"),
        ("/v1/events/x/why", 400, "Invalid event ID: x"),
        (f"/v1/events/{ulid(START, 9)}/why", 404, "Event not found"),
    ],
)
def test_why_nothing(api: Api, path: str, status: int, error: str) -> None:
    answer = api.client.get(path)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_why_by_graphql_is_asked_once_for_all_runs(api: Api) -> None:
    books = [Book(number=n) for n in (1, 2)]
    for book in books:
        api.library.run(book)
        api.backend.reasons[book.id] = [BLOCKED]
    query = """query($a: String!, $b: String!) {
        a: run(runID: $a) { why { kind text since until step key value limit held holders ahead attempt runID mode } }
        b: run(runID: $b) { why { kind } } }"""
    data = api.data(query, a=books[0].id, b=books[1].id)
    assert data["b"] == {"why": [{"kind": "concurrency"}]}
    assert data["a"]["why"] == [
        {
            "kind": "concurrency", "text": "it waits", "since": None, "until": None, "step": None,
            "key": "event.data.k", "value": "x", "limit": 1, "held": 1, "holders": [ulid(START, 7)], "ahead": 2,
            "attempt": None, "runID": None, "mode": None,
        }
    ]  # fmt: skip
    assert [command[0] for command in api.backend.commands] == ["why_runs"]
