"""REST v2 with apps of the official SDKs: what is shown of their runs, and commands (`http-apis.md` §10)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .harness import wait_until

if TYPE_CHECKING:
    from .harness import App

RECORDED = json.loads((Path(__file__).parent.parent / "api/recorded/v2_two_steps.json").read_text())
VOLATILE = {"id", "durationMs", "queuedAt", "startedAt", "endedAt", "updatedAt", "fetchedAt", "runId", "eventIds"}


def get(app: App, path: str, status: int = 200) -> Any:
    answer = app.platform.http.get(f"/api/v2{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def post(app: App, path: str, body: Any = None, status: int = 200) -> Any:
    answer = app.platform.http.post(f"/api/v2{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_run_as_recorded(any_app: App) -> None:
    run = any_app.finish("two-steps")
    found = get(any_app, f"/runs/{run.id}?includeOutput=true")["data"]
    recorded = RECORDED["run"]["data"]
    assert set(found) == set(recorded)
    assert found["status"] == recorded["status"]
    assert found["function"] == recorded["function"]
    assert found["output"] == recorded["output"]


def test_a_trace_as_recorded(any_app: App) -> None:
    run = any_app.finish("two-steps")
    found = get(any_app, f"/runs/{run.id}/trace?includeOutput=true")["data"]["rootSpan"]
    assert shape(found) == shape(RECORDED["trace"]["data"]["rootSpan"])


def shape(span: Any) -> Any:
    """A span without what differs from run to run."""
    if isinstance(span, list):
        return [shape(item) for item in span]
    if not isinstance(span, dict):
        return span
    kept = {name: shape(value) for name, value in span.items() if name not in VOLATILE | {"input", "values"}}
    return {**kept, "timed": sorted(set(span) & {"durationMs", "startedAt", "endedAt"})}


def test_invoke_once(any_app: App) -> None:
    path = f"/apps/{any_app.id}/functions/two-steps/invoke"
    run = post(any_app, path, {"data": {"n": 1}, "idempotencyKey": any_app.event("v2")})["data"]["runId"]
    again = post(any_app, path, {"data": {"n": 1}, "idempotencyKey": any_app.event("v2")}, 409)
    assert again["data"]["runId"] == run
    assert any_app.platform.wait_run(run).status == "COMPLETED"


def test_rerun_from_a_step_by_its_name(app: App) -> None:
    first = app.finish("two-steps")
    new = post(app, f"/runs/{first.id}/rerun", {"fromStep": {"stepId": "second"}})["data"]["runId"]
    assert app.platform.wait_run(new).output == first.output
    assert app.ran(new) == [("second", 0)]


def test_pages_hold_each_run_once(any_app: App) -> None:
    ids = {any_app.finish("two-steps").id for _ in range(3)}
    path, seen = f"/apps/{any_app.id}/functions/two-steps/runs?limit=2", list[str]()
    cursor = ""
    while True:
        page = get(any_app, f"{path}&cursor={cursor.replace('=', '%3D')}")
        seen += [run["id"] for run in page.get("data", [])]
        if not page["page"].get("hasMore"):
            break
        cursor = page["page"]["cursor"]
    assert len(seen) == len(set(seen))
    assert ids <= set(seen)


def test_functions_tell_their_configuration(any_app: App) -> None:
    function = get(any_app, f"/apps/{any_app.id}/functions/two-steps")["data"]
    assert function["app"] == {"id": any_app.id}
    assert function["triggers"] == [{"type": "EVENT", "value": any_app.event("two-steps")}]
    listed = get(any_app, f"/apps/{any_app.id}/functions?limit=100")
    assert function in listed["data"]
    assert get(any_app, f"/apps/{any_app.id}")["data"]["functionCount"] >= len(listed["data"])


def test_an_experiment_and_its_scores(js_app: App) -> None:
    runs = [js_app.finish("experiment", {"variant": variant}) for variant in ("small", "large", "small", "")]
    assert [run.output["variant"] for run in runs] == ["small", "large", "small", "small"]
    for score, run in enumerate(runs):
        post(js_app, f"/runs/{run.id}/scores", [{"name": "quality", "value": score}])
    found = get(js_app, f"/apps/{js_app.id}/functions/experiment/experiments/model")["data"]
    figures = {
        each["variantName"]: (each["runCount"], *(each["metrics"][0][name] for name in ("avg", "min", "max")))
        for each in found["variants"]
    }
    assert figures == {"small": (3, 5 / 3, 0, 3), "large": (1, 1, 1, 1)}
    assert found["selectionStrategy"] == "weighted"  # the newest run's
    assert {each["variantName"]: each["weight"] for each in found["variantWeights"]} == {"small": 1, "large": 0}
    (listed,) = get(js_app, f"/apps/{js_app.id}/functions/experiment/experiments")["data"]
    assert (listed["id"], listed["totalRuns"], listed["variants"]) == ("model", 4, ["small", "large"])


def test_sessions(any_app: App) -> None:
    chat = any_app.event("chat")
    event = {"name": any_app.event("two-steps"), "data": {}, "meta": {"sessions": {"chat": chat}}}
    (id,) = any_app.platform.http.post("/e/key", json=event).json()["ids"]
    (run,) = wait_until(lambda: get(any_app, f"/events/{id}/runs").get("data"), 10, "a run")
    assert any_app.platform.wait_run(run["id"]).status == "COMPLETED"
    # Lifecycle events stay in the session: what they start may be in the list as well.
    first = get(any_app, f"/sessions/chat/{chat}/runs")["data"][-1]
    assert (first["id"], first["status"], first["function"]["app"]["id"]) == (run["id"], "COMPLETED", any_app.id)
