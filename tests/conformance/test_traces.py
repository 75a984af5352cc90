"""Both trace trees of ten kinds of run, as the dev UI and the SDKs' own suites read them (graphql.md §12, §13).

A tree is compared as an outline, one line for each span: name, status, and in the new tree the step type. A
checkpointing app (JavaScript's default) has a tree of its own shape: no discovery groups and no `Finalization`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from .harness import decode, walk

if TYPE_CHECKING:
    from .harness import App

Json = dict[str, Any]


def outline(span: Json, depth: int = 0) -> str:
    """The tree below the root: `name STATUS type #attempts`, with attempts where there are any."""
    lines = []
    for child in span["childrenSpans"]:
        attempts = f" #{child['attempts']}" if child["attempts"] else ""
        kind = f" {child['stepType']}" if child["stepType"] else ""
        lines += [f"{'  ' * depth}{child['name']} {child['status']}{kind}{attempts}"]
        lines += [outline(child, depth + 1)] if child["childrenSpans"] else []
    return "\n".join(lines)


def text(block: str) -> str:
    return textwrap.dedent(block).strip("\n")


def new_tree(app: App, run_id: str) -> Json:
    root = app.platform.trace(run_id, preview=True)
    assert root["isRoot"]
    check_ids_and_times(root)
    return root


def legacy_tree(app: App, run_id: str) -> Json:
    root = app.platform.trace(run_id, preview=False)
    assert root["isRoot"]
    assert all(span["parentSpanID"] == root["spanID"] for span in root["childrenSpans"])
    return root


def parse(moment: str) -> dt.datetime:
    """Fractions come with as many digits as they need, so texts can't be compared."""
    return dt.datetime.fromisoformat(moment)


def check_ids_and_times(root: Json) -> None:
    for span in walk(root):
        assert span["runID"] == root["runID"]
        if span["endedAt"] and span["startedAt"]:
            assert parse(span["startedAt"]) <= parse(span["endedAt"])
        assert (span["endedAt"] is None) == (span["status"] not in {"COMPLETED", "FAILED", "CANCELLED", "SKIPPED"})


def find(tree: Json, name: str) -> list[Json]:
    return [span for span in walk(tree) if span["name"] == name]


def skip_checkpointing(app: App) -> None:
    if app.checkpoints:
        pytest.skip("checkpointed runs have a tree of their own shape")


def test_no_step(app: App) -> None:
    run = app.finish("no-step")
    root = new_tree(app, run.id)
    assert root["status"] == "COMPLETED"
    output = app.platform.span_output(root["outputID"])
    assert decode(output["data"]) == run.output
    if app.checkpoints:
        assert outline(root) == "executor.nonstep COMPLETED"
        return
    assert root["name"] == "Run"
    assert outline(root) == text("""
        Finalization COMPLETED FINALIZATION
        executor.nonstep COMPLETED
    """)
    finalization, result = root["childrenSpans"]
    assert (finalization["outputID"], finalization["response"]) == (None, {"statusCode": 200})
    assert decode(app.platform.span_output(result["outputID"])["data"]) == run.output
    assert outline(legacy_tree(app, run.id)) == "function success COMPLETED"


def test_the_roots_input_is_the_event(app: App) -> None:
    run = app.finish("echo", {"n": 1})
    output = app.platform.span_output(new_tree(app, run.id)["outputID"])
    (event,) = json.loads(output["input"])
    assert (event["name"], event["data"]) == (app.event("echo"), {"n": 1})
    assert output["error"] is None


def test_two_steps(app: App) -> None:
    run = app.finish("two-steps")
    root = new_tree(app, run.id)
    for name in ("first", "second"):
        for span in find(root, name):
            assert (span["stepOp"], span["stepID"]) == ("RUN", hashlib.sha1(name.encode()).hexdigest())
            assert span["stepInfo"] == {"__typename": "RunStepInfo", "type": None}
            assert span["outputID"]
    if app.checkpoints:
        assert sorted(outline(root).splitlines()) == [
            "executor.nonstep COMPLETED",
            "first COMPLETED RUN",
            "second COMPLETED RUN",
        ]
        return
    assert outline(root) == text("""
        first COMPLETED RUN
        first COMPLETED RUN
        second COMPLETED RUN
        second COMPLETED RUN
        Finalization COMPLETED FINALIZATION
        executor.nonstep COMPLETED
    """)
    group, step = find(root, "first")
    assert (group["response"], group["duration"]) == ({"statusCode": 206}, None)
    assert step["response"] is None
    assert step["duration"] >= 0


def test_two_steps_legacy(app: App) -> None:
    skip_checkpointing(app)
    run = app.finish("two-steps")
    root = legacy_tree(app, run.id)
    assert outline(root) == text("""
        first COMPLETED
        second COMPLETED
        function success COMPLETED
    """)
    first = root["childrenSpans"][0]
    assert decode(app.platform.span_output(first["outputID"])["data"]) == 1
    assert decode(app.platform.span_output(root["outputID"])["data"]) == run.output


def test_a_step_that_is_retried(app: App) -> None:
    run = app.once("step-retry")
    lines = outline(new_tree(app, run.id)).splitlines()
    flaky = lines.index("flaky COMPLETED RUN #2")
    assert lines[flaky : flaky + 7] == [
        "flaky COMPLETED RUN #2",
        "  Attempt 0 FAILED RUN",
        "  Attempt 1 FAILED RUN #1",
        "  Attempt 2 COMPLETED RUN #2",
        "flaky FAILED RUN",
        "flaky FAILED RUN #1",
        "flaky COMPLETED RUN #2",
    ]


def test_each_attempt_has_its_error(app: App) -> None:
    run = app.once("step-retry")
    group = find(new_tree(app, run.id), "flaky")[0]
    first, second, third = group["childrenSpans"]
    for n, attempt in enumerate((first, second)):
        output = app.platform.span_output(attempt["outputID"])
        assert (output["data"], output["error"]["message"]) == (None, f"attempt {n}")
        assert output["error"]["name"] == app.error_name
        assert output["error"]["stack"]
    assert decode(app.platform.span_output(third["outputID"])["data"]) == "third time lucky"


def test_a_step_that_is_retried_legacy(app: App) -> None:
    run = app.once("step-retry")
    (flaky,) = find(legacy_tree(app, run.id), "flaky")
    assert (flaky["status"], flaky["attempts"], flaky["stepOp"]) == ("COMPLETED", 2, "RUN")
    assert outline(flaky) == text("""
        Attempt 0 FAILED
        Attempt 1 FAILED #1
        Attempt 2 COMPLETED #2
    """)


def test_a_retry_under_way(app: App) -> None:
    run_id = app.start("step-retry")
    app.wait_ran(run_id, "flaky")
    group = app.platform.wait_span(run_id, "flaky", "FAILED")
    assert group["stepType"] == "RUN"
    (flaky,) = find(legacy_tree(app, run_id), "flaky")
    assert flaky["status"] == "RUNNING"
    assert flaky["childrenSpans"][0]["name"] == "Attempt 0"
    assert flaky["childrenSpans"][-1]["status"] == "QUEUED"
    app.platform.wait_run(run_id)


def test_a_step_that_fails(app: App) -> None:
    run = app.once("step-fails", "FAILED")
    root = new_tree(app, run.id)
    assert root["status"] == "FAILED"
    lines = [line.replace(" RUN", "") for line in outline(root).splitlines()]
    assert lines[-3:] == ["Finalization FAILED FINALIZATION", "  Attempt 0 FAILED", "executor.nonstep FAILED"]
    bad = lines.index("bad FAILED #1")
    assert lines[bad : bad + 3] == ["bad FAILED #1", "  Attempt 0 FAILED", "  Attempt 1 FAILED #1"]
    assert [span["attempts"] for span in root["childrenSpans"] if span["name"] == "bad"] == [1, 0, 1]
    assert any((span["stepType"], span["status"], span["attempts"]) == ("RUN", "FAILED", 1) for span in walk(root))
    error = app.platform.span_output(root["outputID"])["error"]
    assert (error["message"], error["name"]) == ("always", app.error_name)


def test_a_step_that_fails_legacy(app: App) -> None:
    run = app.once("step-fails", "FAILED")
    root = legacy_tree(app, run.id)
    (bad,) = find(root, "bad")
    assert bad["status"] == "FAILED"
    assert outline(bad) == "Attempt 0 FAILED\nAttempt 1 FAILED #1"
    last = root["childrenSpans"][-1]
    assert (last["name"], last["status"]) == ("function error", "FAILED")


def test_parallel(app: App) -> None:
    run = app.finish("parallel")
    root = new_tree(app, run.id)
    spans = [span["name"] for span in root["childrenSpans"]]
    for name in ("p0", "p1", "p2"):
        assert spans.count(name) == 2
        assert {span["status"] for span in find(root, name)} == {"COMPLETED"}
    assert set(spans) - {"p0", "p1", "p2", "join"} <= {"Finalization", "executor.nonstep"}
    skip_checkpointing(app)
    lines = outline(legacy_tree(app, run.id)).splitlines()
    assert sorted(lines[:3]) == ["p0 COMPLETED", "p1 COMPLETED", "p2 COMPLETED"]
    assert lines[3:] == ["join COMPLETED", "function success COMPLETED"]


def test_sleep(app: App) -> None:
    run_id = app.start("sleep", {"ms": 2000})
    nap = app.platform.wait_span(run_id, "nap")
    assert (nap["stepOp"], nap["outputID"], nap["childrenSpans"]) == ("SLEEP", None, [])
    (legacy,) = [span for span in legacy_tree(app, run_id)["childrenSpans"] if span["name"] == "nap"]
    assert legacy["status"] in {"RUNNING", "WAITING"}
    app.platform.wait_run(run_id)
    (nap,) = find(new_tree(app, run_id), "nap")
    assert (nap["status"], nap["stepType"], nap["outputID"]) == ("COMPLETED", "SLEEP", None)
    assert nap["stepInfo"]["__typename"] == "SleepStepInfo"
    assert parse(nap["stepInfo"]["sleepUntil"]) >= parse(nap["startedAt"])
    (legacy,) = find(legacy_tree(app, run_id), "nap")
    assert (legacy["status"], legacy["stepOp"], legacy["outputID"]) == ("COMPLETED", "SLEEP", None)


def test_wait(app: App) -> None:
    run_id = app.start("wait", {"id": "trace"})
    waiting = app.platform.wait_span(run_id, "answer")
    info = waiting["stepInfo"]
    assert (waiting["outputID"], waiting["childrenSpans"], waiting["endedAt"]) == (None, [], None)
    assert (info["__typename"], info["eventName"]) == ("WaitForEventStepInfo", app.event("answer"))
    assert (info["foundEventID"], info["timedOut"]) == (None, None)
    assert "async.data.id" in info["expression"]
    root = legacy_tree(app, run_id)
    assert (root["endedAt"], root["outputID"]) == (None, None)
    assert find(root, "answer")[0]["status"] == "WAITING"
    event_id = app.send("answer", {"id": "trace"})
    app.platform.wait_run(run_id)
    for tree in (new_tree(app, run_id), legacy_tree(app, run_id)):
        (span,) = find(tree, "answer")
        assert (span["status"], span["stepOp"]) == ("COMPLETED", "WAIT_FOR_EVENT")
        assert (span["stepInfo"]["foundEventID"], span["stepInfo"]["timedOut"]) == (event_id, False)
        data = decode(app.platform.span_output(span["outputID"])["data"])
        assert (data["name"], data["data"]) == (app.event("answer"), {"id": "trace"})


def test_wait_timeout(app: App) -> None:
    run = app.once("wait-timeout")
    for tree in (new_tree(app, run.id), legacy_tree(app, run.id)):
        (span,) = find(tree, "answer")
        assert (span["status"], span["outputID"]) == ("COMPLETED", None)
        assert (span["stepInfo"]["foundEventID"], span["stepInfo"]["timedOut"]) == (None, True)


def test_invoke(app: App) -> None:
    run = app.finish("invoke-ok")
    for preview, tree in ((True, new_tree(app, run.id)), (False, legacy_tree(app, run.id))):
        (call,) = find(tree, "call")
        assert (call["status"], call["stepOp"]) == ("COMPLETED", "INVOKE")
        info = call["stepInfo"]
        assert (info["__typename"], info["functionID"]) == ("InvokeStepInfo", app.slug("child-ok"))
        assert all(info[name] for name in ("triggeringEventID", "returnEventID", "runID", "timeout"))
        output = decode(app.platform.span_output(call["outputID"])["data"])
        assert output == (42 if preview else {"data": 42})  # the legacy tree shows the stored form


def test_invoke_that_fails(app: App) -> None:
    run = app.finish("invoke-child-fails", status="FAILED")
    for tree in (new_tree(app, run.id), legacy_tree(app, run.id)):
        (call,) = find(tree, "call")
        assert (call["status"], call["stepOp"]) == ("FAILED", "INVOKE")
        error = app.platform.span_output(call["outputID"])["error"]
        assert (error["message"], error["name"]) == ("child failed", app.error_name)
    final = [span for span in new_tree(app, run.id)["childrenSpans"] if span["stepType"] == "FINALIZATION"]
    assert [span["status"] for span in final] == ["FAILED"]


def test_run_trace_is_the_new_tree(any_app: App) -> None:
    run = any_app.finish("two-steps")
    query = "query($id: String!) { runTrace(runID: $id) { spanID childrenSpans { spanID name } } }"
    trace = any_app.platform.gql(query, id=run.id)["runTrace"]
    root = new_tree(any_app, run.id)
    assert trace["spanID"] == root["spanID"]
    assert [span["spanID"] for span in trace["childrenSpans"]] == [span["spanID"] for span in root["childrenSpans"]]


def test_unknown_runs_and_outputs(any_app: App) -> None:
    http = any_app.platform.http
    query = '{ run(runID: "01ARZ3NDEKTSV4RRFFQ69G5FAV") { status } }'
    answer = http.post("/v0/gql", json={"query": query}).json()
    assert answer["data"] == {"run": None}
    assert answer["errors"][0]["message"] == "error retrieving run: sql: no rows in result set"
    query = '{ runTraceSpanOutputByID(outputID: "nonsense") { data } }'
    answer = http.post("/v0/gql", json={"query": query}).json()
    assert answer["errors"][0]["message"].startswith("error parsing span identifier: ")
