"""What a browser may be made to do: pages of other sites in `dev`, content of apps under this server's name, caches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog.testing
from tests.api.access_rig import KEY, Rig, bearer

from holdfast.server.access.principals import Role
from holdfast.server.api.sdk.durable_endpoints import _replay

CHROME = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"}


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, dev=True)
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


# --- DNS rebinding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/v1/events", CHROME),
        ("GET", "/v1/events", {"user-agent": "inngest-js:v4.1.0"}),  # a page may say so, in Firefox
        ("GET", "/v0/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/actions", {}),
        ("POST", "/v1/realtime/publish?channel=c&topic=t", {}),
        ("GET", "/v2/apps", CHROME),
        ("GET", "/dev", {"sec-fetch-site": "same-origin"}),
        ("POST", "/fn/register", {"origin": "http://evil.example:8288"}),
        ("POST", "/invoke/app-fn", CHROME | {"origin": "http://evil.example:8288"}),
    ],
)
def test_a_page_that_points_its_name_at_dev_is_refused(
    dev: Rig, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = dev.request(method, path, headers={"host": "evil.example:8288", **headers})
    assert answer.status_code == 403
    assert "--allowed-host evil.example" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "holdfast:8288", "user-agent": "inngest-js:v4.1.0"},
        {"host": "host.docker.internal:8288", "user-agent": "python-httpx/0.28"},
        {"host": "holdfast.default.svc.cluster.local", "user-agent": "python-httpx/0.28"},
        {"host": "localhost:8288", **CHROME},
        {"host": "localhost:8288", "origin": "http://localhost:8288", **CHROME},
        {"host": "192.168.0.7:8288", **CHROME},
    ],
)
def test_dev_is_reached_by_its_own_names(dev: Rig, headers: dict[str, str]) -> None:
    assert dev.request("GET", "/v1/events", headers=headers).status_code == 200


def test_nothing_redirects_to_where_the_host_says(rig: Rig) -> None:
    for path in ("/health/", "/v1/events/", "/login/"):
        answer = rig.request("GET", path, headers={"host": "evil.example", **bearer(KEY)})
        assert "evil.example" not in answer.headers.get("location", "")
        assert answer.status_code in {200, 404}


def test_pages_for_strangers_are_made_once(rig: Rig) -> None:
    for path in ("/docs/api", "/openapi.json", "/v2/operations", "/login"):
        rig.request("GET", path)
        began = time.process_time()
        for _ in range(20):
            assert rig.request("GET", path).status_code == 200
        assert (time.process_time() - began) / 20 < 0.005, path


def test_short_keys_are_told_of(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs, contextlib.closing(Rig(tmp_path, event_keys=("x",))):
        pass
    found = [line["option"] for line in logs if line["event"].startswith("a key is short")]
    assert found == ["--event-key"]


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/events", "/v2/apps", "/v0/access/users", "/metrics", "/debug/vars", "/", "/no"])
def test_answers_are_kept_nowhere_and_are_what_they_say(rig: Rig, path: str) -> None:
    for headers in (bearer(KEY), {}):
        answer = rig.request("GET", path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs/api", "/login", "/v0/"])
def test_pages_are_in_no_frame_and_load_nothing_from_elsewhere(rig: Rig, path: str) -> None:
    rig.user(Role.VIEWER)
    answer = rig.request("GET", path, headers={**bearer(KEY), "accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"


# --- what apps answer for durable endpoints ---------------------------------------------------------------------------


def replayed(**result: object) -> tuple[int, dict[str, str], bytes]:
    answer = _replay(msgspec.json.encode({"data": result}))
    return answer.status_code, {k.decode(): v.decode() for k, v in answer.raw_headers}, bytes(answer.body)


def test_a_page_of_an_app_is_no_page_of_this_server() -> None:
    status, headers, body = replayed(
        status=200, body="<script>1</script>",
        headers={
            "Content-Type": "text/html", "Set-Cookie": "holdfast_session=x", "Clear-Site-Data": '"*"', "X-Own": "1",
        },
    )  # fmt: skip
    assert (status, body) == (200, b"<script>1</script>")
    assert headers["content-type"] == "text/html"
    assert headers["x-own"] == "1"
    assert headers["content-security-policy"].startswith("sandbox ")
    assert "allow-same-origin" not in headers["content-security-policy"]
    assert not {"set-cookie", "clear-site-data"} & set(headers)


@pytest.mark.parametrize(
    "bad",
    [
        {"X-A": "1\r\nset-cookie: holdfast_session=x"}, {"X-A\r\nY": "1"}, {"X A": "1"}, {"": "1"}, {"X-A": "1\x00"},
        {"Content-Length": "1"}, {"Transfer-Encoding": "chunked"}, {"Connection": "upgrade"},
    ],
)  # fmt: skip
def test_headers_of_an_app_can_not_split_the_answer(bad: dict[str, str]) -> None:
    _, headers, _ = replayed(status=200, body="good", headers=bad | {"X-B": "2"})
    assert headers["x-b"] == "2"
    assert set(headers) == {"x-b", "content-length", "content-security-policy"}
    assert headers["content-length"] == "4"


def test_headers_of_an_app_may_have_any_letters() -> None:
    answer = _replay(msgspec.json.encode({"data": {"status": 200, "body": "", "headers": {"X-Name": "Jürgen 🚀"}}}))
    assert (b"x-name", "Jürgen 🚀".encode()) in answer.raw_headers


@pytest.mark.parametrize(("status", "sent", "body"), [(204, 204, b""), (304, 304, b""), (418, 418, b"tea")])
def test_an_answer_without_a_body_has_none(status: int, sent: int, body: bytes) -> None:
    assert replayed(status=status, body="tea", headers=None)[::2] == (sent, body)


@pytest.mark.parametrize("status", [-1, 0, 1, 100, 101, 199, 600, 99_999])
def test_a_status_that_is_none_is_not_sent(status: int) -> None:
    found, headers, body = replayed(status=status, body="x", headers={"content-type": "text/html"})
    assert (found, headers["content-type"]) == (200, "application/json")
    assert msgspec.json.decode(body)["data"]["status"] == status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/e/key", "/v1/signals", "/v2/apps"])
def test_preflights_allow_what_routes_take(rig: Rig, method: str, path: str) -> None:
    asked = {
        "origin": "https://shop.example",
        "access-control-request-method": method,
        "access-control-request-headers": "content-type,authorization,x-inngest-sdk",
    }
    answer = rig.request("OPTIONS", path, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert method in answer.headers["access-control-allow-methods"]
