"""Each framework, asked by its own test client: calls, introspection, syncs, signatures."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit
from wsgiref.util import setup_testing_defaults

import httpx
import pytest

import holdfast.aiohttp
import holdfast.asgi
import holdfast.aws_lambda
import holdfast.digital_ocean
import holdfast.django
import holdfast.fast_api
import holdfast.flask
import holdfast.litestar
import holdfast.quart
import holdfast.starlette
import holdfast.tornado
import holdfast.wsgi
from holdfast import Context, ContextSync, Event, Inngest, SigningKeyMissingError, Streaming, TriggerEvent
from holdfast.experimental.digital_ocean_simulator import FULL_PATH, DigitalOceanSimulator
from holdfast.protocol import signing
from holdfast.sdk.mounting import Mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from holdfast import Function

KEY = "signkey-test-7468697320697320612074657374206b6579"
PATH = "/api/inngest"
Ask = "Callable[[str, str, bytes, dict[str, str]], tuple[int, dict[str, str], bytes]]"


def functions(client: Inngest, *, both: bool) -> list[Function[Any]]:
    @client.create_function(fn_id="sync", trigger=TriggerEvent(event="go"))
    def plain(ctx: ContextSync) -> dict[str, Any]:
        return {"n": ctx.step.run("n", lambda: 1), "raw": type(ctx).__name__, "event": ctx.event.data}

    @client.create_function(fn_id="async", trigger=TriggerEvent(event="go"))
    async def waiting(ctx: Context) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"n": await ctx.step.run("n", lambda: 1), "raw": type(ctx).__name__, "event": ctx.event.data}

    return [plain, waiting] if both else [plain]


def wsgi_ask(app: Any) -> Any:
    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method, "PATH_INFO": parts.path, "QUERY_STRING": parts.query,
            "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        }  # fmt: skip
        setup_testing_defaults(environ)
        answer: list[Any] = []
        content = b"".join(app(environ, lambda status, pairs: answer.extend((status, pairs))))
        return int(answer[0][:3]), {name.lower(): value for name, value in answer[1]}, content

    return ask


def asgi_ask(app: Any) -> Any:
    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
                return await client.request(method, url, content=body, headers=headers)

        answer = asyncio.run(go())
        return answer.status_code, dict(answer.headers), answer.content

    return ask


def with_fastapi(client: Inngest, found: list[Function[Any]]) -> Any:
    import fastapi
    from fastapi.testclient import TestClient

    app = fastapi.FastAPI()
    holdfast.fast_api.serve(app, client, found)
    return http_ask(TestClient(app))


def http_ask(http: Any) -> Any:
    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        answer = http.request(method, url, content=body, headers=headers)
        return answer.status_code, dict(answer.headers), answer.content

    return ask


def with_starlette(client: Inngest, found: list[Function[Any]]) -> Any:
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    return http_ask(TestClient(Starlette(routes=[holdfast.starlette.serve(client, found)])))


def with_litestar(client: Inngest, found: list[Function[Any]]) -> Any:
    from litestar import Litestar
    from litestar.testing import TestClient

    return http_ask(TestClient(Litestar([holdfast.litestar.serve(client, found)])))


def with_flask(client: Inngest, found: list[Function[Any]]) -> Any:
    import flask

    app = flask.Flask("test")
    holdfast.flask.serve(app, client, found)
    return werkzeug_ask(app.test_client())


def werkzeug_ask(http: Any) -> Any:
    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        answer = http.open(url, method=method, data=body, headers=headers)
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.data

    return ask


def with_quart(client: Inngest, found: list[Function[Any]]) -> Any:
    import quart

    app = quart.Quart("test")
    holdfast.quart.serve(app, client, found)

    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        async def go() -> Any:
            answer = await app.test_client().open(url, method=method, data=body, headers=headers)
            return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, await answer.get_data(False)

        return asyncio.run(go())

    return ask


def with_django(client: Inngest, found: list[Function[Any]]) -> Any:
    import django
    from django.conf import settings
    from django.test import Client as DjangoClient
    from django.test.utils import override_settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
        django.setup()
    urls = type("urls", (), {"urlpatterns": [holdfast.django.serve(client, found)]})

    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        with override_settings(ROOT_URLCONF=urls):
            http = DjangoClient(enforce_csrf_checks=True)
            answer = http.generic(method, url, body, content_type="application/json", headers=headers)
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content

    return ask


def with_tornado(client: Inngest, found: list[Function[Any]]) -> Any:
    import tornado.httpserver
    import tornado.testing
    import tornado.web

    app = tornado.web.Application()
    holdfast.tornado.serve(app, client, found)

    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        async def go() -> httpx.Response:
            socket, port = tornado.testing.bind_unused_port()
            server = tornado.httpserver.HTTPServer(app)
            server.add_sockets([socket])
            try:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                    return await http.request(method, url, content=body, headers=headers)
            finally:
                server.stop()
                await server.close_all_connections()

        answer = asyncio.run(go())
        return answer.status_code, dict(answer.headers), answer.content

    return ask


def with_aiohttp(client: Inngest, found: list[Function[Any]]) -> Any:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        async def go() -> Any:
            app = web.Application()
            holdfast.aiohttp.serve(app, client, found)
            async with TestClient(TestServer(app)) as http:
                answer = await http.request(method, url, data=body, headers=headers)
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

        return asyncio.run(go())

    return ask


def with_lambda(client: Inngest, found: list[Function[Any]]) -> Any:
    handler = holdfast.aws_lambda.serve(client, found)

    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        event = {
            "version": "2.0", "rawPath": parts.path, "rawQueryString": parts.query, "body": body.decode(),
            "headers": {"host": "testserver", "x-forwarded-proto": "http", **headers}, "isBase64Encoded": False,
            "requestContext": {"http": {"method": method}},
        }  # fmt: skip
        old = {
            "httpMethod": method, "path": parts.path, "queryStringParameters": dict(parse_qsl(parts.query)),
            "body": body.decode(), "headers": event["headers"], "requestContext": {"path": parts.path},
        }  # fmt: skip
        answer, same = handler(event, None), handler(old, None)
        assert answer["statusCode"] == same["statusCode"]
        return answer["statusCode"], answer["headers"], answer["body"].encode()

    return ask


def with_digital_ocean(client: Inngest, found: list[Function[Any]]) -> Any:
    inner = werkzeug_ask(DigitalOceanSimulator(holdfast.digital_ocean.serve(client, found)).app.test_client())

    def ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return inner(method, url.replace(PATH, FULL_PATH), body, headers)

    return ask


FRAMEWORKS = {
    "aiohttp": with_aiohttp,
    "asgi": lambda client, found: asgi_ask(holdfast.asgi.serve(client, found)),
    "aws-lambda": with_lambda,
    "digitalocean": with_digital_ocean,
    "django": with_django,
    "fast_api": with_fastapi,
    "flask": with_flask,
    "litestar": with_litestar,
    "quart": with_quart,
    "starlette": with_starlette,
    "tornado": with_tornado,
    "wsgi": lambda client, found: wsgi_ask(holdfast.wsgi.serve(client, found)),
}
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(params=sorted(FRAMEWORKS))
def framework(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Have what test clients leave open be collected here, where warnings about it are not errors."""
    yield
    gc.collect()


def call_body(**more: Any) -> bytes:
    event = {"name": "go", "data": {"x": 1}, "id": "1", "ts": 1, "user": {}}
    ctx = {"attempt": 0, "disable_immediate_execution": False, "run_id": "r", "stack": {"stack": [], "current": 0}}
    return json.dumps({"ctx": ctx, "event": event, "events": [event], "steps": {}, "use_api": False, **more}).encode()


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    from holdfast.sdk.signatures import sign_request

    return {"x-inngest-signature": sign_request(body, key)}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_call_runs_a_step_and_then_the_function(framework: str, kind: str) -> None:
    client = Inngest(app_id="app", is_production=False)
    ask = FRAMEWORKS[framework](client, functions(client, both=True))
    url = f"{PATH}?fnId=app-{kind}&stepId=step"
    status, headers, body = ask("POST", url, call_body(), {})
    (step,) = json.loads(body)
    assert (status, step["op"], step["data"]) == (206, "StepRun", 1)
    assert headers["x-inngest-framework"] == framework
    assert headers["x-inngest-req-version"] == "2"
    assert headers["x-inngest-sdk"].startswith("inngest-py")
    assert headers["x-inngest-sdk-handled"] == "true"
    assert headers["x-inngest-expected-server-kind"] == "dev"
    assert "function;dur=" in headers["server-timing"]
    status, _, body = ask("POST", url, call_body(steps={step["id"]: {"data": 1}}), {})
    name = "ContextSync" if kind == "sync" else "Context"
    assert (status, json.loads(body)) == (200, {"n": 1, "raw": name, "event": {"x": 1}})


def test_cloud_mode_wants_signatures_and_signs(framework: str) -> None:
    client = Inngest(app_id="app", is_production=True, signing_key=KEY)
    ask = FRAMEWORKS[framework](client, functions(client, both=False))
    url, body = f"{PATH}?fnId=app-sync&stepId=step", call_body()
    for wrong in ({}, signed(body, "signkey-test-00"), {"x-inngest-signature": "t=x&s=1"}):
        status, headers, answer = ask("POST", url, body, wrong)
        assert (status, json.loads(answer)) == (401, {"message": "Unauthorized"})
        assert "x-inngest-sdk" not in headers
        assert headers["x-inngest-sdk-handled"] == "true"
        assert "x-inngest-signature" not in headers
    status, headers, answer = ask("POST", url, body, signed(body))
    assert status == 206
    assert signing.verify(KEY, answer, headers["x-inngest-signature"])


def test_introspection_says_more_to_who_signs(framework: str) -> None:
    client = Inngest(app_id="app", is_production=True, signing_key=KEY, event_key="k")
    ask = FRAMEWORKS[framework](client, functions(client, both=False))
    assert ask("GET", PATH, b"", {})[0] == 401
    status, _, body = ask("GET", PATH, b"", signed(b""))
    found = json.loads(body)
    assert status == 200
    assert (found["framework"], found["authentication_succeeded"], found["function_count"]) == (framework, True, 1)
    assert found["signing_key_hash"] == signing.hash_signing_key(KEY)
    dev = Inngest(app_id="app", is_production=False)
    status, _, body = FRAMEWORKS[framework](dev, functions(dev, both=False))("GET", PATH, b"", {})
    assert set(json.loads(body)) == {
        "function_count", "has_event_key", "has_signing_key", "has_signing_key_fallback", "mode", "schema_version",
    }  # fmt: skip


def test_in_band_sync_answers_with_the_functions(framework: str) -> None:
    client = Inngest(app_id="app", is_production=True, signing_key=KEY, app_version="1")
    ask = FRAMEWORKS[framework](client, functions(client, both=False))
    body = b'{"url":"https://example.com/api/inngest"}'
    headers = {"x-inngest-sync-kind": "in_band", "x-inngest-server-kind": "cloud"}
    assert ask("PUT", PATH, body, headers)[0] == 401
    status, answered, answer = ask("PUT", PATH, body, {**headers, **signed(body)})
    found = json.loads(answer)
    assert (status, answered["x-inngest-sync-kind"], found["app_id"]) == (200, "in_band", "app")
    url = found["functions"][0]["steps"]["step"]["runtime"]["url"]
    assert url == "https://example.com/api/inngest?fnId=app-sync&stepId=step"


def test_a_failed_registration_keeps_the_servers_status(framework: str, server: str) -> None:
    client = Inngest(app_id=f"bad-{framework}", is_production=False, api_base_url=server)
    bad = client.create_function(fn_id="f", trigger=TriggerEvent(event="go", expression="((("))(lambda _: None)
    status, headers, body = FRAMEWORKS[framework](client, [bad])("PUT", PATH, b"", {})
    assert status == 400, body
    assert headers["x-inngest-sync-kind"] == "out_of_band"
    good = functions(client, both=True)
    status, _, body = FRAMEWORKS[framework](client, good)("PUT", PATH, b"", {})
    assert (status, json.loads(body)["ok"]) == (200, True)
    status, _, body = FRAMEWORKS[framework](client, good)("PUT", PATH, b"", {"x-inngest-server-kind": "cloud"})
    assert (status, json.loads(body)["code"]) == (400, "server_kind_mismatch")


def test_cloud_mode_needs_a_key(framework: str) -> None:
    client = Inngest(app_id="app", is_production=True)
    with pytest.raises(SigningKeyMissingError):
        FRAMEWORKS[framework](client, functions(client, both=False))("GET", PATH, b"", {})


def test_calls_larger_than_forms_may_be_are_taken(framework: str) -> None:
    client = Inngest(app_id="app", is_production=False)
    ask = FRAMEWORKS[framework](client, functions(client, both=False))
    body = call_body(padding="x" * 3_000_000)
    assert ask("POST", f"{PATH}?fnId=app-sync&stepId=step", body, {})[0] == 206


@pytest.mark.parametrize(
    "framework", ["aiohttp", "asgi", "django", "fast_api", "flask", "litestar", "starlette", "wsgi"]
)
def test_bodies_have_a_bound(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_MAX_BODY_BYTES", "2000")
    client = Inngest(app_id="app", is_production=False)
    ask = FRAMEWORKS[framework](client, functions(client, both=False))
    url = f"{PATH}?fnId=app-sync&stepId=step"
    assert ask("POST", url, call_body(), {})[0] == 206
    status, _, answer = ask("POST", url, call_body(padding="x" * 2_000), {})
    assert status == 413
    assert framework == "litestar" or json.loads(answer)["code"] == "body_too_large"


def test_a_body_in_pieces_is_read_no_further_than_its_bound() -> None:
    read: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(9):
            read.append(number)
            yield b"x" * 10

    at = Mount(cast("Any", None), max_body_bytes=35)
    assert asyncio.run(at.read(pieces(), None)) is None
    assert read == [0, 1, 2, 3]
    read.clear()
    assert asyncio.run(at.read(pieces(), "36")) is None
    assert read == []


def test_old_signatures_are_refused() -> None:
    from holdfast.sdk.signatures import sign_request

    client = Inngest(app_id="app", is_production=True, signing_key=KEY)
    ask = asgi_ask(holdfast.asgi.serve(client, functions(client, both=False)))
    old = {"x-inngest-signature": sign_request(call_body(), KEY, int(time.time()) - 400)}
    assert ask("POST", f"{PATH}?fnId=app-sync&stepId=step", call_body(), old)[0] == 401


@pytest.mark.parametrize("streaming", [Streaming.FORCE, True])
def test_streamed_answers_carry_a_signature_of_what_they_hold(streaming: Streaming | bool) -> None:
    client = Inngest(app_id="app", is_production=True, signing_key=KEY)
    ask = asgi_ask(holdfast.asgi.serve(client, functions(client, both=True), streaming=streaming))
    body = call_body()
    status, _, answer = ask("POST", f"{PATH}?fnId=app-async&stepId=step", body, signed(body))
    envelope = json.loads(answer)
    assert (status, answer[:1], envelope["status"]) == (201, b" ", 206)
    assert signing.verify(KEY, envelope["body"].encode(), envelope["headers"]["x-inngest-signature"])


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("?stepId=step", call_body(), "query_param_missing"),
        ("?fnId=app-no&stepId=step", call_body(), "function_not_found"),
        ("?fnId=app-sync&stepId=step", b"{}", "body_invalid"),
        ("?fnId=app-sync&stepId=step", b"{", "body_invalid"),
        ("?probe=x", b"", "unknown"),
    ],
)
def test_bad_calls_get_an_error_that_says_what_is_wrong(query: str, body: bytes, code: str) -> None:
    client = Inngest(app_id="app", is_production=False)
    ask = asgi_ask(holdfast.asgi.serve(client, functions(client, both=False)))
    status, _, answer = ask("POST", PATH + query, body, {})
    assert (status, json.loads(answer)["code"]) == (500, code)


def test_events_keep_their_shape() -> None:
    assert Event(name="a", data=None).to_dict() == {"data": {}, "id": "", "name": "a", "ts": 0}  # type: ignore[arg-type]
