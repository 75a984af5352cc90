"""Events: the three generations of queries, pages, outputs and triggers of runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.book import APP_ID, ERROR, START, Book, dumps
from tests.api.conftest import recorded

from holdfast.protocol.ids import ulid
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus, SpanStatus

if TYPE_CHECKING:
    from .conftest import Api

QUERIES = recorded("queries.json")
EVER = {"from": "2020-01-01T00:00:00Z"}


def test_event_of_a_finished_run(api: Api) -> None:
    api.library.app()
    api.library.function()
    book = Book(event_name="rec/no-step").returns({"a": 1})
    api.library.run(book)
    event_id = book.event_ids[0]
    event = api.data(QUERIES["event"], id=event_id)["event"]
    assert json.loads(event["raw"]) == {"id": event_id, "name": "rec/no-step", "data": {}, "ts": START - 1}
    assert event["functionRuns"] == [{"id": book.id, "status": "COMPLETED", "output": '{"a":1}'}]
    assert (event["status"], event["totalRuns"], event["pendingRuns"]) == ("COMPLETED", 1, 0)
    event = api.data(QUERIES["eventV2"], id=event_id)["eventV2"]
    assert event["raw"] == dumps({"data": {}, "id": event_id, "name": "rec/no-step", "ts": START - 1, "v": None})
    assert (event["version"], event["envID"]) == ("", "00000000-0000-0000-0000-000000000000")
    assert event["runs"][0]["trace"] == {"status": "COMPLETED", "skipReason": None, "skipExistingRunID": None}
    assert event["occurredAt"] == "2026-11-21T05:16:18.999Z"


def test_a_run_is_listed_as_soon_as_it_is_scheduled(api: Api) -> None:
    book = Book()
    api.library.run(book)
    event = api.data(QUERIES["event"], id=book.event_ids[0])["event"]
    assert event["status"] == "RUNNING"
    assert event["functionRuns"] == [{"id": book.id, "status": "RUNNING", "output": None}]


def test_skipped_runs_belong_to_the_new_event_only(api: Api) -> None:
    book = Book(status=RunStatus.SKIPPED, detail=RunDetail(skip_reason="Singleton"))
    api.library.run(book)
    assert api.data(QUERIES["event"], id=book.event_ids[0])["event"]["functionRuns"] is None
    runs = api.data(QUERIES["eventV2"], id=book.event_ids[0])["eventV2"]["runs"]
    assert [(run["status"], run["trace"]["skipReason"]) for run in runs] == [("SKIPPED", "Singleton")]


def pages(api: Api, first: int, where: dict[str, Any]) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = api.data(QUERIES["eventsV2"], first=first, after=after, filter=EVER | where)["eventsV2"]
        found += [edge["node"]["id"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        after = page["pageInfo"]["endCursor"]


def test_event_pages(api: Api) -> None:
    names = ["rec/a", "rec/b", "inngest/function.finished"]
    events = [api.library.event(ulid(START + n, n), names[n % 3], data={"n": n}) for n in range(9)]
    api.library.event(events[0], "rec/a", received_at=START + 99)  # the same id, stored again
    external = [event for n, event in enumerate(events) if n % 3 != 2][::-1]
    assert pages(api, 2, {}) == external
    assert pages(api, 2, {"includeInternalEvents": True}) == events[::-1]
    assert pages(api, 51, {"eventNames": ["rec/b"]}) == events[1::3][::-1]
    assert pages(api, 51, {"query": "event.data.n > 5"}) == [event for event in external if event in events[6:]]
    total = api.data(QUERIES["eventsV2"], first=1, filter=EVER)["eventsV2"]["totalCount"]
    assert total == 6


def test_stream(api: Api) -> None:
    api.library.function()
    plain = api.library.event(ulid(START + 1, 1), "rec/nobody", START + 1)
    api.library.event(ulid(START + 2, 2), "inngest/function.finished", START + 2)
    book = Book(3, start=START + 3, cron="* * * * *", event_name="inngest/scheduled.timer").returns(1)
    api.library.run(book)
    items = api.data(QUERIES["stream"], query={"limit": 999, "includeInternalEvents": False})["stream"]
    assert [(item["trigger"], item["type"]) for item in items] == [("* * * * *", "CRON"), ("rec/nobody", "EVENT")]
    assert items[0]["runs"][0]["function"]["name"] == "no-step"
    items = api.data(QUERIES["stream"], query={"limit": 9, "after": plain})["stream"]
    assert [item["trigger"] for item in items] == ["* * * * *"]


def test_trigger_of_a_batch(api: Api) -> None:
    events = [api.library.event(ulid(START, n), "rec/batch", data={"n": n}) for n in (1, 2)]
    batch = ulid(START + 7, 1)
    book = Book(event_ids=events, event_name="rec/batch", batch_id=batch).returns(1)
    api.library.run(book)
    trigger = api.data(QUERIES["runTrigger"], runID=book.id)["runTrigger"]
    assert [json.loads(payload)["data"] for payload in trigger["payloads"]] == [{"n": 1}, {"n": 2}]
    assert (trigger["IDs"], trigger["isBatch"], trigger["batchID"]) == (events, True, batch)
    assert trigger["eventName"] == "rec/batch"
    run = api.data(QUERIES["run"], runID=book.id)["run"]
    assert (run["isBatch"], run["batchCreatedAt"], run["eventName"]) == (True, "2026-11-21T05:16:19.007Z", None)


def outputs(api: Api, run_id: str, *, preview: bool) -> dict[str, Any]:
    query = """query($id: String!, $p: Boolean) { run(runID: $id) { trace(preview: $p) {
      name outputID childrenSpans { name outputID childrenSpans { name outputID } } } } }"""
    found: dict[str, Any] = {}

    def collect(span: dict[str, Any]) -> None:
        if span["outputID"]:
            output = api.data(QUERIES["output"], id=span["outputID"])["runTraceSpanOutputByID"]
            found.setdefault(span["name"], []).append(output)
        for child in span.get("childrenSpans") or []:
            collect(child)

    collect(api.data(query, id=run_id, p=preview)["run"]["trace"])
    return found


def test_outputs(api: Api) -> None:
    book = Book().step("plain", {"data": 1}).step("nothing", None).step_errors("bad").step_errors("bad", retry=False)
    book.waited("call", "InvokeFunction", {"data": 42}, {"function": "f", "event_id": ulid(START, 9), "timeout": 1})
    event = {"data": {}, "id": "x", "name": "rec/answer", "ts": 1}
    book.waited("answer", "WaitForEvent", event, {"event": "rec/answer", "timeout": 1})
    book.returns({"data": "mine"})
    api.library.run(book)
    new, legacy = outputs(api, book.id, preview=True), outputs(api, book.id, preview=False)
    for found in (new, legacy):
        assert json.loads(found["plain"][0]["data"]) == {"data": 1}
        assert found["nothing"][0]["data"] == "null"
        assert found["bad"][0]["error"] == ERROR | {"cause": None}
        assert json.loads(found["answer"][0]["data"]) == event
    assert new["call"][0]["data"] == "42"
    assert json.loads(legacy["call"][0]["data"]) == {"data": 42}
    assert json.loads(new["executor.nonstep"][0]["data"]) == {"data": "mine"}
    assert json.loads(legacy["function success"][0]["data"]) == {"data": "mine"}
    assert json.loads(new["Run"][0]["data"]) == {"data": "mine"}
    assert json.loads(new["Run"][0]["input"])[0]["id"] == book.event_ids[0]


def test_outputs_of_gateways_hide_the_key(api: Api) -> None:
    import msgspec

    options = msgspec.Raw(dumps({"url": "http://u", "auth_key": "secret", "body": {"model": "m"}}).encode())
    book = Book().gateway("ask", {"data": {"id": "x"}}, input=options).returns(1)
    api.library.run(book)
    output = outputs(api, book.id, preview=True)["ask"][0]
    assert (json.loads(output["input"]), json.loads(output["data"])) == ({"model": "m"}, {"id": "x"})


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        ("plain", {"message": "", "name": None, "stack": "plain", "cause": None}),
        ('"a text"', {"message": "", "name": None, "stack": "a text", "cause": None}),
        (dumps({"error": ERROR}), ERROR | {"cause": None}),
        (dumps({"message": "m", "cause": {"a": 1}}), {"message": "m", "name": None, "stack": None, "cause": {"a": 1}}),
    ],
)
def test_error_bodies(api: Api, stored: str, error: dict[str, Any]) -> None:
    book = Book().function_errors(retry=False)
    book.rows[-1].output = book.output = stored
    api.library.run(book)
    found = outputs(api, book.id, preview=True)
    assert found["executor.nonstep"][0]["error"] == error
    assert found["Run"][0]["error"] == error


def test_history_and_its_outputs(api: Api) -> None:
    book = Book().step_errors("flaky").step("flaky", "third").plan()
    book.waited("nap", "Sleep", None, {"until": book.now + 1_000}).returns("done")
    api.library.run(book)
    run = api.data(QUERIES["functionRun"], runID=book.id)["functionRun"]
    types = [(item["type"], item["stepName"], item["attempt"]) for item in run["history"]]
    assert types == [
        ("FunctionScheduled", None, 0),
        ("FunctionStarted", None, 0),
        ("StepStarted", "step", 0),
        ("StepErrored", "flaky", 0),
        ("StepScheduled", "flaky", 1),
        ("StepStarted", "step", 1),
        ("StepCompleted", "flaky", 1),
        ("StepScheduled", None, 0),
        ("StepStarted", "step", 0),
        ("StepCompleted", "step", 0),
        ("StepSleeping", "nap", 0),
        ("StepStarted", "step", 0),
        ("StepCompleted", "step", 0),
        ("FunctionCompleted", None, 0),
    ]
    texts = {}
    for item in run["history"]:
        found = api.data(QUERIES["historyItemOutput"], runID=book.id, id=item["id"])["functionRun"]
        if found["historyItemOutput"]:
            texts[item["type"], item["stepName"]] = found["historyItemOutput"]
    assert texts == {
        ("StepErrored", "flaky"): dumps({"error": ERROR}),
        ("StepCompleted", "flaky"): '{"data":"third"}',
        ("StepCompleted", "step"): '"done"',
        ("FunctionCompleted", None): '"done"',
    }
    assert len({item["id"] for item in run["history"]}) == len(run["history"])


def history(api: Api, book: Book) -> list[dict[str, Any]]:
    api.library.run(book)
    items: list[dict[str, Any]] = api.data(QUERIES["functionRun"], id=book.id, runID=book.id)["functionRun"]["history"]
    return items


@pytest.mark.parametrize(
    ("status", "kind", "run_id"),
    [
        (SpanStatus.COMPLETED, "StepCompleted", ulid(START, 8)),
        (SpanStatus.FAILED, "StepFailed", ulid(START, 8)),
        (SpanStatus.TIMED_OUT, "StepFailed", None),
    ],
)
def test_how_an_invocation_ended(api: Api, status: SpanStatus, kind: str, run_id: str | None) -> None:
    info = {"function": "f", "event_id": ulid(START, 9), "timeout": 1, "run_id": ulid(START, 8)}
    book = Book().plan().waited("call", "InvokeFunction", {"data": 42}, info, status=status).returns(1)
    (item,) = [item for item in history(api, book) if item["stepName"] == "call"]
    assert item["type"] == kind
    late = status is SpanStatus.TIMED_OUT
    assert item["invokeFunctionResult"] == {"eventID": None, "timeout": late, "runID": run_id}


def test_steps_that_were_planned_say_when(api: Api) -> None:
    book = Book().plan()
    planned_at = book.now
    for name in ("a", "b"):
        book.queued_at = book.due = planned_at
        book.step(name, name, target=True)
    book.returns(1)
    planned = [item for item in history(api, book) if item["type"] == "StepScheduled" and item["stepName"]]
    assert [item["stepName"] for item in planned] == ["a", "b"]
    assert {item["attempt"] for item in planned} == {0}


def test_function_configuration(api: Api) -> None:
    config = {
        "id": "fcacd6e2-7e3d-5407-bdda-71780aacdd86",
        "fv": 1,
        "name": "no-step",
        "slug": "rec-py-no-step",
        "priority": {"run": "event.data.p"},
        "concurrency": [{"limit": 1, "key": "event.data.key", "scope": "Fn", "hash": "3e9bpf5fnc8qw"}],
        "debounce": {"key": "event.data.key", "period": "2s"},
        "throttle": {"limit": 1, "period": "1d30m", "burst": 1},
        "rateLimit": {"limit": 1, "period": "1m"},
        "triggers": [{"event": "a", "expression": "event.data.n > 1"}, {"cron": "* * * * *"}],
        "cancel": [{"event": "rec/cancel", "if": "event.data.id == async.data.id"}],
        "steps": [{"id": "step", "name": "step", "uri": "http://APP/x?fnId=f&stepId=step", "retries": 0}],
    }
    api.library.app()
    api.library.function(config=config)
    found = api.data(QUERIES["functionBySlug"], slug="rec-py-no-step")["functionBySlug"]
    assert found["url"] == "http://APP/x?fnId=f&stepId=step"
    assert found["triggers"] == [
        {"type": "EVENT", "value": "a", "condition": "event.data.n > 1"},
        {"type": "CRON", "value": "* * * * *", "condition": None},
    ]
    settings = found["configuration"]
    assert settings["concurrency"] == [
        {"scope": "FUNCTION", "limit": {"value": 1, "isPlanLimit": False}, "key": "event.data.key"}
    ]
    assert settings["retries"] == {"value": 0, "isDefault": False}
    assert (settings["priority"], settings["debounce"]) == ("event.data.p", {"period": "2s", "key": "event.data.key"})
    assert (settings["throttle"]["period"], settings["rateLimit"]["period"]) == ("24h30m0s", "1m")
    assert settings["cancellations"][0]["condition"] == "event.data.id == async.data.id"
    app = api.data(QUERIES["app"], id=APP_ID)["app"]
    assert (app["externalID"], app["method"], app["functions"]) == ("rec-py", "SERVE", [{"slug": "rec-py-no-step"}])
