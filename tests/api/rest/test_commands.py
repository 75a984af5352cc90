"""Mutations, REST reads and commands, development tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.book import APP_ID, FUNCTION_ID, START, Book
from tests.api.client import Client
from tests.api.conftest import recorded

from holdfast.protocol.ids import ulid
from holdfast.server.api.common.backend import CancelOutcome, RunSnapshot, ServerInfo, Worker, WorkerState
from holdfast.server.api.operators import devtools
from holdfast.server.model.job import Job, JobKind

if TYPE_CHECKING:
    from .conftest import Api

QUERIES = recorded("queries.json")
RUN = ulid(START, 1)
FORM = {"content-type": "application/x-www-form-urlencoded"}


def errors(body: dict[str, Any]) -> list[str]:
    return [error["message"] for error in body.get("errors", [])]


def test_invoke(api: Api) -> None:
    assert api.data(QUERIES["invokeFunction"], slug="f", data={"n": 1}, user=None) == {"invokeFunction": True}
    given = {"data": b'{"n":1}', "user": None, "sessions": None, "debug_run_id": "", "debug_session_id": ""}
    assert api.backend.commands == [("invoke", "f", given)]
    query = 'mutation($m: Map) { invokeFunction(functionSlug: "f", meta: $m) }'
    assert api.data(query, m={"sessions": {"a": "b"}}) == {"invokeFunction": True}
    assert api.backend.commands[-1][2]["sessions"] == b'{"a":"b"}'
    assert api.data(query, m={"sessions": {"a": 1.5, "b": None}}) == {"invokeFunction": True}
    assert api.backend.commands[-1][2]["sessions"] == b'{"a":"1.5"}'  # as of events that are sent


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"x": 1}, 'event meta "x" is not supported'),
        ({"sessions": 5}, "event sessions must be an object, not number"),
        ({"sessions": {"a": True}}, 'event session "a" must be a string, number, or null'),
        ({"sessions": {"a": ""}}, 'event session "a" cannot have an empty ID'),
        ({"sessions": {str(n): "x" for n in range(6)}}, "event sessions can include at most 5 entries"),
    ],
)
def test_sessions_that_are_none(api: Api, meta: dict[str, object], message: str) -> None:
    query = 'mutation($m: Map) { invokeFunction(functionSlug: "f", meta: $m) }'
    assert errors(api.gql(query, m=meta)) == [message]
    assert api.backend.commands == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{n: 1e400}", "data: a number is beyond the range of JSON numbers, which ends at 1.8e308"),
        (f"{{n: [{'9' * 400}]}}", f"data: number {'9' * 20}… is beyond the range of JSON numbers, which are doubles"),
    ],
)
def test_data_that_no_call_could_hand_on(api: Api, data: str, message: str) -> None:
    (told,) = errors(api.gql(f'mutation {{ invokeFunction(functionSlug: "f", data: {data}) }}'))
    assert told.startswith(message)
    assert api.backend.commands == []


def test_large_numbers_of_an_invocation_keep_their_digits(api: Api) -> None:
    number = "9" * 30
    api.gql(f'mutation {{ invokeFunction(functionSlug: "f", data: {{n: {number}}}) }}')
    assert api.backend.commands[-1][2]["data"] == f'{{"n":{number}}}'.encode()


@pytest.mark.parametrize("member", ["input", "output"])
@pytest.mark.parametrize("value", ["1e400", "9" * 400, "[" * 1_100 + "]" * 1_100])
def test_a_rerun_with_what_no_call_could_hand_on(api: Api, member: str, value: str) -> None:
    step = {"stepID": "s", member: f"[{value}]"}
    query = "mutation($id: ULID!, $step: RerunFromStepInput) { rerun(runID: $id, fromStep: $step) }"
    (told,) = errors(api.gql(query, id=RUN, step=step))
    assert told.startswith((f"{member}: number ", f"{member}: exceeded max depth", f"{member} is not"))
    assert api.backend.commands == []


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (CancelOutcome.MISSING, "not found"),
        (CancelOutcome.ENDED, "cannot cancel an ended run"),
        (CancelOutcome.CANCELLED, None),
        (CancelOutcome.ALREADY_CANCELLED, None),
    ],
)
def test_cancel(api: Api, outcome: CancelOutcome, message: str | None) -> None:
    book = Book().step("a", 1).cancel()
    api.library.run(book)
    api.backend.cancelled = outcome
    body = api.gql(QUERIES["cancelRun"], runID=book.id)
    assert errors(body) == ([message] if message else [])
    if message is None:
        assert body["data"]["cancelRun"]["status"] == "CANCELLED"


def test_rerun(api: Api) -> None:
    api.backend.rerun_id = RUN
    assert api.data(QUERIES["rerun"], runID=RUN, fromStep={"stepID": "abc", "input": '["x"]'}) == {"rerun": RUN}
    given = {"from_step": "abc", "input": b'["x"]', "output": None, "debug_run_id": "", "debug_session_id": ""}
    assert api.backend.commands == [("rerun", RUN, given)]
    for bad in ("nonsense", "{}", ""):
        body = api.gql(QUERIES["rerun"], runID=RUN, fromStep={"stepID": "abc", "input": bad})
        assert errors(body) == ["input is not a valid JSON array"]


def test_rerun_with_another_output(api: Api) -> None:
    api.backend.rerun_id = RUN
    asked = """mutation ($runID: ULID!, $fromStep: RerunFromStepInput) { rerun(runID: $runID, fromStep: $fromStep) }"""
    assert api.data(asked, runID=RUN, fromStep={"stepID": "abc", "output": '{"n": 2}'}) == {"rerun": RUN}
    assert api.backend.commands[0][2]["output"] == b'{"n": 2}'
    assert errors(api.gql(asked, runID=RUN, fromStep={"stepID": "abc", "output": "{"})) == ["output is not valid JSON"]
    both = errors(api.gql(asked, runID=RUN, fromStep={"stepID": "abc", "output": "1", "input": "[]"}))
    assert both == ["set the step's input or its output, not both"]
    assert len(api.backend.commands) == 1


def test_apps(api: Api) -> None:
    api.backend.app_error = "unreachable"
    assert errors(api.gql(QUERIES["createApp"], url="localhost:9/api")) == ["unreachable"]
    assert api.backend.commands == [("create_app", "http://localhost:9/api")]
    api.backend.app_error = None
    assert errors(api.gql(QUERIES["createApp"], url="localhost:9/api")) == ["There was an error creating your app"]
    api.library.app(error="unreachable", url="http://localhost:9/api")
    app = api.data(QUERIES["createApp"], url="localhost:9/api")["createApp"]
    assert (app["id"], app["error"]) == (APP_ID, "unreachable")
    assert errors(api.gql(QUERIES["updateApp"], id="x", url="http://u")) == ["internal system error"]
    assert errors(api.gql(QUERIES["updateApp"], id=APP_ID, url="http://u")) == ["sql: no rows in result set"]
    assert errors(api.gql(QUERIES["deleteApp"], id="nonsense")) == ["invalid UUID length: 8"]
    assert api.data(QUERIES["deleteApp"], id=APP_ID) == {"deleteApp": APP_ID}
    assert api.data(QUERIES["deleteAppByName"], name="none") == {"deleteAppByName": False}


def test_debug_sessions(api: Api) -> None:
    api.library.function()
    session = api.data(QUERIES["createDebugSession"], slug="rec-py-no-step")["createDebugSession"]
    book = Book().step("a", 1).returns(1)
    book.detail.debug_run_id, book.detail.debug_session_id = session["debugRunID"], session["debugSessionID"]
    api.library.run(book)
    query = """query($s: String!, $r: String, $d: String) {
      debugRun(query: {functionSlug: $s, debugRunID: $r}) { debugTraces { status debugRunID } }
      debugSession(query: {functionSlug: $s, debugSessionID: $d}) { debugRuns { status debugRunID } } }"""
    given = {"s": "rec-py-no-step", "r": session["debugRunID"], "d": session["debugSessionID"]}
    found = {"status": "COMPLETED", "debugRunID": session["debugRunID"]}
    assert api.data(query, **given) == {"debugRun": {"debugTraces": [found]}, "debugSession": {"debugRuns": [found]}}
    assert errors(api.gql(query, **given | {"d": RUN})) == ["debug session not found"]


def test_workers(api: Api) -> None:
    ids = [ulid(START, number) for number in range(3)]
    states = [WorkerState.READY, WorkerState.DISCONNECTED, WorkerState.READY]
    api.backend.connections = [
        Worker(id, RUN, "instance", state, START + number, "hash", app_id=APP_ID)
        for number, (id, state) in enumerate(zip(ids, states, strict=True))
    ]
    order = [{"field": "CONNECTED_AT", "direction": "DESC"}]

    def listed(**where: Any) -> list[str]:
        found = api.data(QUERIES["workerConnections"], order=order, filter=where)["workerConnections"]
        assert found["totalCount"] == len(found["edges"])
        return [edge["node"]["id"] for edge in found["edges"]]

    assert listed() == ids[::-1]
    assert listed(status=["READY"]) == [ids[2], ids[0]]
    assert listed(appIDs=[FUNCTION_ID]) == []
    query = "query($id: ULID!) { workerConnection(connectionId: $id) { status } }"
    assert api.data(query, id=ids[1]) == {"workerConnection": {"status": "DISCONNECTED"}}
    assert errors(api.gql(query, id=ulid(START, 9))) == ["sql: no rows in result set"]


def test_persisted_queries(api: Api) -> None:
    import hashlib

    text = "{ __typename }"
    extension = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
    unknown = api.client.post("/v0/gql", json={"extensions": extension}).json()
    assert errors(unknown) == ["PersistedQueryNotFound"]
    for body in ({"query": text, "extensions": extension}, {"extensions": extension}):
        assert api.client.post("/v0/gql", json=body).json() == {"data": {"__typename": "Query"}}


def test_defects_of_resolvers_are_told_without_detail(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(api.backend, "delete_app_by_name", broken)
    body = api.gql(QUERIES["deleteAppByName"], name="x")
    assert body == {"errors": [{"message": "internal system error", "path": ["deleteAppByName"]}], "data": None}


def test_state_of_a_live_run(api: Api) -> None:
    api.backend.state = RunSnapshot({"bb": b'{"data":1}', "aa": b"null"}, [b'{"name":"a"}', b'{"name":"b"}'])
    actions = api.client.get(f"/v0/runs/{RUN}/actions")
    assert (actions.status_code, actions.text) == (200, '{"bb":{"data":1},"aa":null}\n')
    assert api.client.get(f"/v0/runs/{RUN.lower()}/batch").json() == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    ("outcome", "v0", "v1"),
    [
        (CancelOutcome.MISSING, 404, 404),
        (CancelOutcome.ENDED, 409, 200),
        (CancelOutcome.ALREADY_CANCELLED, 204, 200),
        (CancelOutcome.CANCELLED, 204, 200),
    ],
)
def test_cancel_over_rest(api: Api, outcome: CancelOutcome, v0: int, v1: int) -> None:
    api.backend.cancelled = outcome
    assert api.client.delete(f"/v0/runs/{RUN}").status_code == v0
    assert api.client.delete(f"/v1/runs/{RUN}").status_code == v1


def test_runs_over_rest(api: Api) -> None:
    book = Book().returns({"a": 1})
    api.library.run(book)
    answer = api.client.get(f"/v1/runs/{book.id}")
    assert answer.headers["cache-control"] == "private, max-age=3"
    assert answer.json()["data"] == {
        "run_id": book.id,
        "run_started_at": "2026-11-21T05:16:19Z",
        "function_id": FUNCTION_ID,
        "function_version": 0,
        "environment_id": "00000000-0000-4000-b000-000000000000",
        "event_id": book.event_ids[0],
        "status": "Completed",
        "ended_at": "2026-11-21T05:16:19.017Z",
        "output": {"a": 1},
    }
    runs = api.client.get(f"/v1/events/{book.event_ids[0]}/runs").json()["data"]
    assert [run["run_id"] for run in runs] == [book.id]
    open_run = Book(2)
    open_run.jobs.append(Job(open_run.id, 0, JobKind.START, "job", START, START, 5, attempt=2))
    api.library.run(open_run)
    (job,) = api.client.get(f"/v1/runs/{open_run.id}/jobs").json()["data"]
    assert (job["JobID"], job["kind"], job["attempt"], job["position"]) == ("job", "start", 2, 0)
    found = api.client.get(f"/v1/runs/{open_run.id}").json()["data"]
    assert (found["status"], found["ended_at"], "output" in found) == ("Running", None, False)


def test_output_that_is_no_json(api: Api) -> None:
    book = Book().returns(1)
    book.output = "plain"
    api.library.run(book)
    assert api.client.get(f"/v1/runs/{book.id}").json()["data"]["output"] == "plain"
    assert api.data(QUERIES["run"], runID=book.id)["run"]["output"] == "plain"


def test_events_over_rest(api: Api) -> None:
    api.backend.now = START + 7_200_000
    old = api.library.event(ulid(START, 1), "rec/a", received_at=START)
    new = [
        api.library.event(ulid(START + 7_000_000, number), "rec/b", received_at=START + 7_000_000 + number)
        for number in (2, 3)
    ]
    api.library.event(ulid(START + 7_000_000, 4), "inngest/x", received_at=START + 7_000_000)

    def listed(query: str = "") -> list[str]:
        return [event["internal_id"] for event in api.client.get(f"/v1/events{query}").json()["data"]]

    assert listed() == new[::-1]
    assert listed("?limit=1") == [new[1]]
    assert listed("?limit=1&cursor=" + new[1]) == [new[0]]
    forms = [
        "2020-01-01", "2020-01-01T00:00:00%2B02:00", "2020-01-01%2000:00:00", "2020-01-01%2000:00:00.5%2B02:00",
        "2020-01-01T10:30", "1577836800", "1577836800000", "01/31/2020", "01/31/2020+10:30:00", "Jan+31,+2020",
        "31+January+2020",
    ]  # fmt: skip
    for form in forms:
        assert listed(f"?received_after={form}") == [*new[::-1], old], form
    assert listed("?received_after=2020-01-01&received_before=2026-11-21T05:20:00Z&name=rec/a") == [old]
    event = api.client.get(f"/v1/events/{old}").json()["data"]
    assert (event["id"], event["data"], event["ts"], event["source_id"]) == (old, {}, START, None)
    assert "user" not in event


def test_functions_over_rest(api: Api) -> None:
    api.library.app()
    api.library.function()
    (function,) = api.client.get("/v1/apps/rec-py/functions").json()
    assert (function["id"], function["archived_at"]) == ("rec-py-no-step", "0001-01-01T00:00:00Z")
    assert function["config"]["triggers"] == [{"event": "rec/no-step"}]
    assert api.client.get("/v1/apps/none/functions").json() == []


def test_signals(api: Api) -> None:
    api.backend.signalled = RUN
    answer = api.client.post("/v1/signals", json={"signal": "s", "data": {"n": 1}})
    assert answer.json()["data"] == {"run_id": RUN}
    assert json.loads(api.backend.commands[0][2]) == {"n": 1}


def test_dev(api: Api) -> None:
    api.library.app()
    api.library.function()
    answer = api.client.get("/dev")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert [function["slug"] for function in body["functions"]] == ["rec-py-no-step"]
    assert (body["handlers"], body["authed"], body["features"]) == (None, False, {"run-details-v4": True})
    assert answer.text.startswith('{\n  "version": "dev-",\n')
    api.backend.info = ServerInfo("cloud", "1")
    assert api.client.get("/dev").status_code == 404


def test_limits(api: Api) -> None:
    form = f"functionId={FUNCTION_ID}&limit=3".encode()
    for path, command in (("step-limit", "set_step_limit"), ("state-size-limit", "set_state_size_limit")):
        assert api.client.post(f"/fn/{path}", content=form, headers=FORM).status_code == 200
        assert api.backend.commands[-1] == (command, FUNCTION_ID, 3)
        api.backend.limited = True
        assert api.client.delete(f"/fn/{path}?functionId={FUNCTION_ID}").status_code == 200
        api.backend.limited = False
        assert api.client.delete(f"/fn/{path}?functionId={FUNCTION_ID}").status_code == 404
        bad = api.client.post(f"/fn/{path}?functionId={FUNCTION_ID}&limit=x")
        assert (bad.status_code, bad.json()["error"]) == (400, "Invalid limit: x")


def test_remove(api: Api) -> None:
    answer = api.client.delete("/fn/remove?url=http%3A%2F%2Fgone")
    assert (answer.status_code, answer.json()["error"]) == (404, "App not found: http://gone")
    api.backend.apps = True
    assert api.client.delete("/fn/remove?url=http%3A%2F%2Fgone").status_code == 200


def test_test_routes(api: Api) -> None:
    from starlette.applications import Starlette

    assert api.client.get("/test/").status_code == 404
    client = Client(Starlette(routes=devtools.routes(api.backend, test_mode=True)))
    assert client.get("/test/").text == "OK"
    assert client.post("/test/reset").text == "ok"
    assert client.post("/test/function/pause", content=f"fnId={FUNCTION_ID}".encode()).text == "OK"
    ids = f"accountId={APP_ID}&fnId={FUNCTION_ID}"
    assert client.get(f"/test/queue/function-queue-size?{ids}").json() == {"count": 3}
    assert client.post(f"/test/function/runs/cancel?{ids}&runId={RUN}").text == "OK"
    bad = client.get("/test/queue/function-queue-size?accountId=x")
    assert (bad.status_code, bad.text) == (400, "Invalid accountId")
    assert client.post(f"/test/function/runs/cancel?{ids}").text == "Invalid runId"
    client.close()
