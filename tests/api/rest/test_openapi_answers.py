"""Answers of a server at work are as its OpenAPI document says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from tests.api.telemetry import Rig, one_step

from holdfast.server.api.rest.openapi.document import document

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: Any = json.loads(document("1"))


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(one_step()) as rig:
        run = rig.run_of({"name": "go", "meta": {"sessions": {"chat": "c1"}}})
        score = {"name": "good", "value": 1, "experiment": {"id": "e1", "variant": "a"}}
        assert rig.client.post(f"/v2/runs/{run}/scores", json=[score]).status_code == 200
        rig.client.post("/v2/env/webhooks", json={"name": "a", "transform": "body"}, headers={"x-inngest-env": "dev"})
        rig.client.post("/v2/keys/events", json={"name": "ci"})
        yield rig


def check(path: str, method: str, status: int, body: Any) -> None:
    """Every member that is shown is in the document too."""
    answer = DOCUMENT["paths"][path][method]["responses"][str(status)]
    schema = answer["content"]["application/json"]["schema"] | {"components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(body)
    assert unknown(body, schema) == []


def unknown(value: Any, schema: Any, at: str = "$") -> list[str]:
    """Members of objects that their schema does not name, unless it names none."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [text for n, item in enumerate(value) for text in unknown(item, schema.get("items", {}), f"{at}[{n}]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    known = schema["properties"]
    extra = [f"{at}.{name}" for name in value if name not in known]
    return extra + [t for name in value if name in known for t in unknown(value[name], known[name], f"{at}.{name}")]


PATHS = [
    path for path, methods in DOCUMENT["paths"].items()
    if "get" in methods and "application/json" in json.dumps(methods["get"]["responses"].get("200", {}))
    and not path.startswith("/v0/runs")
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_reading(rig: Rig, path: str) -> None:
    run = rig.client.get("/v2/runs?limit=1").json()["data"][0]
    hook = rig.client.get("/v2/env/webhooks", headers={"x-inngest-env": "dev"}).json()["data"][0]["id"]
    ids = {
        "run_id": run["id"], "event_id": run["trigger"]["eventIds"][0], "app_id": "shop", "function_id": "charge",
        "name": "shop", "function": "shop-charge", "webhook_id": hook, "env": "dev",
        "session_key": "chat", "session_id": "c1", "experiment_id": "e1",
    }  # fmt: skip
    query = "?includeOutput=true" if "/v2/" in path else ""
    answer = rig.client.get(path.format(**ids) + query, headers={"x-inngest-env": "dev"})
    assert answer.status_code == 200, answer.text
    check(path, "get", 200, answer.json())


def test_writing(rig: Rig) -> None:
    run = rig.client.get("/v2/runs?limit=1").json()["data"][0]["id"]
    ids = {"run_id": run, "app_id": "shop", "function_id": "charge"}
    invoke = "/api/v2/apps/{app_id}/functions/{function_id}/invoke"
    once = {"data": {}, "idempotencyKey": "once"}
    for path, body, status in (
        ("/api/v2/runs/{run_id}/rerun", {}, 200), ("/api/v2/runs/{run_id}/cancel", {}, 409), (invoke, once, 200),
        (invoke, once, 409), (invoke, {}, 400), ("/api/v2/events", {"name": "go"}, 200),
        ("/api/v2/runs/{run_id}/scores", [{"name": "a", "value": 1}], 200),
        ("/api/v2/apps/{app_id}/syncs", {"url": "http://127.0.0.1:1"}, 422), ("/e/key", {"name": "go"}, 200),
        ("/e/key", {"name": ""}, 400), ("/invoke/shop-charge", {"data": {}}, 200), ("/invoke/shop-charge", 5, 400),
        ("/v1/functions/shop-charge/pause", {}, 200), ("/v1/functions/shop-charge/resume", {}, 200),
        ("/v1/signals", {"signal": "none"}, 404), ("/v1/cancellations", {}, 400),
    ):  # fmt: skip
        answer = rig.client.post(path.format(**ids), json=body)
        assert answer.status_code == status, (path, answer.text)
        named = path.replace("/e/key", "/e/{key}").replace("/invoke/shop-charge", "/invoke/{slug}")
        check(named.replace("/shop-charge/", "/{function}/"), "post", status, answer.json())
