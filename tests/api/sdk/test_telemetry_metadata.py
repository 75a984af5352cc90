"""`POST /v1/runs/{id}/metadata`: what is taken, what is refused, and where it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.telemetry import Rig, one_step

from holdfast.protocol.ids import ulid

REPORTED = [{"kind": "userland.x", "op": "merge", "scope": "step", "values": {"from": "sdk", "n": 1}}]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(one_step(metadata=REPORTED)) as rig:
        yield rig


def post(rig: Rig, run: str, target: Any, *updates: Any) -> tuple[int, str]:
    answer = rig.client.post(f"/v1/runs/{run}/metadata", json={"target": target, "metadata": list(updates)})
    return answer.status_code, answer.json()["error"] if answer.content else ""


def entry(kind: str, values: Any, op: str = "merge") -> dict[str, Any]:
    return {"kind": kind, "op": op, "values": values}


def values(node: Any, kind: str, scope: str) -> Any:
    return [one["values"] for one in node["metadata"] if (one["kind"], one["scope"]) == (kind, scope)]


def test_updates_of_a_run_are_folded_in_order(rig: Rig) -> None:
    run = rig.run()
    assert post(rig, run, {}, entry("userland.cost", {"eur": 1, "why": "a", "old": 1})) == (200, "")
    more = entry("userland.cost", {"eur": 2}, "add"), entry("userland.cost", {"old": None}, "delete")
    assert post(rig, run, {}, *more) == (200, "")
    assert values(rig.trace(run), "userland.cost", "run") == [{"eur": 3, "why": "a"}]
    assert post(rig, run, {}, entry("userland.cost", {"b": 1}, "set")) == (200, "")
    assert values(rig.trace(run), "userland.cost", "run") == [{"b": 1}]


def test_a_sum_that_no_number_holds(rig: Rig) -> None:
    run = rig.run()
    assert post(rig, run, {}, entry("userland.n", {"a": 10**400, "b": 1e308}, "set")) == (200, "")
    assert post(rig, run, {}, entry("userland.n", {"a": 0.5, "b": 1e308}, "add")) == (200, "")
    assert values(rig.trace(run), "userland.n", "run") == [{"a": 0.5, "b": 1e308}]


def test_a_steps_metadata_joins_what_the_sdk_reported(rig: Rig) -> None:
    run = rig.run()
    assert post(rig, run, {"step_id": "charge"}, entry("userland.x", {"n": 2})) == (200, "")
    assert post(rig, run, {"step_id": "charge", "step_attempt": 0}, entry("userland.y", {"k": True})) == (200, "")
    assert post(rig, run, {"step_id": "charge", "step_attempt": 3}, entry("userland.z", {})) == (200, "")
    assert post(rig, run, {"step_id": "charge", "step_index": 1}, entry("userland.z", {})) == (200, "")
    (step,) = [node for node in rig.trace(run)["childrenSpans"] if values(node, "userland.x", "step")]
    assert values(step, "userland.x", "step") == [{"from": "sdk", "n": 2}]
    assert values(step, "userland.y", "step") == [{"k": True}]
    assert not values(step, "userland.z", "step")


def test_a_live_run_takes_metadata(rig: Rig) -> None:
    rig.app.answer = lambda _headers, _body: (
        206,
        [{"op": "Sleep", "id": "0" * 40, "name": "nap", "displayName": "nap", "opts": {"duration": "1h"}}],
    )
    event = rig.send()
    (run,) = rig.client.get(f"/v1/events/{event}/runs").json()["data"]
    assert post(rig, run["run_id"], {}, entry("inngest.score", {"good": {"value": 0.5}})) == (200, "")
    assert values(rig.trace(run["run_id"]), "inngest.score", "run") == [{"good": {"value": 0.5}}]


@pytest.mark.parametrize(
    ("target", "update", "status", "text"),
    [
        ({"step_index": 1}, entry("userland.x", {}), 400, "Invalid metadata target: step_index needs a step_id"),
        ({"step_attempt": 0}, entry("userland.x", {}), 400, "Invalid metadata target"),
        ({"span_id": "a"}, entry("userland.x", {}), 400, "Invalid metadata target"),
        ({}, entry("x" * 129, {}), 400, "Invalid metadata: metadata[0].kind must have 1 to 128 characters"),
        ({}, entry("inngest.secret", {}), 400, "Invalid metadata: metadata[0].kind inngest.secret is reserved"),
        ({}, entry("userland.x", {}, "multiply"), 400, "Invalid metadata: metadata[0].op must be one of merge, set"),
        ({}, entry("userland.x", {"a": "1"}, "add"), 400, "Invalid metadata: metadata[0].values must be numbers"),
        ({}, entry("userland.x", "text"), 400, "Invalid metadata: Expected `object`"),
        ({}, entry("inngest.score", {"a'b": {"value": 1}}), 400, "Invalid metadata: metadata[0].values: a score's"),
        ({}, entry("inngest.score", {"a": {"value": "1"}}), 400, "Invalid metadata: metadata[0].values.a must be"),
        ({}, entry("inngest.score", {"a": {"value": 1, "b": 2}}), 400, "Invalid metadata: metadata[0].values.a must"),
        ({}, entry("userland.x", {"a": "b" * 65_536}), 413, "Metadata span exceeds maximum size of 64KB"),
    ],
)
def test_what_is_refused(rig: Rig, target: Any, update: Any, status: int, text: str) -> None:
    run = rig.run()
    got, told = post(rig, run, target, update)
    assert (got, told[: len(text)]) == (status, text)
    assert not [one for one in rig.trace(run)["metadata"] if one["kind"] == update["kind"]]


def test_all_updates_of_a_request_are_taken_or_none(rig: Rig) -> None:
    run = rig.run()
    assert post(rig, run, {}, entry("userland.a", {"x": 1}), entry("inngest.secret", {}))[0] == 400
    assert not values(rig.trace(run), "userland.a", "run")


def test_a_run_takes_a_mebibyte(rig: Rig) -> None:
    run = rig.run()
    big = entry("userland.x", {"a": "b" * 65_000})
    for _ in range(16):
        assert post(rig, run, {}, big) == (200, "")
    assert post(rig, run, {}, big) == (413, "Cumulative metadata size exceeds limit")


def test_runs_that_are_not(rig: Rig) -> None:
    id = ulid(1, 1)
    update = entry("userland.x", {"a": 1})
    assert post(rig, id, {}, update) == (404, f"No run has the ID {id}: metadata belongs to a run that was started")
    assert post(rig, "nonsense", {}, update) == (400, "Invalid run ID: nonsense")
    answer = rig.client.post(f"/v1/runs/{id}/metadata", content=b"{")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Invalid metadata: ")
    deep = b'{"metadata":[{"kind":"userland.x","values":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}]}"
    answer = rig.client.post(f"/v1/runs/{id}/metadata", content=deep)
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid metadata: it is nested too deeply")


def test_it_can_be_switched_off() -> None:
    with Rig(one_step(), step_metadata=False) as rig:
        told = post(rig, rig.run(), {}, entry("userland.x", {"a": 1}))
    assert told == (403, "Metadata is not enabled for this account")
