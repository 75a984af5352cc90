"""Events: ids, seeds, idempotency, times ahead, wildcards, expressions, what is refused (http-apis.md §2)."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .harness import App, Platform


def test_the_function_gets_the_event(app: App) -> None:
    before = int(time.time() * 1000)
    event_id = app.send("echo", {"nested": {"a": [1, None]}})
    output = app.platform.wait_run(app.platform.runs_of(event_id)[0]).output
    assert output["name"] == app.event("echo")
    assert output["data"] == {"nested": {"a": [1, None]}}
    assert output["id"] == event_id
    assert before - 5 <= output["ts"] <= before + 5000
    assert output["count"] == 1


def test_an_own_id_and_time(app: App) -> None:
    own = f"own-{uuid.uuid4()}"
    ts = int(time.time() * 1000) - 60_000
    event_id = app.send("echo", {}, id=own, ts=ts)
    assert event_id != own
    output = app.platform.wait_run(app.platform.runs_of(event_id)[0]).output
    assert (output["id"], output["ts"]) == (own, ts)


def test_the_same_id_runs_once(app: App) -> None:
    own = f"own-{uuid.uuid4()}"
    first = app.send("echo", {"n": 1}, id=own)
    run_id = app.platform.runs_of(first)[0]
    app.platform.wait_run(run_id)
    second = app.send("echo", {"n": 2}, id=own)
    assert second != first
    marker = app.finish("echo", {"n": 3})
    assert marker.output["data"] == {"n": 3}
    assert app.platform.run_ids(second) == []


def test_the_same_seed_gives_the_same_ids(app: App) -> None:
    millis = int(time.time() * 1000)
    seed = f"{millis},{base64.b64encode(uuid.uuid4().bytes[:10]).decode()}"
    body = [{"name": app.event("echo"), "data": {"n": n}} for n in range(2)]
    headers = {"x-inngest-event-id-seed": seed}
    first = app.platform.send_many(body, headers)
    second = app.platform.send_many(body, headers)
    assert first == second
    assert len(set(first)) == 2
    assert [app.platform.wait_run(app.platform.runs_of(event)[0]).output["id"] for event in first] == first


def test_known_seed(platform: Platform) -> None:
    headers = {"x-inngest-event-id-seed": "1770000000000,AAECAwQFBgcICQ=="}
    ids = platform.send_many([{"name": "nobody/listens"}] * 2, headers)
    assert ids == ["01KGE3H900000G40R40M30E20A", "01KGE3H900000G40R40M30E20B"]


def test_a_time_ahead_delays_the_run(app: App) -> None:
    due = time.time() + 1.5
    run_id = app.start("echo", {}, ts=int(due * 1000))
    run = app.platform.run(run_id)
    assert run
    assert run.status == "QUEUED"
    app.platform.wait_run(run_id)
    (ran,) = app.report(run_id)["ran"]
    assert due - 0.1 <= ran["at"] <= due + 1


def test_expressions_choose(app: App) -> None:
    low, high = app.send("filtered", {"n": 1}), app.send("filtered", {"n": 2})
    missing = app.send("filtered", {})
    run = app.platform.wait_run(app.platform.runs_of(high)[0])
    assert run.output == {"name": app.event("filtered"), "n": 2}
    assert app.platform.run_ids(low) == app.platform.run_ids(missing) == []


def test_wildcards(app: App) -> None:
    run = app.platform.wait_run(app.platform.runs_of(app.send("wild/anything.at.all"))[0])
    assert run.output == {"name": app.event("wild/anything.at.all"), "n": None}


def test_several_events_in_one_request(app: App) -> None:
    ids = app.platform.send_many([{"name": app.event("echo"), "data": {"n": n}} for n in range(20)])
    assert len(set(ids)) == 20
    outputs = [app.platform.wait_run(app.platform.runs_of(event)[0]).output for event in ids]
    assert [output["data"]["n"] for output in outputs] == list(range(20))


def test_a_single_object_and_any_content_type(platform: Platform) -> None:
    headers = {"content-type": "text/plain"}
    response = platform.http.post("/e/test", content=b'{"name": "nobody/listens"}', headers=headers)
    assert response.status_code == 200
    assert len(response.json()["ids"]) == 1


def test_reserved_data_is_dropped(app: App) -> None:
    assert app.finish("echo", {"a": 1, "_inngest": {"fn_id": "x"}}).output["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"data": {}}, "event name is empty"),
        ({"name": "inngest/own"}, "event name is reserved for internal use: inngest/own"),
        ({"name": "Inngest/own"}, "event name is reserved for internal use: Inngest/own"),
        ({"name": "a", "ts": 1}, "timestamp is before Jan 1, 1980"),
        ("text", "Request body must contain an event object or an array of event objects"),
        (
            {"name": 1},
            "json: cannot unmarshal number into Go struct field raw.name of type string",
        ),
    ],
)
def test_refused(platform: Platform, event: object, error: str) -> None:
    response = platform.post_events(event)
    assert response.status_code == 400
    assert response.json() == {"ids": [""], "status": 400, "error": error}


def test_the_good_ones_before_a_bad_one_are_kept(app: App) -> None:
    response = app.platform.post_events([{"name": app.event("echo")}, {"name": ""}])
    assert response.status_code == 400
    body = response.json()
    assert body["error"] == "event name is empty"
    (event_id,) = body["ids"]
    app.platform.wait_run(app.platform.runs_of(event_id)[0])


def test_too_large_and_too_many(platform: Platform) -> None:
    large = platform.http.post("/e/test", content=json.dumps({"name": "a", "data": {"x": "x" * 3_145_728}}).encode())
    assert large.status_code == 400
    assert large.json()["error"].startswith("Event is over the max size: Max 3145728 bytes / Size ")
    many = platform.post_events([{"name": "nobody/listens"}] * 5001)
    assert many.status_code == 400
    assert many.json()["error"] == "Cannot have more than 5000 events in a batch"


def test_read_back_by_rest_and_graphql(app: App) -> None:
    event_id = app.send("echo", {"n": 1}, v="2")
    run_id = app.platform.runs_of(event_id)[0]
    app.platform.wait_run(run_id)
    http = app.platform.http
    stored: dict[str, Any] = http.get(f"/v1/events/{event_id}").json()["data"]
    assert (stored["internal_id"], stored["name"], stored["data"]) == (event_id, app.event("echo"), {"n": 1})
    runs = http.get(f"/v1/events/{event_id}/runs").json()["data"]
    assert [run["run_id"] for run in runs] == [run_id]
    assert http.get(f"/v1/runs/{run_id}").json()["data"]["status"] == "Completed"
    query = "query($id: ULID!) { eventV2(id: $id) { id name idempotencyKey raw runs { id status } } }"
    event = app.platform.gql(query, id=event_id)["eventV2"]
    assert (event["id"], event["name"], event["idempotencyKey"]) == (event_id, app.event("echo"), event_id)
    assert json.loads(event["raw"])["data"] == {"n": 1}
    assert event["runs"] == [{"id": run_id, "status": "COMPLETED"}]


def test_the_trigger_of_a_run(app: App) -> None:
    event_id = app.send("echo", {"n": 5})
    run_id = app.platform.runs_of(event_id)[0]
    app.platform.wait_run(run_id)
    query = "query($id: String!) { runTrigger(runID: $id) { eventName IDs payloads isBatch batchID cron } }"
    trigger = app.platform.gql(query, id=run_id)["runTrigger"]
    (payload,) = trigger.pop("payloads")
    assert json.loads(payload)["data"] == {"n": 5}
    name = app.event("echo")
    assert trigger == {"eventName": name, "IDs": [event_id], "isBatch": False, "batchID": None, "cron": None}
