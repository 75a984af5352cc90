"""Sessions over REST v2: events name them, runs are in them (`http-apis.md` §2.5, §10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.api.telemetry import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator


def reply(_headers: dict[str, str], body: Any) -> tuple[int, Any]:
    """Fails for good if the event says so."""
    if body["event"]["data"].get("fails"):
        return 400, {"name": "Error", "message": "as asked"}
    return 200, "done"


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(reply) as rig:
        yield rig


def run(rig: Rig, sessions: dict[str, Any] | None, **data: Any) -> str:
    """Sends an event in some sessions and waits for the end of its run; answers the run's id."""
    return rig.run_of(
        {"name": "go", "data": data, **({"meta": {"sessions": sessions}} if sessions is not None else {})}
    )


def get(rig: Rig, path: str, status: int = 200) -> Any:
    answer = rig.client.get(f"/api/v2{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def pages(rig: Rig, path: str) -> list[Any]:
    """All rows of a list, and that its pages are full."""
    rows: list[Any] = []
    cursor = ""
    while True:
        page = get(rig, f"{path}{'&' if '?' in path else '?'}limit=2&cursor={quote(cursor, safe='')}")
        rows += page.get("data", [])
        if not page["page"].get("hasMore"):
            return rows
        assert len(page["data"]) == 2
        cursor = page["page"]["cursor"]


def test_runs_are_in_the_sessions_that_their_events_name(rig: Rig) -> None:
    first = run(rig, {"chat": "c1", "user": 7})
    second = run(rig, {"chat": "c1"}, fails=True)
    third = run(rig, {"chat": "c2"})
    run(rig, None)

    assert [key["id"] for key in get(rig, "/sessions")["data"]] == ["chat", "user"]
    c2, c1 = get(rig, "/sessions/chat")["data"]
    shown = get(rig, f"/runs/{first}")["data"]
    function = {"id": "charge", "name": "charge", "app": {"id": "shop"}}
    assert c1 == {
        "id": "c1", "runCount": 2, "failedRunCount": 1, "failureRate": 0.5, "functions": [function],
        "lastActiveAt": get(rig, f"/runs/{second}")["data"]["queuedAt"],
    }  # fmt: skip
    assert (c2["id"], c2["runCount"], c2["failedRunCount"], c2["failureRate"]) == ("c2", 1, 0, 0.0)
    assert [each["id"] for each in get(rig, "/sessions/user")["data"]] == ["7"]

    listed = get(rig, "/sessions/chat/c1/runs")["data"]
    assert [each["id"] for each in listed] == [second, first]
    assert listed[1] == {
        "id": first, "function": function, "eventName": "go", "status": "COMPLETED",
        **{name: shown[name] for name in ("queuedAt", "startedAt", "endedAt")},
    }  # fmt: skip
    assert listed[0]["status"] == "FAILED"
    assert [each["id"] for each in get(rig, "/sessions/chat/c2/runs")["data"]] == [third]


def test_pages(rig: Rig) -> None:
    runs = [run(rig, {"chat": f"c{n % 5}", f"k{n}": "x"}) for n in range(10)]
    assert [key["id"] for key in pages(rig, "/sessions")] == sorted(["chat", *(f"k{n}" for n in range(10))])
    assert [each["id"] for each in pages(rig, "/sessions/chat")] == ["c4", "c3", "c2", "c1", "c0"]
    assert [each["id"] for each in pages(rig, "/sessions/chat/c1/runs")] == [runs[6], runs[1]]
    again = run(rig, {"chat": "c0"})
    assert [each["id"] for each in pages(rig, "/sessions/chat")] == ["c0", "c4", "c3", "c2", "c1"]
    assert [each["id"] for each in pages(rig, "/sessions/chat/c0/runs")] == [again, runs[5], runs[0]]


def test_a_window_and_a_part_of_the_id(rig: Rig) -> None:
    first, _, third = (run(rig, {"chat": id}) for id in ("Alpha", "beta", "Alpha"))
    at = {id: get(rig, f"/runs/{id}")["data"]["queuedAt"] for id in (first, third)}
    assert [each["id"] for each in get(rig, "/sessions/chat?search=ALP")["data"]] == ["Alpha"]
    assert [each["id"] for each in get(rig, "/sessions?search=HA")["data"]] == ["chat"]
    assert "data" not in get(rig, "/sessions?search=nothing")
    assert "data" not in get(rig, "/sessions/chat?until=2020-01-01T00:00:00Z")
    assert "data" not in get(rig, "/sessions/chat?from=2120-01-01T00:00:00Z")
    early = get(rig, f"/sessions/chat?from=2020-01-01T00:00:00Z&until={at[first]}")
    assert [(each["id"], each["runCount"]) for each in early["data"]] == [("Alpha", 1)]
    assert early["metadata"]["timeRange"]["until"] == at[first]
    late = get(rig, f"/sessions/chat/Alpha/runs?from={at[third]}")["data"]
    assert [each["id"] for each in late] == [third]


@pytest.mark.parametrize("id", ["a/b/c", "ü ☃", "runs", "a/runs", "%2F", "x" * 512, "\u0000", '"'])
def test_ids_may_be_any_text(rig: Rig, id: str) -> None:
    made = run(rig, {"chat": id})
    assert [each["id"] for each in get(rig, "/sessions/chat")["data"]] == [id]
    if "\u0000" in id or "%" in id:  # this client hands on paths as they are
        return
    assert [each["id"] for each in get(rig, f"/sessions/chat/{id}/runs")["data"]] == [made]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/sessions?limit=101", "Limit cannot exceed 100"), ("/sessions?cursor=x", "Cursor is invalid"),
        ("/sessions/chat?from=yesterday", 'parsing field "from"'), ("/sessions/chat?limit=0", "at least 1"),
        ("/sessions/chat/c1/runs?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "from must be before until"),
    ],
)  # fmt: skip
def test_bad_input(rig: Rig, path: str, text: str) -> None:
    (error,) = get(rig, path, 400)["errors"]
    assert text in error["message"]


def test_text_that_no_database_holds_is_no_accident(rig: Rig) -> None:
    body = b'{"name":"go","meta":{"sessions":{"chat":"\\ud800","\\udfff":"x"}}}'
    answer = rig.client.post("/e/key", content=body)
    assert answer.status_code in {200, 400}
    run(rig, {"chat": "c1"})
    assert "c1" in [each["id"] for each in get(rig, "/sessions/chat")["data"]]


def test_nothing_known_is_an_empty_list(rig: Rig) -> None:
    for path in ("/sessions", "/sessions/none", "/sessions/none/none/runs"):
        assert "data" not in get(rig, path)


def test_a_rerun_is_in_the_session_and_a_skipped_run_is_not(rig: Rig) -> None:
    first = run(rig, {"chat": "c1"})
    again = rig.client.post(f"/api/v2/runs/{first}/rerun", content=b"{}").json()["data"]["runId"]
    rig.client.loop.run(rig.server.partition.ended(again))
    assert [each["id"] for each in get(rig, "/sessions/chat/c1/runs")["data"]] == [again, first]
    assert rig.client.post("/v1/functions/shop-charge/pause", json={"mode": "skip"}).status_code == 200
    meta = {"sessions": {"chat": "c1", "only": "skipped"}}
    assert rig.client.post("/e/key", json={"name": "go", "meta": meta}).status_code == 200
    assert [each["id"] for each in get(rig, "/sessions/chat/c1/runs")["data"]] == [again, first]
    assert [key["id"] for key in get(rig, "/sessions")["data"]] == ["chat"]
