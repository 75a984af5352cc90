"""Runs without an event of their own: reruns, invocations by GraphQL and HTTP (graphql.md §9, http-apis.md §3)."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

import pytest

from .harness import GraphQLError, wait_until

if TYPE_CHECKING:
    from .harness import App

RERUN = "mutation($runID: ULID!, $from: RerunFromStepInput) { rerun(runID: $runID, fromStep: $from) }"
INVOKE = "mutation($slug: String!, $data: Map) { invokeFunction(functionSlug: $slug, data: $data) }"
SECOND = hashlib.sha1(b"second").hexdigest()


def rerun(app: App, run_id: str, **from_step: str) -> str:
    new: str = app.platform.gql(RERUN, runID=run_id, **({"from": from_step} if from_step else {}))["rerun"]
    return new


def test_rerun(app: App) -> None:
    first = app.finish("two-steps", {"n": 1})
    second = app.platform.wait_run(rerun(app, first.id))
    assert second.id != first.id
    assert second.output == first.output
    assert second.raw["triggerIDs"] == first.raw["triggerIDs"]
    assert app.ran(second.id) == [("first", 0), ("second", 0)]


def test_rerun_from_a_step(app: App) -> None:
    first = app.finish("two-steps")
    second = app.platform.wait_run(rerun(app, first.id, stepID=SECOND))
    assert second.output == first.output
    assert app.ran(second.id) == [("second", 0)]
    assert {span["name"] for span in app.platform.trace(second.id, preview=True)["childrenSpans"]}.isdisjoint(
        {"first", hashlib.sha1(b"first").hexdigest()}
    )


def test_a_failed_run_can_be_rerun(app: App) -> None:
    first = app.finish("fails-with-handler", status="FAILED")
    assert app.platform.wait_run(rerun(app, first.id), "FAILED").output["message"] == "function failed"


def test_rerun_of_nothing(any_app: App) -> None:
    with pytest.raises(GraphQLError, match="sql: no rows in result set"):
        rerun(any_app, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    first = any_app.finish("two-steps")
    with pytest.raises(GraphQLError, match="input is not a valid JSON array"):
        rerun(any_app, first.id, stepID=SECOND, input="nonsense")


def test_invoke_by_graphql(app: App) -> None:
    mark = str(uuid.uuid4())
    assert app.platform.gql(INVOKE, slug=app.slug("echo"), data={"mark": mark}) == {"invokeFunction": True}
    (note,) = wait_until(lambda: [item for item in app.noted("echo") if item["value"].get("mark") == mark])
    output = app.platform.wait_run(note["run"]).output
    assert output["name"] == "inngest/function.invoked"
    assert output["data"]["mark"] == mark


def test_invoke_by_http(app: App) -> None:
    response = app.platform.http.post(f"/invoke/{app.slug('echo')}", json={"data": {"n": 1}})
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == 200
    output = app.platform.wait_run(app.platform.runs_of(body["id"])[0]).output
    assert output["name"] == "inngest/function.invoked"
    assert output["data"]["n"] == 1


def test_invoke_what_does_not_exist(any_app: App) -> None:
    http = any_app.platform.http
    assert http.post("/invoke/no-such-function", json={"data": {}}).status_code == 200
    bad = http.post(f"/invoke/{any_app.slug('echo')}", content=b"{")
    assert bad.status_code == 400
    assert bad.json()["error"] == "Unable to read post data request"
