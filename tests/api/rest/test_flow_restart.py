"""A server that is killed: its pauses and bulk cancellations are there again, and runs still say what they wait for."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.api.serving import Served

if TYPE_CHECKING:
    from pathlib import Path

APP = {
    "v": "0.1", "url": "http://127.0.0.1:9/", "deployType": "ping", "sdk": "raw:v1", "framework": "", "appName": "shop",
    "functions": [
        {
            "id": "shop-charge", "name": "charge", "triggers": [{"event": "go"}],
            "steps": {
                "step": {
                    "id": "step", "name": "step", "retries": {"attempts": 0},
                    "runtime": {"type": "http", "url": "http://127.0.0.1:9/?fnId=shop-charge&stepId=step"},
                }
            },
        }
    ],
}  # fmt: skip


def call(server: Served, method: str, path: str, body: Any = None) -> Any:
    headers = {"content-type": "application/json"}
    status, answer = server.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
    assert status == 200, answer
    return json.loads(answer).get("data")


def runs(server: Served, event: str) -> list[str]:
    return [run["run_id"] for run in call(server, "GET", f"/v1/events/{event}/runs")]


def why(server: Served, run: str) -> tuple[str, str]:
    data = call(server, "GET", f"/v1/runs/{run}/why")
    reasons = [reason for reason in data["reasons"] if reason["kind"] != "app"]
    assert len(reasons) == 1, reasons
    return data["status"], reasons[0]["kind"]


def test_pauses_and_cancellations_outlive_a_kill(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        server.request("POST", "/fn/register", json.dumps(APP).encode())
        assert call(server, "POST", "/v1/functions/shop-charge/pause")["paused"] is True
        (early,) = server.send("go", {"n": 1})
        (early_run,) = runs(server, early)
        assert why(server, early_run) == ("Scheduled", "paused")
        bound = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        time.sleep(0.02)
        (late,) = server.send("go", {"n": 2})
        given = {"app_id": "shop", "function_id": "shop-charge", "started_before": bound}
        made = call(server, "POST", "/v1/cancellations", given)
        server.kill()
        server.start()
        state = call(server, "GET", "/v1/functions/shop-charge")
        assert (state["paused"], state["pause_mode"]) == (True, "queue")
        assert call(server, "GET", "/v1/cancellations") == [made]
        (late_run,) = runs(server, late)
        assert why(server, early_run) == ("Cancelled", "cancelled")
        assert why(server, late_run) == ("Scheduled", "paused")
        assert call(server, "POST", "/v1/functions/shop-charge/resume")["paused"] is False
        deadline = time.monotonic() + 10
        while why(server, late_run) != ("Failed", "failed"):  # nobody is at home there
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert call(server, "DELETE", f"/v1/cancellations/{made['id']}") == {"ok": True}
        assert call(server, "GET", "/v1/cancellations") == []
        assert server.errors() == []
