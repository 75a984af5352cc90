"""Syncing: the app PUTs itself in, the server lists it; broken registrations are refused (execution.md §1)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .raw import Endpoint, function_config, register, sdk, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import App, Platform

FUNCTION_FIELDS = """
    id name slug url triggers { type value condition } failureHandler { slug }
    configuration {
        retries { value isDefault } cancellations { event condition } singleton { mode key }
        eventsBatch { maxSize timeout key } debounce { period key } rateLimit { limit period key }
        throttle { limit period burst key } concurrency { scope limit { value } key } priority
    }
"""


def app_row(platform: Platform, name: str) -> dict[str, Any]:
    fields = "id externalID name sdkLanguage framework url error method appVersion connected functionCount"
    rows = platform.gql("query { apps { %s functions { id slug } } }" % fields)["apps"]  # noqa: UP031
    return next(row for row in rows if row["externalID"] == name)


def function_row(platform: Platform, slug: str) -> dict[str, Any]:
    query = "query($slug: String!) { functionBySlug(query: {functionSlug: $slug}) { %s } }"
    row: dict[str, Any] = platform.gql(query % FUNCTION_FIELDS, slug=slug)["functionBySlug"]
    return row


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving(lambda _: sdk(200, "done")) as endpoint:
        yield endpoint


def test_the_app_is_listed(app: App) -> None:
    row = app_row(app.platform, app.id)
    assert row["id"] == str(uuid.uuid5(uuid.NAMESPACE_OID, app.id))
    assert row["name"] == app.id
    assert row["sdkLanguage"] in {"py", "py-holdfast"} if app.is_python else row["sdkLanguage"] == "js"
    assert row["framework"] == {"fastapi": "fast_api", "flask": "flask"}.get(app.kind, "nodejs")
    assert row["error"] is None
    assert row["method"] == "SERVE"
    assert row["appVersion"] == "1.2.3"
    assert row["url"].replace("localhost", "127.0.0.1") == app.origin + app.path
    assert row["functionCount"] == len(row["functions"]) > 50


def test_the_same_sync_again_changes_nothing(app: App) -> None:
    before = app_row(app.platform, app.id)
    answer = app.sync()
    assert answer["modified"] is False
    assert app_row(app.platform, app.id) == before


def test_configuration_arrives(app: App) -> None:
    configured = {name: function_row(app.platform, app.slug(name)) for name in ("cancellable", "batch", "throttle")}
    expression = "event.data.id == async.data.id"
    cancellations = configured["cancellable"]["configuration"]["cancellations"]
    assert [(item["event"], item["condition"]) for item in cancellations] == [(app.event("cancel"), expression)]
    assert configured["batch"]["configuration"]["eventsBatch"] == {"maxSize": 2, "timeout": "2s", "key": None}
    throttle = configured["throttle"]["configuration"]["throttle"]
    assert (throttle["limit"], throttle["period"], throttle["key"]) == (1, "1s", "event.data.key")
    retries = function_row(app.platform, app.slug("step-retry"))["configuration"]["retries"]
    assert (retries["value"], retries["isDefault"]) == (3, False)
    default = function_row(app.platform, app.slug("no-step"))["configuration"]["retries"]
    assert (default["value"], default["isDefault"]) == (4, True)


def test_the_failure_handler_is_a_function_of_its_own(app: App) -> None:
    slug = app.slug("fails-with-handler")
    assert function_row(app.platform, slug)["failureHandler"] == {"slug": f"{slug}-failure"}
    triggers = function_row(app.platform, f"{slug}-failure")["triggers"]
    condition = f"event.data.function_id == '{slug}'"
    assert triggers == [{"type": "EVENT", "value": "inngest/function.failed", "condition": condition}]


def test_dev_info_lists_functions(app: App) -> None:
    functions = app.platform.http.get("/dev").json()["functions"]
    mine = {item["slug"]: item for item in functions if item["slug"].startswith(f"{app.id}-")}
    uri = mine[app.slug("two-steps")]["steps"][0]["uri"]
    assert uri.endswith(f"{app.path}?fnId={app.slug('two-steps')}&stepId=step")


def test_the_server_can_ask_an_app_to_sync(any_app: App) -> None:
    mutation = "mutation($url: String!) { createApp(input: {url: $url}) { id externalID error } }"
    created = any_app.platform.gql(mutation, url=any_app.origin + any_app.path)["createApp"]
    assert created["externalID"] == any_app.id
    assert created["error"] is None


def test_a_function_keeps_its_id_and_leaves_with_the_next_sync(platform: Platform, endpoint: Endpoint) -> None:
    url = f"{endpoint.url}/leaving"
    stays, leaves = (function_config("leaving", name, url) for name in ("stays", "leaves"))
    register(platform, "leaving", url, [stays, leaves])
    before = {row["slug"]: row["id"] for row in app_row(platform, "leaving")["functions"]}
    assert register(platform, "leaving", url, [{**stays, "name": "renamed"}])["modified"] is True
    after = {row["slug"]: row["id"] for row in app_row(platform, "leaving")["functions"]}
    assert after == {"leaving-stays": before["leaving-stays"]}
    gone, stayed = platform.send("leaving/leaves"), platform.send("leaving/stays")
    platform.wait_run(platform.runs_of(stayed)[0])
    assert platform.run_ids(gone) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, "A function name is required"),
        ({"steps": {}}, "Functions must contain one step"),
        ({"triggers": [{}]}, "A trigger must supply an event name or a cron schedule"),
        ({"triggers": [{"cron": "@hourly"}]}, "'@hourly' isn't a valid cron schedule"),
        ({"triggers": [{"event": "a"}, {"event": "a"}]}, "duplicate trigger event: a"),
        ({"triggers": [{"event": f"e{n}"} for n in range(11)]}, "exceeds the max number of triggers: 10"),
        ({"concurrency": [{"limit": 1}] * 3}, "more concurrency limits specified than the allowed max of: 2"),
        ({"batchEvents": {"maxSize": 1, "timeout": "2s"}}, "batch size cannot be smaller than 2: 1"),
        ({"debounce": {"period": "30d"}}, "The debounce period of '30d' is greater than the max of: 168h0m0s"),
        ({"rateLimit": {"limit": 0, "period": "1m"}}, "limit must be greater than 0"),
    ],
)
def test_an_invalid_function_is_refused(
    platform: Platform, endpoint: Endpoint, change: dict[str, Any], error: str
) -> None:
    url = f"{endpoint.url}/refused"
    config = {**function_config("refused", "fn", url), **change}
    body = {"v": "0.1", "url": url, "sdk": "raw:v1", "framework": "", "appName": "refused", "functions": [config]}
    response = platform.http.post("/fn/register", json=body)
    assert response.status_code == 400
    assert response.json() == {"error": "At least one function is invalid", "data": None, "status": 400}
    assert error in app_row(platform, "refused")["error"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"nonsense", "Invalid request: "),
        (b"", "Invalid request: "),
        (b"{}", "App ID required"),
        (b'{"appName": "x", "functions": {"a": 1}}', "Invalid request: "),
    ],
)
def test_a_broken_body_is_refused(platform: Platform, body: bytes, error: str) -> None:
    response = platform.http.post("/fn/register", content=body)
    assert response.status_code == 400
    assert response.json()["error"].startswith(error)


def test_the_other_kind_of_server_is_refused(platform: Platform) -> None:
    headers = {"x-inngest-expected-server-kind": "cloud"}
    response = platform.http.post("/fn/register", json={"appName": "x"}, headers=headers)
    assert response.status_code == 400
    assert response.json() == {"error": "Expected server kind dev, got cloud"}


def test_an_app_can_be_removed(platform: Platform, endpoint: Endpoint) -> None:
    url = f"{endpoint.url}/removed"
    register(platform, "removed", url, [function_config("removed", "fn", url)])
    assert platform.http.delete("/fn/remove", params={"url": url}).status_code == 200
    again = platform.http.delete("/fn/remove", params={"url": url})
    assert again.status_code == 404
    event = platform.send("removed/fn")
    assert platform.run_ids(event) == []


def test_health_and_server_kind(platform: Platform) -> None:
    response = httpx.get(f"{platform.url}/health")
    assert response.json() == {"status": 200, "message": "OK"}
    assert response.headers["x-inngest-server-kind"] == "dev"
