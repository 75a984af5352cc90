"""Paths and methods over the whole server: escapes in parameters, and wrong methods (http-apis.md §1.4, §10.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from .access_rig import EVENT_KEY, KEY, Rig, bearer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FUNCTION = "a/b 50%2F+é"
SEGMENT = quote(FUNCTION, safe="")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("dev"), dev=True)
    step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": "http://127.0.0.1:9/x"}}
    function = {"id": f"sh/op-{FUNCTION}", "name": "odd", "triggers": [{"event": "go"}], "steps": {"step": step}}
    given = {"appName": "sh/op", "url": "http://127.0.0.1:9/x", "sdk": "py:v0", "functions": [function]}
    assert rig.request("POST", "/fn/register", json=given).status_code == 200
    yield rig
    rig.close()


@pytest.mark.parametrize(
    ("path", "member"),
    [
        (f"/api/v2/apps/sh%2Fop/functions/{SEGMENT}", "name"),
        (f"/v2/apps/sh%2fop/functions/{SEGMENT}", "name"),
        ("/v2/apps/sh%2Fop", "functionCount"),
        (f"/v1/functions/sh%2Fop-{SEGMENT}", "id"),
    ],
)
def test_a_parameter_may_hold_a_slash(rig: Rig, path: str, member: str) -> None:
    answer = rig.request("GET", path)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert member in body.get("data", body)


def test_functions_of_an_app_whose_name_holds_a_slash(rig: Rig) -> None:
    (function,) = rig.request("GET", "/v1/apps/sh%2Fop/functions").json()
    assert function["id"] == f"sh/op-{FUNCTION}"


@pytest.mark.parametrize(
    "path", [f"/v2/apps/sh%2Fop/functions/{SEGMENT}/invoke", f"/invoke/sh%2Fop-{SEGMENT}"], ids=["v2", "invoke"]
)
def test_a_function_whose_id_holds_a_slash_is_invoked(rig: Rig, path: str) -> None:
    before = rig.request("GET", "/v2/runs?limit=100").json().get("data", [])
    assert rig.request("POST", path, json={"data": {}}).status_code == 200
    assert len(rig.request("GET", "/v2/runs?limit=100").json()["data"]) == len(before) + 1


def test_a_slash_that_is_escaped_is_no_slash_of_a_route(rig: Rig) -> None:
    assert rig.request("GET", "/v1%2Fevents").status_code == 404


@pytest.mark.parametrize("path", ["/invoke/%zz", "/v1/runs/%", "/v2/apps/a%2"])
def test_an_escape_that_is_none(rig: Rig, path: str) -> None:
    answer = rig.request("POST", path, json={})
    assert (answer.status_code, answer.text) == (400, "400 Bad Request")
    assert answer.headers["x-inngest-server-kind"] == "dev"


def test_the_middleware_sees_the_path_that_the_routes_see(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        for path in ("/v2%2Fkeys/signing", "/health%2F..%2Fv2/keys/signing", "/e%2Fx", "/v2/%6Beys/signing"):
            assert rig.request("GET", path).status_code == 401, path
            assert rig.request("GET", path, headers=bearer(KEY)).status_code == (200 if "%6B" in path else 404), path
        assert rig.request("GET", f"/e/{EVENT_KEY}").status_code == 405
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/e/k", "POST"), ("OPTIONS", "/e/k", "POST"), ("PATCH", "/e/k", "POST"),
        ("POST", "/health", "GET"), ("GET", "/v0/connect/start", "POST"), ("GET", "/v1/checkpoint", "POST"),
        ("PUT", "/v1/realtime/token", "POST"), ("POST", "/v1/realtime/sse", "GET"), ("POST", "/v0", "GET"),
        ("PUT", "/v1/runs/x", "DELETE, GET"), ("PUT", "/v1/cancellations", "GET, POST"),
        ("GET", "/fn/step-limit", "DELETE, POST"), ("POST", "/v2/operations", "GET"),
    ],
)  # fmt: skip
def test_a_wrong_method_is_told_what_is_right_without_a_body(rig: Rig, method: str, path: str, allowed: str) -> None:
    answer = rig.request(method, path)
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", allowed)


def test_metrics_say_the_format_that_they_are_in(rig: Rig) -> None:
    assert rig.request("GET", "/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_dev_tells_the_features_that_uis_ask_for(rig: Rig) -> None:
    features = rig.request("GET", "/dev").json()["features"]
    assert features == {"FEATURE_CEL_SEARCH": False, "enable-step-metadata": True, "run-details-v4": True}
