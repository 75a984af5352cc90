"""What an operator can't have the server do: call and sign for hosts of their choice, report steps that never ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.access_rig import KEY, Rig, bearer
from tests.api.test_reloading import registration

from holdfast.protocol.ids import ulid
from holdfast.server.access.principals import Role

APP = "http://127.0.0.1:9"
ELSEWHERE = "http://169.254.169.254"


@pytest.fixture
def rig(tmp_path: Any) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def begin(domain: str, number: int = 1, path: str = "/pay") -> dict[str, Any]:
    return {
        "run_id": ulid(1_700_000_000_000, number),
        "event": {"name": "inngest/http.request", "data": {"domain": domain, "path": path, "method": "GET"}},
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/checkpoint", begin(APP)),
        ("/v1/http/runs", begin(APP)),
        ("/v1/checkpoint/x/async", {"run_id": "x", "steps": []}),
        ("/v1/checkpoint/x/steps", {"run_id": "x", "steps": []}),
        ("/v1/http/runs/x/async", {"run_id": "x", "steps": []}),
    ],
)
def test_reports_of_apps_are_for_admins_and_the_key(rig: Rig, path: str, body: Any) -> None:
    refused = rig.request("POST", path, json=body, headers=rig.token(Role.OPERATOR))
    assert refused.status_code == 403
    assert "needs the role admin" in refused.text
    assert rig.request("POST", path, json=body, headers=bearer(KEY)).status_code not in {401, 403}


def test_an_admin_begins_runs_at_registered_apps_only(rig: Rig) -> None:
    admin = rig.token(Role.ADMIN)
    refused = rig.request("POST", "/v1/checkpoint", json=begin(ELSEWHERE), headers=admin)
    assert refused.status_code == 403
    assert "http://169.254.169.254 is no registered app" in refused.text
    assert rig.request("POST", "/fn/register", json=registration("shop"), headers=bearer(KEY)).status_code == 200
    assert rig.request("POST", "/v1/checkpoint", json=begin(APP, 2), headers=admin).status_code == 200
    inside = begin("http://127.0.0.1:9", 3, path="@169.254.169.254/x")
    assert rig.request("POST", "/v1/checkpoint", json=inside, headers=admin).status_code == 403


def test_a_host_that_an_endpoint_registered_by_itself_is_no_registered_app(rig: Rig) -> None:
    assert rig.request("POST", "/v1/checkpoint", json=begin(ELSEWHERE), headers=bearer(KEY)).status_code == 200
    again = rig.request("POST", "/v1/checkpoint", json=begin(ELSEWHERE, 2), headers=rig.token(Role.ADMIN))
    assert again.status_code == 403


def test_what_people_report_is_audited_and_what_apps_report_is_not(rig: Rig) -> None:
    admin = rig.token(Role.ADMIN)
    rig.request("POST", "/v1/checkpoint", json=begin(APP), headers=bearer(KEY))
    rig.request("POST", "/v1/checkpoint", json=begin(ELSEWHERE, 2), headers=admin)
    entries = rig.request("GET", "/v0/access/audit", headers=admin).json()["data"]
    assert [(e["actor"], e["outcome"]) for e in entries if e["action"] == "run.reported"] == [
        ("token:t", "failed: 403")
    ]
