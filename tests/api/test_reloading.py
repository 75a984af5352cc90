"""While the state is reloaded the server knows of no run: it says "later" to everything, and ends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.protocol.ids import ulid
from holdfast.server.store.store import DiskFullError

from .access_rig import Rig

APP = "http://127.0.0.1:9/api/inngest"
OP = {"id": "a" * 40, "op": "StepRun", "data": 1}


def registration(app: str) -> dict[str, Any]:
    step = {
        "id": "step", "name": "step", "retries": {"attempts": 0},
        "runtime": {"type": "http", "url": f"{APP}?fnId={app}-pay&stepId=step"},
    }  # fmt: skip
    function = {"id": f"{app}-pay", "name": "pay", "triggers": [{"event": "go"}], "steps": {"step": step}}
    return {
        "v": "0.1", "url": APP, "deployType": "ping", "sdk": "raw:v1", "appName": app, "functions": [function],
    }  # fmt: skip


def full(*_: object) -> None:
    raise DiskFullError("no room")


@pytest.fixture
def rig(tmp_path: Any) -> Iterator[Rig]:
    made = Rig(tmp_path, dev=True)
    yield made
    made.close()


@pytest.fixture
def run_id(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> str:
    """A live run, in a server whose disk is full from now on."""
    assert rig.request("POST", "/fn/register", json=registration("shop")).status_code == 200
    assert rig.request("POST", "/v1/functions/shop-pay/pause").status_code == 200
    event = rig.request("POST", "/e/k", json={"name": "go", "data": {}}).json()["ids"][0]
    (run,) = rig.request("GET", f"/v1/events/{event}/runs").json()["data"]
    store = rig.server.store
    monkeypatch.setattr(store, "commit", full)
    monkeypatch.setattr(store, "probe", full)
    assert rig.request("POST", "/e/k", json={"name": "x", "data": {}}).status_code == 503
    assert isinstance(rig.server.partition.trouble, DiskFullError)
    return str(run["run_id"])


CASES = {
    "cancel over v1": ("DELETE", "/v1/runs/{run}", None),
    "cancel over v2": ("POST", "/v2/runs/{run}/cancel", None),
    "rerun over v2": ("POST", "/v2/runs/{run}/rerun", {}),
    "the run's memoised steps": ("GET", "/v0/runs/{run}/actions", None),
    "the run's events": ("GET", "/v0/runs/{run}/batch", None),
    "a checkpoint": ("POST", "/v1/checkpoint/{run}/async", {"run_id": "{run}", "steps": [OP], "qi_id": "q"}),
    "an endpoint's report": ("POST", "/v1/checkpoint/{run}/steps", {"run_id": "{run}", "steps": [OP]}),
    "an endpoint's begin": (
        "POST", "/v1/checkpoint", {"run_id": ulid(1, 1), "event": {"name": "e", "data": {"domain": "http://a"}}},
    ),
    "a signal": ("POST", "/v1/signals", {"signal": "s", "data": 1}),
    "why of the run": ("GET", "/v1/runs/{run}/why", None),
    "a pause": ("POST", "/v1/functions/shop-pay/pause", None),
    "a resumption": ("POST", "/v1/functions/shop-pay/resume", None),
    "a bulk cancellation": (
        "POST", "/v1/cancellations",
        {"app_id": "shop", "function_id": "shop-pay", "started_before": "2000-01-01T00:00:00Z"},
    ),
    "the bulk cancellations": ("GET", "/v1/cancellations", None),
    "an invocation": ("POST", "/invoke/shop-pay", {"data": {}}),
    "an invocation over v2": ("POST", "/v2/apps/shop/functions/pay/invoke", {"data": {}}),
    "a registration": ("POST", "/fn/register", registration("other")),
    "metadata": (
        "POST", "/v1/runs/{run}/metadata",
        {"target": {}, "metadata": [{"kind": "userland.x", "op": "merge", "values": {"a": 1}}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_everything_about_live_runs_is_refused_for_now(rig: Rig, run_id: str, name: str) -> None:
    method, path, body = CASES[name]
    more = {} if body is None else {"json": json.loads(json.dumps(body).replace("{run}", run_id))}
    answer = rig.request(method, path.replace("{run}", run_id), **more)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1


def test_graphql_refuses_too(rig: Rig, run_id: str) -> None:
    answer = rig.request("POST", "/v0/gql", json={"query": f'mutation {{ cancelRun(runID: "{run_id}") {{ id }} }}'})
    assert "disk is full" in answer.json()["errors"][0]["message"]


def test_reports_go_on(rig: Rig, run_id: str) -> None:
    assert "holdfast_ready 0.0" in rig.request("GET", "/metrics").text
    assert "no room" in rig.request("GET", "/debug/engine").json()["partition"]["trouble"]
    ready = rig.request("GET", "/ready")
    assert (ready.status_code, ready.json()["message"]) == (503, "the disk is full")  # no path: anybody may ask
    assert rig.request("GET", f"/v1/runs/{run_id}").status_code == 200


def test_the_run_goes_on_afterwards(rig: Rig, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rig.request("DELETE", f"/v1/runs/{run_id}").status_code == 503
    monkeypatch.undo()
    rig.run(_reloaded(rig))
    assert rig.request("GET", f"/v1/runs/{run_id}").json()["data"]["status"] == "Running"
    assert rig.request("DELETE", f"/v1/runs/{run_id}").status_code == 200


async def _reloaded(rig: Rig) -> None:
    import asyncio

    async with asyncio.timeout(10):
        while rig.server.partition.trouble is not None:  # noqa: ASYNC110 - a plain value
            await asyncio.sleep(0.02)
