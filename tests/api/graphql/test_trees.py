"""Both trees of each recorded kind of run, rebuilt from the rows that the engine would have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from tests.api.book import APP_ID, ERROR, Book
from tests.api.conftest import recorded

from holdfast.protocol.ids import step_hash, ulid
from holdfast.server.api.common.backend import CancelOutcome
from holdfast.server.model.status import RunStatus, SpanStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Api

TREES: dict[str, dict[str, Any]] = recorded("trees.json")
QUERIES: dict[str, str] = recorded("queries.json")
EVENT = ulid(1_795_238_200_000, 1)
OTHER = ulid(1_795_238_200_000, 2)
INVOKED = {"trigger": EVENT, "function": "rec-py-child-slow", "child": OTHER, "expires": 1_895_238_200_000}


def planned(name: str) -> dict[str, Any]:
    return {"name": name, "step_id": step_hash(name)}


def wait(name: str, **more: Any) -> Callable[[Book], None]:
    def write(book: Book) -> None:
        info = {"event": "rec/answer", "expression": "7.0 == async.data.id", "timeout": book.now, **more}
        late = info.get("timed_out")
        status = SpanStatus.TIMED_OUT if late else SpanStatus.COMPLETED
        if late:
            del info["expression"]
        book.waited(name, "WaitForEvent", None if late else {"name": "rec/answer", "data": {}}, info, status=status)

    return write


def two_steps(book: Book) -> None:
    book.step("first", 1).step("second", {"sum": 2}).returns({"a": 1})


def step_retry(book: Book) -> None:
    book.max_attempts = 4
    book.step_errors("flaky").step_errors("flaky").step("flaky", "third time lucky").returns("third time lucky")


def step_retry_open(book: Book) -> None:
    book.max_attempts = 4
    book.step_errors("flaky")
    if book.number == 1:  # the new tree was asked for after the second attempt
        return
    book.step_errors("flaky")


def step_fails_uncaught(book: Book) -> None:
    book.step("ok", 1).step_errors("bad").step_errors("bad", retry=False)
    book.max_attempts = 2
    book.function_errors(retry=False)


def invoke(book: Book, *, status: SpanStatus, output: object, **info: Any) -> Book:
    known = {"function": "rec-py-child-ok", "event_id": EVENT, "timeout": book.now + 9, "run_id": OTHER, **info}
    return book.plan().waited("call", "InvokeFunction", output, known, status=status)


def invoke_ok(book: Book) -> None:
    invoke(book, status=SpanStatus.COMPLETED, output={"data": 42}, return_event=EVENT, timed_out=False).returns(1)


def invoke_timeout(book: Book) -> None:
    book.max_attempts = 1
    invoke(book, status=SpanStatus.FAILED, output={"error": ERROR}, timed_out=True).function_errors(retry=False)


def invoke_timeout_open(book: Book) -> None:
    book.plan().waits("call", "InvokeFunction", dict(INVOKED))


def parallel(book: Book, *, join: bool = True) -> Book:
    book.plan()
    planned_at = book.now
    for name in ("p1", "p2", "p0"):
        book.queued_at = book.due = planned_at
        book.step(name, name, target=True)
    return book.step("join", 6) if join else book


def signal(book: Book, *, late: bool) -> None:
    info = {"signal": "rec-signal", "timeout": book.now, "timed_out": late}
    status = SpanStatus.TIMED_OUT if late else SpanStatus.COMPLETED
    value = None if late else {"data": {"signal": "rec-signal", "data": 1}}
    book.plan().waited("ask", "WaitForSignal", value, info, status=status).completes(1)


def cancelled(book: Book) -> None:
    book.step("before", 1).plan().waits("long", "Sleep", {"ms": 60_000})
    book.now += 500
    book.cancel()


def parallel_one_fails(book: Book) -> None:
    book.plan()
    planned_at = book.now
    book.step("good", 1, target=True)
    book.queued_at = book.due = planned_at
    book.step_errors("bad")
    book.waited("nap", "Sleep", None, {"until": planned_at + 1_000}, ms=0)
    nap = book.rows[-1].span
    book.rows[-1].span = replace(nap, queued_at=planned_at, started_at=planned_at, ended_at=planned_at + 1_000)
    book.job, book.attempt, book.due = f"job-{book.number}-3", 1, planned_at + 1_500
    book.step_errors("bad", retry=False).returns([1])


SCENARIOS: dict[str, Callable[[Book], object]] = {
    "py/no-step": lambda book: book.returns({"hello": "world"}),
    "py/two-steps": two_steps,
    "py/step-retry": step_retry,
    "py/step-retry legacy open": step_retry_open,
    "py/step-retry new open": lambda book: (book.step_errors("flaky"), book.step_errors("flaky")),
    "py/step-fails-uncaught": step_fails_uncaught,
    "py/step-fails-caught": lambda book: book.step_errors("bad").step_errors("bad", retry=False).returns("caught"),
    "py/fn-retry": lambda book: book.function_errors().returns({"attempt": 1}),
    "py/fn-retry new open": lambda book: book.function_errors(),
    "py/fn-retry legacy open": lambda book: book.function_errors(),
    "py/fn-error-on-failure": lambda book: book.step("ok", 1).function_errors().function_errors(retry=False),
    "py/non-retriable-in-step": lambda book: book.function_errors(retry=False),
    "py/parallel": lambda book: parallel(book).returns([1]),
    "py/parallel-one-fails": parallel_one_fails,
    "py/sleep": lambda book: (
        book.plan().waited("nap", "Sleep", None, {"until": book.now + 2_000}, 2_000).returns("awake")
    ),
    "py/sleep new open": lambda book: book.plan().waits("nap", "Sleep", {"ms": 2_000}),
    "py/wait-fulfilled": lambda book: (
        book.plan(),
        wait("answer", found=EVENT, timed_out=False)(book),
        book.returns({"id": 7}),
    ),
    "py/wait-fulfilled new open": lambda book: book.plan().waits(
        "answer", "WaitForEvent", {"event": "rec/answer", "expression": "7.0 == async.data.id", "expires": book.now}
    ),
    "py/wait-fulfilled legacy open": lambda book: book.plan().waits(
        "answer", "WaitForEvent", {"event": "rec/answer", "expression": "7.0 == async.data.id", "expires": book.now}
    ),
    "py/wait-timeout": lambda book: (book.plan(), wait("answer", timed_out=True)(book), book.returns(1)),
    "py/invoke-ok": invoke_ok,
    "py/invoke-timeout": invoke_timeout,
    "py/invoke-timeout new open": invoke_timeout_open,
    "py/cancel-by-graphql": cancelled,
    "py/send-event": lambda book: book.step("send", ["id"]).returns(["id"]),
    "js/no-step": lambda book: book.completes({"hello": "world"}),
    "js/two-steps": lambda book: book.completes({"a": 1}, ("first", "The second step")),
    "js/step-retry": lambda book: book.step_errors("flaky").step_errors("flaky").step("flaky", 1).completes(1),
    "js/fn-retry": lambda book: book.function_errors().completes({"attempt": 1}),
    "js/signal": lambda book: signal(book, late=False),
    "js/signal-timeout": lambda book: signal(book, late=True),
    "raw/broken-too-many-ops new": lambda book: book.server_fails({"error": ERROR}),
}

#: Where the reference's tree is odd, and what ours is instead: (scenario, tree) -> changes of nodes by their path.
ODDITIES: dict[tuple[str, str], dict[str, dict[str, Any] | None]] = {
    # A cancelled step is shown as cancelled, not as waiting or running for ever.
    ("py/cancel-by-graphql", "new"): {"long": {"status": "CANCELLED", "timed": True, "ended": True}},
    ("py/cancel-by-graphql", "legacy"): {"long": {"status": "CANCELLED", "ended": True, "children": []}},
    # The last attempt's output is known.
    ("py/fn-retry", "legacy"): {"function success/Attempt 1": {"output": True}},
    ("js/fn-retry", "legacy"): {"execute/Attempt 1": {"output": True}},
    # An error that isn't retried has no next attempt.
    ("py/step-fails-uncaught", "legacy"): {"function error/Attempt 1": None},
    ("py/non-retriable-in-step", "legacy"): {"function error/Attempt 1": None},
    # A legacy wait that timed out has no output; for signals the reference says that it has.
    ("js/signal-timeout", "legacy"): {"ask": {"output": False}},
    # A step's id is known, also in a planning answer.
    ("py/parallel-one-fails", "legacy"): {"nap": {"step": True}},
    # The retry's job leads nowhere: nothing was measured for a call that never came.
    ("raw/broken-too-many-ops", "new"): {"": {"response": None, "metadata": []}},
}


TIMING = {"request inngest.http.timing", "request inngest.timing"}


def shape(span: dict[str, Any]) -> dict[str, Any]:
    info = span["stepInfo"]
    if info:
        keep = (bool, type(None))
        info = {k: (v if isinstance(v, keep) or k == "__typename" else "set") for k, v in info.items()}
    return {
        "name": span["name"],
        "status": span["status"],
        "attempts": span["attempts"],
        "op": span["stepOp"],
        "type": span["stepType"],
        "info": info,
        "output": bool(span["outputID"]),
        "response": span["response"]["statusCode"] if span["response"] else None,
        "step": bool(span["stepID"]),
        "timed": span["duration"] is not None,
        "ended": bool(span["endedAt"]),
        "metadata": [f"{entry['scope']} {entry['kind']}" for entry in span["metadata"]],
        "children": [shape(child) for child in span.get("childrenSpans") or []],
    }


def wanted(scenario: str, tree: str) -> dict[str, Any]:
    """The recorded shape, with what the reference gets wrong put right."""
    found = _with_run(TREES[scenario][tree], new=tree.startswith("new"))
    for path, change in ODDITIES.get((scenario, tree), {}).items():
        _change(found, path.split("/") if path else [], change)
    return found


def _with_run(span: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """The span of a finally failed step is one that runs code, also in the last attempt (graphql.md §12.1)."""
    span = {**span, "children": [_with_run(child, new=new) for child in span["children"]]}
    is_step = span["step"] and span["status"] == "FAILED" and span["op"] is None
    if is_step:
        span["op"] = "RUN"
        if new:
            span |= {"type": "RUN", "info": {"__typename": "RunStepInfo", "type": None}}
    return span


def _change(span: dict[str, Any], path: list[str], change: dict[str, Any] | None) -> None:
    if not path:
        assert change is not None
        info = change.get("info")
        span.update({**change, "info": {**span["info"], **info}} if info else change)
        return
    children = [child for child in span["children"] if child["name"] == path[0]]
    assert children, f"no {path[0]}"
    for child in children:
        if len(path) == 1 and change is None:
            span["children"].remove(child)
        else:
            _change(child, path[1:], change)


def cases() -> list[Any]:
    """Scenario keys are `file` for trees of the ended run, `file tree open` for one asked for meanwhile."""
    found = []
    for key in SCENARIOS:
        name, _, rest = key.partition(" ")
        found += [
            pytest.param(key, name, tree, id=f"{name} {tree}") for tree in ([rest] if rest else ["new", "legacy"])
        ]
    return found


@pytest.mark.parametrize(("key", "scenario", "tree"), cases())
def test_tree_as_recorded(api: Api, key: str, scenario: str, tree: str) -> None:
    book = Book()
    SCENARIOS[key](book)
    slug = TREES[scenario]["legacy"]["name"]
    api.library.app()
    api.library.function(slug=slug)
    api.library.run(book)
    api.backend.now = book.now + 1
    query = QUERIES["run_preview" if tree.startswith("new") else "run"]
    found = shape(api.data(query, runID=book.id)["run"]["trace"])
    expected = wanted(scenario, tree)
    if scenario.startswith("js") and tree == "legacy":
        # Checkpointed steps aren't lost here.
        found["children"] = [
            child for child in found["children"] if child["name"] not in {"first", "The second step", "join"}
        ]
    if "parallel" in scenario:
        # Which of several steps at the same time comes first says nothing.
        for tree_found in (found, expected):
            tree_found["children"].sort(key=str)
            for child in tree_found["children"]:
                # Hidden planning leaves its timing on whichever step comes next.
                child["metadata"] = sorted({*child["metadata"]} - TIMING)
    assert found == expected


def test_every_query_of_the_recordings_works(api: Api) -> None:
    book = Book(event_name="rec/no-step").step("first", 1).returns(1)
    api.library.app()
    api.library.function()
    api.library.run(book)
    answers = {
        "runID": book.id,
        "first": 10,
        "after": None,
        "order": [{"field": "QUEUED_AT", "direction": "DESC"}],
        "filter": {"from": "2020-01-01T00:00:00Z"},
        "preview": True,
        "query": {"limit": 10, "includeInternalEvents": False},
        "slug": "rec-py-no-step",
        "name": "rec-py",
        "url": "http://APP/api/inngest",
        "data": {},
        "user": None,
    }
    api.backend.cancelled, api.backend.rerun_id, api.backend.apps = CancelOutcome.CANCELLED, book.id, True
    ids = {"event": book.event_ids[0], "eventV2": book.event_ids[0], "historyItemOutput": book.id}
    trace = api.data(QUERIES["run_preview"], runID=book.id)["run"]["trace"]
    for name, query in QUERIES.items():
        variables = {key: value for key, value in answers.items() if f"${key}:" in query}
        if name == "workerConnections":
            variables["order"] = [{"field": "CONNECTED_AT", "direction": "DESC"}]
        if "$id:" in query:
            variables["id"] = ids.get(name, trace["outputID"] if name == "output" else APP_ID)
        data = api.data(query, **variables)
        assert data, name


def test_skipped_run_is_a_root_alone(api: Api) -> None:
    book = Book(status=RunStatus.SKIPPED)
    book.detail.skip_reason, book.detail.skip_existing_run = "Singleton", OTHER
    api.library.run(book)
    trace = api.data(QUERIES["runTrace"], runID=book.id)["runTrace"]
    assert (trace["name"], trace["status"], trace["childrenSpans"]) == ("executor.run", "SKIPPED", [])
    assert (trace["skipReason"], trace["skipExistingRunID"]) == ("Singleton", OTHER)


def test_a_rerun_does_not_show_the_steps_that_it_kept(api: Api) -> None:
    book = Book()
    book.add(book.span("kept", SpanStatus.COMPLETED, None, step_id=step_hash("first")), {"data": 1}, memoised=True)
    book.step("second", 2).returns(3)
    api.library.run(book)
    new = api.data(QUERIES["runTrace"], runID=book.id)["runTrace"]
    assert [span["name"] for span in new["childrenSpans"]] == ["second", "second", "Finalization", "executor.nonstep"]
    old = api.data(QUERIES["run"], runID=book.id)["run"]["trace"]
    assert [span["name"] for span in old["childrenSpans"]] == ["second", "function success"]
    query = "query($id: ID!) { functionRun(query: {functionRunId: $id}) { history { type stepName } } }"
    history = api.data(query, id=book.id)["functionRun"]["history"]
    assert step_hash("first") not in {item["stepName"] for item in history}
    assert [item["type"] for item in history].count("StepStarted") == 2


def test_spans_know_their_run(api: Api) -> None:
    book = Book().step("a", 1).returns(1)
    api.library.run(book)
    for preview in (True, False):
        spans = "trace(preview: $p) { childrenSpans { run { id } } }"
        query = f"query($id: String!, $p: Boolean) {{ run(runID: $id) {{ {spans} }} }}"
        children = api.data(query, id=book.id, p=preview)["run"]["trace"]["childrenSpans"]
        assert children
        assert {child["run"]["id"] for child in children} == {book.id}
