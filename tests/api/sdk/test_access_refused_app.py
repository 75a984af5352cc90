"""An app with another signing key: its own error says little, so the server's log says why."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs
from tests.api.access_rig import Rig, bearer


def test_the_log_tells_of_an_app_with_another_key_once_a_minute(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        with capture_logs() as lines:
            for _ in range(3):
                headers = {**bearer("signkey-prod-ffff"), "x-inngest-sdk": "py:v0.5.19"}
                answer = rig.request("POST", "/fn/register", json={}, headers=headers)
                assert (answer.status_code, answer.text) == (401, "Authentication failed\n")
    finally:
        rig.close()
    told = [line for line in lines if "refused an app's registration" in line["event"]]
    assert [(line["log_level"], line["sdk"]) for line in told] == [("warning", "py:v0.5.19")]
