"""REST v2: answers as recorded, and what else can be wrong with a request (`http-apis.md` §10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.access_rig import KEY, Rig, bearer
from tests.api.conftest import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the reference refuses with 501, and this server has.
HERE = {"/api/v2/sessions", "/api/v2/experiments"}
CASES: list[dict[str, Any]] = [case for case in recorded("v2_requests.json") if case["path"] not in HERE]
RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("dev"), dev=True)
    url = "http://localhost:1/api/inngest"
    app = {"url": url, "deployType": "ping", "sdk": "py:v0.5.18", "appName": "rec-py", "functions": [], "v": "0.1"}
    assert rig.request("POST", "/fn/register", json=app).status_code == 200
    yield rig
    rig.close()


def case_id(case: dict[str, Any]) -> str:
    return f"{case['method']} {case['path']} {json.dumps(case['request'])}"[:90]


@pytest.mark.parametrize("prefix", ["/api/v2", "/v2"])
@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_as_recorded(dev: Rig, case: dict[str, Any], prefix: str) -> None:
    given = case["request"]
    content = b"" if given is None else given.encode() if isinstance(given, str) else json.dumps(given).encode()
    answer = dev.request(case["method"], prefix + case["path"].removeprefix("/api/v2"), content=content)
    body = answer.json()
    body.pop("metadata", None)
    if case["path"].endswith("/scores") and given == {}:  # the reference names a type of Go
        case["response"]["errors"][0]["message"] = "The body must be a JSON array"
    assert (answer.status_code, body) == (case["status"], case["response"])
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("runs?limit=101", "invalid_field_format", "Limit cannot exceed 100"),
        ("runs?limit=-1", "invalid_field_format", "Limit must be at least 1"),
        ("runs?limit=x", "api_error", 'parsing field "limit": strconv.ParseInt: parsing "x": invalid syntax'),
        ("runs?limit=99999999999", "api_error",
         'parsing field "limit": strconv.ParseInt: parsing "99999999999": value out of range'),
        ("runs?include_output=maybe", "api_error",
         'parsing field "include_output": strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("runs?functionId=x", "invalid_field_format", "appId is required when filtering by functionId"),
        ("runs?timeField=never", "invalid_field_format", "timeField is invalid"),
        ("runs?order=UP", "invalid_field_format", "order is invalid"),
        ("runs?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "invalid_field_format",
         "from must be before until"),
        ("apps?limit=0", "invalid_field_format", "Limit must be at least 1"),
        ("apps?cursor=x", "invalid_field_format", "Cursor is invalid"),
        ("envs?limit=251", "invalid_field_format", "Limit cannot exceed 250"),
        (f"events/{RUN}/runs?limit=41", "invalid_field_format", "Limit cannot exceed 40"),
        (f"events/{RUN}/runs?cursor=x", "invalid_field_format", "Cursor is invalid"),
    ],
)  # fmt: skip
def test_bad_parameters(dev: Rig, path: str, code: str, text: str) -> None:
    answer = dev.request("GET", f"/v2/{path}")
    assert (answer.status_code, answer.json()) == (400, {"errors": [{"code": code, "message": text}]})


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("/events", '{"name": "a", "ts": 5}', "validation_error", "timestamp is before Jan 1, 1980"),
        ("/events", '{"name": "a", "ts": "soon"}', "invalid_field_format", "Event ts must be a number of milliseconds"),
        ("/events", '{"name": 5}', "invalid_field_format", "Expected `str`, got `int` - at `$.name`"),
        ("/events", "[]", "api_error", "proto: syntax error (line 1:1): unexpected token []"),
        ("/events", '{"name"', "api_error", "unexpected EOF"),
        ("/events", '\n{\n "nome": 1}', "api_error", 'proto: (line 3:2): unknown field "nome"'),
        ("/apps/x/functions/y/invoke", '{"data": 3}', "invalid_field_format", "Input data must be an object"),
        (f"/runs/{RUN}/scores", "[]", "invalid_field_format", "scores must have 1 to 100 items"),
        (f"/runs/{RUN}/scores", '[{"name": "a"}]', "invalid_field_format",
         "scores[0]: value must be a finite number, true or false"),
        (f"/runs/{RUN}/scores", '[{"name": "a", "value": 1, "step_id": " "}]', "invalid_field_format",
         "scores[0]: stepId must not be blank"),
        (f"/runs/{RUN}/scores", '[{"name": "a", "value": 1, "stepId": "s", "experiment": {"id": "e", "variant": "v"}}]',
         "invalid_field_format", "scores[0]: a score of an experiment belongs to the run: leave out stepId"),
        ("/apps/x/syncs", "{}", "missing_field", "URL is required: there is no app with that ID yet"),
    ],
)  # fmt: skip
def test_bad_bodies(dev: Rig, path: str, body: str, code: str, text: str) -> None:
    answer = dev.request("POST", f"/api/v2{path}", content=body.encode())
    assert (answer.status_code, answer.json()) == (400, {"errors": [{"code": code, "message": text}]})


def test_a_dev_server_has_no_signing_key_to_rotate(dev: Rig) -> None:
    refused = dev.request("POST", "/v2/keys/signing/rotate")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "invalid_request")


def test_unknown_query_parameters_are_left_out(dev: Rig) -> None:
    assert dev.request("GET", "/v2/runs?colour=red").status_code == 200


def test_catalogue(dev: Rig) -> None:
    answer = dev.request("GET", "/v2/operations")
    assert answer.headers["cache-control"] == "public, max-age=300, stale-while-revalidate=3600"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.content == dev.request("GET", "/api/v2/operations").content
    shown = {operation["id"]: operation for operation in answer.json()["data"]["operations"]}
    assert shown["GetFunctionRun"]["http"] == {"method": "GET", "path": "/runs/{run_id}"}
    assert shown["InvokeFunction"]["cli"] == {"command": "invoke-function"}
    tool = shown["ListFunctionRuns"]["mcp"]
    assert tool["name"] == "list_function_runs"
    assert tool["inputSchema"]["required"] == ["appId", "functionId"]
    assert tool["annotations"]["readOnlyHint"]
    assert "http" not in shown["mcp.send_event"]
    assert "ListSandboxes" not in shown
    assert dev.request("POST", "/v2/operations").status_code == 405


def test_start_mode_wants_the_signing_key(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        refused = rig.request("GET", "/v2/runs")
        assert (refused.status_code, refused.text) == (401, "Authentication failed\n")
        assert refused.headers["content-type"].startswith("text/plain")
        assert rig.request("GET", "/v2/runs", headers=bearer(KEY)).status_code == 200
        assert rig.request("GET", "/v2/operations").status_code == 200
    finally:
        rig.close()


def test_keys(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    key = bearer(KEY)
    try:
        known = rig.request("GET", "/v2/keys/events", headers=key).json()["data"]
        assert [found["key"] for found in known] == ["event-key-1", "second"]
        made = rig.request("POST", "/v2/keys/events", json={"name": "ci"}, headers=key).json()["data"]
        event = {"name": "a"}
        assert rig.request("POST", f"/e/{made['key']}", json=event).status_code == 200
        assert rig.request("DELETE", f"/v2/keys/events/{made['id']}", headers=key).json()["data"] == {"id": made["id"]}
        assert rig.request("POST", f"/e/{made['key']}", json=event).status_code == 401
        assert rig.request("DELETE", f"/v2/keys/events/{made['id']}", headers=key).status_code == 404
        refused = rig.request("DELETE", f"/v2/keys/events/{known[0]['id']}", headers=key)
        assert refused.status_code == 400
        assert "from the configuration" in refused.text
        assert rig.request("GET", "/v2/keys/events?limit=1", headers=key).json()["page"]["hasMore"]
        other = rig.request("GET", "/v2/keys/events", headers={**key, "x-inngest-env": "staging"}).json()
        assert "data" not in other
        new = rig.request("POST", "/v2/keys/signing/rotate", headers=key).json()["data"]["key"]
        shown = rig.request("GET", "/v2/keys/signing", headers=bearer(new)).json()["data"]
        assert [found["key"] for found in shown][:2] == [new, KEY]
    finally:
        rig.close()
