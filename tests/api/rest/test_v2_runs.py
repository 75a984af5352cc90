"""REST v2 over a whole server, with an app that is played: runs, traces, invoking, scores (`http-apis.md` §10)."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.telemetry import Rig, one_step

from holdfast.protocol.ids import step_hash
from holdfast.server.store.sqlite.history import SqliteHistory

if TYPE_CHECKING:
    from collections.abc import Iterator

INVOKE = "/v2/apps/shop/functions/charge/invoke"
NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(one_step()) as rig:
        yield rig


def get(rig: Rig, path: str, status: int = 200) -> Any:
    answer = rig.client.get(f"/api/v2{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def post(rig: Rig, path: str, body: Any = None, status: int = 200) -> Any:
    answer = rig.client.post(f"/api/v2{path}", content=json.dumps(body).encode() if body is not None else b"")
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_run(rig: Rig) -> None:
    run = rig.run()
    data = get(rig, f"/runs/{run}?includeOutput=true")["data"]
    assert data["function"] == {"id": "charge", "name": "charge"}
    assert data["app"] == {"id": "shop"}
    assert data["status"] == "COMPLETED"
    assert int(data["durationMs"]) >= 0
    assert len(data["trigger"]["eventIds"]) == 1
    assert isinstance(data["output"], dict)
    shown = get(rig, f"/runs/{run.lower()}")["data"]
    assert "output" not in shown
    assert shown == {name: value for name, value in data.items() if name != "output"}


def test_pages_of_runs(rig: Rig) -> None:
    runs = [rig.run() for _ in range(5)]
    seen: list[str] = []
    path = "/runs?limit=2"
    while True:
        page = get(rig, path)
        seen += [run["id"] for run in page.get("data", [])]
        if not page["page"].get("hasMore"):
            break
        cursor = page["page"]["cursor"]
        assert json.loads(base64.b64decode(cursor))["id"] == seen[-1]
        path = f"/runs?limit=2&cursor={cursor.replace('=', '%3D')}"
    assert seen == sorted(runs, reverse=True)
    assert page["page"] == {"limit": 2}
    ascending = get(rig, "/apps/shop/functions/charge/runs?order=ASC&limit=100&timeField=ENDED_AT")
    assert {run["id"] for run in ascending["data"]} == set(runs)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=COMPLETED", True), ("status=FAILED", False), ("status=FAILED&status=COMPLETED", True),
        ("appId=shop", True), ("app_id=shop", True), ("appId=other", False), ("appId=other&appId=shop", True),
        ("appId=shop&functionId=charge", True), ("appId=shop&functionId=shop-charge", True),
        ("appId=shop&functionId=other", False), ("isDeferred=true", False), ("isDeferred=false", True),
        ("from=2020-01-01T00:00:00Z", True), ("until=2020-01-01T00:00:00Z", False),
        ("from=2020-01-01T00:00:00Z&timeField=startedAt", True), ("limit=0", True),
    ],
)  # fmt: skip
def test_filters(rig: Rig, query: str, found: bool) -> None:
    run = rig.run()
    page = get(rig, f"/runs?{query}")
    assert [each["id"] for each in page.get("data", [])] == ([run] if found else [])


def test_a_window_is_told(rig: Rig) -> None:
    page = get(rig, "/runs?from=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z")
    assert page["metadata"]["timeRange"] == {"from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}
    assert "data" not in page


def test_a_page_is_a_bounded_number_of_statements(rig: Rig) -> None:
    for _ in range(6):
        rig.run()
    readers = rig.server.history.readers
    calls = 0
    call = readers.call

    async def counting(work: Any) -> Any:
        nonlocal calls
        calls += 1
        return await call(work)

    readers.call = counting  # type: ignore[method-assign]
    get(rig, "/runs?limit=6&includeOutput=true&appId=shop&functionId=charge")
    assert 3 <= calls <= 6


def test_trace(rig: Rig) -> None:
    run = rig.run()
    root = get(rig, f"/runs/{run}/trace?includeOutput=true")["data"]["rootSpan"]
    assert root["name"] == "Run"
    assert root["status"] == "COMPLETED"
    assert root["input"]["data"][0]["name"] == "go"
    steps = [span for span in root["children"] if span.get("stepId") == step_hash("charge")]
    assert steps
    assert all(span["stepOp"] == "RUN" for span in steps)
    assert all(isinstance(span["durationMs"], str) for span in steps)
    assert any("output" in span for span in steps)
    timing = next(entry for span in root["children"] for entry in span.get("metadata", ()))
    assert all(isinstance(value, str) for value in timing["values"].values())
    bare = get(rig, f"/runs/{run}/trace")["data"]["rootSpan"]
    assert "input" not in bare
    assert "output" not in bare


def test_runs_of_an_event(rig: Rig) -> None:
    run = rig.run()
    (event,) = get(rig, f"/runs/{run}")["data"]["trigger"]["eventIds"]
    again = post(rig, f"/runs/{run}/rerun")["data"]["runId"]
    assert [each["id"] for each in get(rig, f"/events/{event}/runs")["data"]] == [again, run]
    first = get(rig, f"/events/{event}/runs?limit=1")
    assert first["page"] == {"cursor": again, "hasMore": True, "limit": 1}
    assert [each["id"] for each in get(rig, f"/events/{event}/runs?limit=1&cursor={again}")["data"]] == [run]


def test_rerun_from_a_step_by_its_name(rig: Rig) -> None:
    run = rig.run()
    again = post(rig, f"/runs/{run}/rerun", {"fromStep": {"stepId": "charge", "input": [1]}})["data"]["runId"]
    assert again != run
    assert post(rig, f"/runs/{run}/rerun", {"from_step": {"step_id": "charge"}})["data"]["runId"] not in {run, again}
    for given, code, text in (
        ({"stepId": "refund"}, "invalid_request", "Step not found in original run"),
        ({"stepId": ""}, "missing_field", "Step ID is required"),
        ({}, "missing_field", "Step ID is required"),
        ({"stepId": "charge", "input": {}}, "invalid_field_format", "Step input must be an array"),
    ):
        refused = post(rig, f"/runs/{run}/rerun", {"fromStep": given}, 400)
        assert refused == {"errors": [{"code": code, "message": text}]}


def ask(rig: Rig, query: str, **variables: Any) -> Any:
    answer = rig.client.post(
        "/v0/gql",
        content=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"content-type": "application/json"},
    ).json()
    assert "errors" not in answer, answer
    return answer["data"]


def test_rerun_from_a_step_with_another_output(rig: Rig) -> None:
    run = rig.run()
    step = {"stepID": step_hash("charge"), "output": '{"paid": 7}'}
    query = "mutation ($id: ULID!, $from: RerunFromStepInput) { rerun(runID: $id, fromStep: $from) }"
    again = ask(rig, query, id=run, **{"from": step})["rerun"]
    rig.wait_calls(3)  # two of the first run, and one that has the step already
    shown = """query ($id: String!) { run(runID: $id) {
        originalRunID reruns { id } savedSteps { stepID kept failed size digest output } } }"""
    first, second = ask(rig, shown, id=run)["run"], ask(rig, shown, id=again)["run"]
    assert (first["originalRunID"], [each["id"] for each in first["reruns"]]) == (None, [again])
    assert (second["originalRunID"], second["reruns"]) == (run, [])
    (made,), (edited,) = first["savedSteps"], second["savedSteps"]
    one = "query ($id: String!, $step: String) { run(runID: $id) { savedSteps(stepID: $step) { stepID } } }"
    assert ask(rig, one, id=again, step=step["stepID"])["run"] == {"savedSteps": [{"stepID": step["stepID"]}]}
    assert ask(rig, one, id=again, step="0" * 40)["run"] == {"savedSteps": []}
    assert (made["stepID"], made["kept"], edited["stepID"], edited["kept"]) == (
        step["stepID"], False, step["stepID"], True,
    )  # fmt: skip
    assert edited["output"] == '{"data":{"paid": 7}}'
    assert (edited["size"], edited["failed"]) == (20, False)
    assert edited["digest"] != made["digest"]


def test_what_is_not_needed_is_not_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list without a filter by app reads no list of apps; one step's output, or its name, no other outputs."""
    run = rig.run()

    async def refuse(*_: object) -> Any:
        raise AssertionError("was read")

    monkeypatch.setattr(SqliteHistory, "apps", refuse)
    monkeypatch.setattr(SqliteHistory, "traces", refuse)
    assert get(rig, "/runs")["data"]
    one = "query ($id: String!, $step: String) { run(runID: $id) { savedSteps(stepID: $step) { output } } }"
    assert ask(rig, one, id=run, step=step_hash("charge"))["run"]["savedSteps"]
    assert post(rig, f"/runs/{run}/rerun", {"fromStep": {"stepId": "charge"}})["data"]["runId"]


def test_cancel(rig: Rig) -> None:
    ended = rig.run()
    assert post(rig, f"/runs/{ended}/cancel", status=409)["errors"][0]["code"] == "run_already_ended"
    rig.app.answer = lambda _headers, _body: (500, {"message": "later"})
    function = next(iter(rig.server.partition._engine._core.registry.functions.values()))
    rig.client.post(f"/v1/functions/{function.id}/pause")
    event = rig.send()
    (run,) = get(rig, f"/events/{event}/runs")["data"]
    assert run["status"] == "QUEUED"
    assert get(rig, "/apps/shop/functions/charge")["data"]["isPaused"]
    assert post(rig, f"/runs/{run['id']}/cancel")["data"] == {"runId": run["id"]}
    assert post(rig, f"/runs/{run['id']}/cancel", status=409)["errors"][0]["code"] == "run_already_cancelled"


def test_an_idempotency_key_starts_one_run(rig: Rig) -> None:
    first = post(rig, INVOKE[3:], {"data": {"n": 1}, "idempotencyKey": "once"})
    second = post(rig, INVOKE[3:], {"data": {"n": 2}, "idempotency_key": "once"}, 409)
    assert first["data"] == second["data"]
    other = post(rig, INVOKE[3:], {"data": {"n": 1}, "idempotencyKey": "twice"})
    assert other["data"] != first["data"]
    assert len({post(rig, INVOKE[3:], {"data": {}})["data"]["runId"] for _ in range(2)}) == 2


def test_an_idempotency_key_that_comes_twice_at_once(rig: Rig) -> None:
    function = next(iter(rig.server.partition._engine._core.registry.functions))

    async def both() -> list[Any]:
        import asyncio

        service = rig.server.service
        return await asyncio.gather(*(service.invoke_function(function, b"{}", "k") for _ in range(2)))

    first, second = rig.client.loop.run(both())
    assert first.run_id == second.run_id != ""
    assert first.outcome is not second.outcome


def test_invoked_data_comes_as_it_was_sent(rig: Rig) -> None:
    bodies: list[Any] = []
    answer = rig.app.answer
    rig.app.answer = lambda headers, body: bodies.append(body) or answer(headers, body)  # type: ignore[func-returns-value]
    run = post(rig, INVOKE[3:], {"data": {"id": 12345678901234567890, "x": 1.0}})["data"]["runId"]
    rig.client.loop.run(rig.server.partition.ended(run))
    data = bodies[0]["event"]["data"]
    assert (data["id"], data["x"]) == (12345678901234567890, 1.0)


def test_held_back_invocations_tell_why(rig: Rig) -> None:
    function = next(iter(rig.server.partition._engine._core.registry.functions.values()))
    rig.client.post(f"/v1/functions/{function.id}/pause", json={"mode": "skip"})
    refused = post(rig, INVOKE[3:], {"data": {}}, 422)
    assert refused["errors"][0]["code"] == "function_skipped"


@pytest.mark.parametrize(
    ("setting", "code", "first"),
    [
        ({"rateLimit": {"limit": 1, "period": "1h"}}, "rate_limited", 200),
        ({"debounce": {"period": "1h"}}, "function_debounced", 422),
        ({"batchEvents": {"maxSize": 2, "timeout": "60s"}}, "function_debounced", 422),
    ],
)
def test_flow_control_of_invocations(rig: Rig, setting: Any, code: str, first: int) -> None:
    url = "http://localhost:1/"
    step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": url}}
    function = {"id": "held-f", "name": "f", "triggers": [{"event": "x"}], "steps": {"step": step}, **setting}
    app = {"v": "0.1", "url": url, "deployType": "ping", "sdk": "raw:v1", "appName": "held", "functions": [function]}
    assert rig.client.post("/fn/register", json=app).status_code == 200
    answers = [rig.client.post("/v2/apps/held/functions/f/invoke", json={"data": {}}) for _ in range(2)]
    assert answers[0].status_code == first
    if setting.get("batchEvents"):  # the second one fills the batch, whose run starts
        assert answers[1].status_code == 200
        return
    assert answers[1].status_code == 422
    assert answers[1].json()["errors"][0]["code"] == code


def test_events(rig: Rig) -> None:
    sent = post(rig, "/events", {"name": "go", "data": {"n": 1}, "ts": "1795238181519"})["data"]["eventId"]
    (run,) = get(rig, f"/events/{sent}/runs")["data"]
    assert run["trigger"]["eventIds"] == [sent]
    event = rig.client.get(f"/v1/events/{sent}").json()["data"]
    assert (event["data"], event["ts"]) == ({"n": 1}, 1795238181519)
    long = post(rig, "/events", {"name": "x" * 513}, 400)
    assert long["errors"][0]["message"] == "Event name cannot exceed 512 characters"


def test_large_events(rig: Rig) -> None:
    event = {"name": "go", "data": {"x": "y" * 3_145_728}}
    assert post(rig, "/events", event, 413)["errors"] == [
        {"code": "invalid_request", "message": "Request body cannot exceed 3145728 bytes"}
    ]


def test_scores(rig: Rig) -> None:
    run = rig.run()
    given = [
        {"name": "accuracy", "value": 0.5}, {"name": "good", "value": True, "stepId": "charge"},
        {"name": "won", "value": 1, "experiment": {"id": "prompt", "variant": "b"}},
    ]  # fmt: skip
    recorded = post(rig, f"/runs/{run}/scores", given)["data"]
    assert recorded == [{"runId": run, **score} for score in given]
    root = get(rig, f"/runs/{run}/trace")["data"]["rootSpan"]
    kept = {entry["kind"]: entry["values"] for entry in root["metadata"]}
    assert json.loads(kept["inngest.score"]["accuracy"]) == {"value": 0.5}
    assert json.loads(kept["inngest.experiment"]["variant"]) == "b"
    of_steps = [entry for span in root["children"] for entry in span.get("metadata", ()) if "score" in entry["kind"]]
    assert json.loads(of_steps[0]["values"]["good"]) == {"value": True}
    assert post(rig, f"/runs/{NOBODY}/scores", given[:1], 404)["errors"][0]["code"] == "not_found"


def test_apps_and_functions(rig: Rig) -> None:
    app = get(rig, "/apps/shop")["data"]
    assert (app["id"], app["method"], app["functionCount"]) == ("shop", "SERVE", 1)
    (stored,) = rig.client.loop.run(rig.server.history.apps())
    assert get(rig, f"/apps/{stored.id}")["data"] == app
    function = get(rig, "/apps/shop/functions/charge")["data"]
    assert function["triggers"] == [{"type": "EVENT", "value": "go"}]
    assert function["configuration"] == {
        "retries": {"isDefault": False},
        "concurrency": [{"scope": "ACCOUNT", "limit": {"value": -1, "isPlanLimit": True}}],
    }
    assert get(rig, "/apps/shop/functions")["data"] == [function]
    rig.client.request("DELETE", f"/fn/remove?url={stored.url}")
    assert "data" not in get(rig, "/apps")
    (archived,) = get(rig, "/apps?archived=true")["data"]
    assert archived["isArchived"]
    assert archived["archivedAt"]


def test_sync_of_an_app_that_is_not_there(rig: Rig) -> None:
    answer = post(rig, "/apps/other/syncs", {"url": "http://127.0.0.1:1/api/inngest"}, 422)["data"]
    assert (answer["status"], answer["appId"]) == ("error", "other")
    assert answer["error"]["code"] == "app_sync_failed"


def test_a_key_outlives_a_restart(tmp_path: Any) -> None:
    with Rig(one_step(), directory=tmp_path, persist=True) as rig:
        run = post(rig, INVOKE[3:], {"data": {}, "idempotencyKey": "once"})["data"]["runId"]
    with contextlib.closing(sqlite3.connect(tmp_path / "main.db")) as db:
        rows = db.execute("SELECT run_id FROM idempotency").fetchall()
    assert rows == [(run,)]
    with Rig(one_step(), directory=tmp_path, persist=True) as rig:
        assert post(rig, INVOKE[3:], {"data": {}, "idempotencyKey": "once"}, 409)["data"]["runId"] == run
