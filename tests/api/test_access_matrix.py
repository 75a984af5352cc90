"""Every route by every credential, in `start` and `dev` (http-apis.md §14, docs/adr/0006-access.md).

The routes are the app's own: one that nobody decided about fails here, before it is open in production.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.server.access.principals import Role
from holdfast.server.api.common import watched
from holdfast.server.api.common.auth import Guard
from holdfast.server.clock import now_ms

from .access_rig import EVENT_KEY, FALLBACK, KEY, ROLES, Rig, bearer

#: The decision about each route, by the beginning of its path (`$`: the whole path): who the middleware lets through.
DECISIONS = {
    "/health$": "open", "/ready$": "open", "/login$": "open", "/login/oidc": "open", "/logout$": "open",
    "/favicon.ico$": "open", "/openapi.json$": "open", "/v2/operations": "open", "/api/v2/operations": "open",
    "/e/": "own", "/webhooks/": "own", "/v1/checkpoint/{}/output$": "own", "/v1/http/runs/{}/output$": "own",
    "/v1/realtime/connect": "own", "/v1/realtime/sse": "own", "/v1/realtime/publish": "own",
    "/invoke/": "invoke",
    "/fn/": "admin", "/v2/keys": "admin", "/api/v2/keys": "admin",
    "/v2/env/webhooks": "admin", "/api/v2/env/webhooks": "admin",
    "/docs/api": "open", "/assets/": "open", "/v1/checkpoint": "admin", "/v1/http/runs": "admin",
    "/v0/runs/": "machine", "/v0/telemetry": "machine", "/v0/connect": "admin", "/v1/": "machine", "/v2": "machine",
    "/v0/connect/envs/": "machine",
    "/api/v2": "machine", "/dev$": "machine", "/dev/traces": "machine",
    "/v0/access/me": "viewer", "/v0/access/": "admin", "/v0/activity": "viewer",
    "/v0/gql": "viewer", "/v0/live": "viewer", "/v0/$": "viewer",
    "/v0$": "viewer",
    "/mcp": "viewer", "/metrics$": "viewer", "/debug": "admin", "/test/": "admin",
    "/$": "viewer", "/static/": "viewer", "/{}": "viewer",
}  # fmt: skip
SAFE = {"GET", "HEAD"}
PASSED = 299


def decision(path: str) -> str:
    plain = re.sub(r"{[^}]*}", "{}", path)
    fits = [
        known for known in DECISIONS if plain == known.rstrip("$") or (known[-1] != "$" and plain.startswith(known))
    ]
    assert fits, f"nobody has decided who may use {path}: see access/policy.py, and DECISIONS here"
    return DECISIONS[max(fits, key=len)]


def sample(path: str) -> str:
    return re.sub(r"{[^}]*}", "01ARZ3NDEKTSV4RRFFQ69G5FAV", path)


def least_role(decided: str, method: str) -> Role:
    """Whose requests pass, of those who are known."""
    writes = method not in SAFE
    if decided == "admin":
        return Role.ADMIN
    if decided == "viewer":
        return Role.VIEWER
    return Role.OPERATOR if writes else Role.VIEWER


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("start"), test_mode=True, oidc_issuer="http://idp.test", oidc_client_id="x")
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("dev"), dev=True, test_mode=True)
    yield rig
    rig.close()


async def _stub(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": PASSED, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def middleware(rig: Rig, method: str, path: str, headers: dict[str, str]) -> int:
    """Return what the middleware decides: PASSED, or the status of its refusal."""
    before, rig.client._app = rig.client._app, Guard(_stub, rig.access)
    try:
        return rig.request("GET" if method == "WEBSOCKET" else method, sample(path), headers=headers).status_code
    finally:
        rig.client._app = before


def credentials(rig: Rig) -> dict[str, tuple[dict[str, str], Role | None]]:
    """Headers by name, with the role that they stand for (None: nobody)."""
    hashed = hashlib.sha256(bytes.fromhex(KEY)).hexdigest()
    revoked = rig.token(Role.ADMIN, "revoked")
    rig.run(rig.access.revoke_token("revoked"))
    ended = rig.cookie(Role.ADMIN)
    session = rig.access.by_session(ended["cookie"].partition("=")[2])
    assert session is not None
    rig.run(rig.access.sessions.close(session.session))
    found: dict[str, tuple[dict[str, str], Role | None]] = {
        "nothing": ({}, None),
        "empty bearer": (bearer(""), None),
        "what JS sends without a key": (bearer("undefined"), None),
        "another key": (bearer("cc" * 32), None),
        "basic": ({"authorization": f"Basic {KEY}"}, None),
        "revoked token": (revoked, None),
        "expired token": (rig.token(Role.ADMIN, "expired", now_ms() - 1), None),
        "made-up token": (bearer("hf_" + "x" * 43), None),
        "made-up session": ({"cookie": "holdfast_session=x"}, None),
        "ended session": (ended, None),
        "key": (bearer(KEY), Role.ADMIN),
        "hashed key": (bearer(hashed), Role.ADMIN),
        "key with prefix": (bearer(f"signkey-prod-{KEY}"), Role.ADMIN),
        "scheme in capitals": ({"authorization": f"BEARER {KEY}"}, Role.ADMIN),
        "fallback": (bearer(FALLBACK), Role.ADMIN),
    }
    for role in ROLES:
        found[f"token of {role.word}"] = (rig.token(role, role.word), role)
        found[f"session of {role.word}"] = (rig.cookie(role), role)
    return found


def test_every_route_in_start(start: Rig) -> None:
    known = credentials(start)
    for method, path in start.routes():
        decided = decision(path)
        for name, (headers, role) in known.items():
            status = middleware(start, method, path, headers)
            told = f"{method} {path} ({decided}) with {name}: {status}"
            if decided in {"open", "own"}:
                assert status == PASSED, told
            elif role is None:
                assert status == 401, told
            else:
                assert status == (PASSED if role >= least_role(decided, method) else 403), told


def test_an_event_key_opens_nothing_but_its_routes(start: Rig) -> None:
    for method, path in start.routes():
        decided = decision(path)
        status = middleware(start, method, path, bearer(EVENT_KEY))
        assert status == (PASSED if decided in {"open", "own", "invoke"} else 401), f"{method} {path}: {status}"


def test_nothing_is_done_for_a_browser_on_another_site(start: Rig) -> None:
    admin = start.cookie(Role.ADMIN)
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                    {"sec-fetch-site": "same-site"}):  # fmt: skip
        for method, path in start.routes():
            if method not in SAFE and method != "WEBSOCKET":
                status = middleware(start, method, path, {**admin, "host": "holdfast.test", **headers})
                assert status == 403, f"{method} {path} {headers}: {status}"
    for headers in ({"origin": "http://holdfast.test"}, {"sec-fetch-site": "same-origin"}):
        assert middleware(start, "POST", "/v0/gql", {**admin, "host": "holdfast.test", **headers}) == PASSED


def test_a_token_is_no_matter_of_sites(start: Rig) -> None:
    headers = {**bearer(KEY), "origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert middleware(start, "POST", "/v0/gql", headers) == PASSED


def test_a_wrong_bearer_is_not_made_good_by_a_cookie(start: Rig) -> None:
    assert middleware(start, "GET", "/v0/gql", {**start.cookie(Role.ADMIN), **bearer("wrong")}) == 401


def test_what_nobody_decided_about_is_closed(start: Rig) -> None:
    for path in ("/nothing", "/v0/nothing", "/v3/x", "//v1/events", "/V1/events", "/healthy", "/login2", "/e2/x"):
        assert middleware(start, "GET", path, {}) == 401, path


def test_the_app_is_behind_the_middleware(start: Rig) -> None:
    """Without a stub: nothing but the open routes answers a stranger; those with a credential of their own ask."""
    for method, path in start.routes():
        if method == "WEBSOCKET" or decision(path) == "open":
            continue
        status = start.request(method, sample(path)).status_code
        allowed = {401} if decision(path) != "own" else {401, 404, 405}  # 404: no webhook of that key
        assert status in allowed, f"{method} {path}: {status}"


def test_everything_is_open_in_dev(dev: Rig) -> None:
    for method, path in dev.routes():
        for headers in ({}, bearer("undefined"), {"origin": "http://localhost:3000", "host": "localhost:8288"}):
            assert middleware(dev, method, path, headers) == PASSED, f"{method} {path}"


def test_dev_is_closed_to_pages_of_other_sites(dev: Rig) -> None:
    for method, path in dev.routes():
        if method == "OPTIONS":
            continue
        decided = decision(path)
        wide_open = path.startswith(("/e/", "/v1/realtime/publish"))
        expected = PASSED if decided in {"open", "own"} and not wide_open else 403
        status = middleware(dev, method, path, {"host": "localhost:8288", "origin": "https://evil.example"})
        assert status == expected, f"{method} {path}: {status}"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8288", "10.0.0.1.evil.example"])
def test_dev_is_not_fooled_by_dns(dev: Rig, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}"}
    assert middleware(dev, "POST", "/v0/gql", headers) == 403
    assert middleware(dev, "GET", "/v0/gql", {"host": host}) == 403


@pytest.mark.parametrize(
    ("origin", "host", "passes"),
    [
        ("http://localhost:3000", "localhost:8288", True), ("http://127.0.0.1:3000", "localhost:8288", True),
        ("http://127.8.9.1", "localhost:8288", True), ("http://[::1]:3000", "127.0.0.1:8288", True),
        ("http://app.localhost:3000", "localhost:8288", True),
        ("http://192.168.0.7:3000", "192.168.0.7:8288", True),  # as that machine is called
        ("http://6.6.6.6", "localhost:8288", False), ("http://6.6.6.6", "127.0.0.1:8288", False),
        ("http://[2001:db8::6]", "localhost:8288", False), ("http://printer.lan", "localhost:8288", False),
        ("http://box.local", "localhost:8288", False), ("http://web:3000", "localhost:8288", False),
        ("http://evil.example", "evil.example", False), ("http://localhost.evil.example", "localhost:8288", False),
        ("null", "localhost:8288", False), ("http://127.0.0.1.evil.example", "127.0.0.1:8288", False),
    ],
)  # fmt: skip
def test_pages_of_this_machine_alone_may_use_dev(dev: Rig, origin: str, host: str, passes: bool) -> None:
    expected = PASSED if passes else 403
    for method, path in (("GET", "/v1/events"), ("POST", "/invoke/x"), ("POST", "/v1/realtime/publish")):
        assert middleware(dev, method, path, {"host": host, "origin": origin}) == expected
    event = dev.request("POST", "/e/x", json={"name": "a"}, headers={"host": host, "origin": origin})
    assert event.status_code == (200 if passes else 403)
    assert passes or "--allowed-host" in event.text


@pytest.mark.parametrize("host", ["localhost:8288", "127.0.0.1", "[::1]:8288", "holdfast:8288", "box.local", "a.test"])
def test_dev_knows_names_of_its_own(dev: Rig, host: str) -> None:
    assert middleware(dev, "POST", "/v0/gql", {"host": host, "origin": f"http://{host}"}) == PASSED
    assert middleware(dev, "POST", "/v0/gql", {"host": host, "sec-fetch-site": "same-origin"}) == PASSED


def test_a_name_can_be_allowed(tmp_path: Any) -> None:
    rig = Rig(tmp_path, dev=True, allowed_hosts=("tunnel.example",))
    try:
        headers = {"host": "tunnel.example", "origin": "https://tunnel.example"}
        assert middleware(rig, "POST", "/v0/gql", headers) == PASSED
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("path", "headers", "passes"),
    [
        ("/v1/realtime/connect", {}, True),  # it asks for a token of its own
        ("/v0/live", {}, False), ("/nothing", {}, False), ("/v0/live", bearer("wrong"), False),
        ("/v0/live", bearer(KEY), True),
    ],
)  # fmt: skip
def test_web_sockets_pass_the_same_middleware(start: Rig, path: str, headers: dict[str, str], passes: bool) -> None:
    assert knock(start, path, headers) == ([] if passes else [{"type": "websocket.close", "code": 1008}])


def test_a_web_socket_of_another_site_has_no_use_of_a_cookie(start: Rig) -> None:
    browser = {**start.cookie(Role.ADMIN), "host": "holdfast.test"}
    assert knock(start, "/v0/live", {**browser, "origin": "http://holdfast.test"}) == []
    assert knock(start, "/v0/live", {**browser, "origin": "http://evil.example"}) != []


@pytest.mark.parametrize("end", ["logout", "role", "token", "age"])
def test_a_web_socket_ends_with_the_access_of_whoever_opened_it(
    start: Rig, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, ended = start.access, list[Any]()
    monkeypatch.setattr(watched, "LOOK_S", 0.05)
    user = access.users.named(start.user(Role.ADMIN, "leaver"))
    assert user is not None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ended.append(await receive())

    async def quiet() -> Any:
        await asyncio.Event().wait()

    async def sent(message: Any) -> None:
        ended.append(message)

    async def take_access(secret: str) -> None:
        if end == "logout":
            principal = access.by_session(secret)
            assert principal is not None
            await access.log_out(principal)
        elif end == "role":
            await access.set_role("leaver", Role.VIEWER)
        elif end == "token":
            assert await access.revoke_token("leaving")
        else:
            monkeypatch.setattr(access.sessions, "_idle", 0)

    async def main() -> None:
        secret = await access.sessions.open(user.id, "")
        token = await access.create_token("leaving", Role.VIEWER)
        headers = bearer(token.secret) if end == "token" else {"cookie": f"holdfast_session={secret}"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": "/v0/live", "headers": raw, "query_string": b""}
        socket = asyncio.ensure_future(Guard(app, access)(scope, quiet, sent))
        await asyncio.sleep(0.2)
        assert not socket.done()
        await take_access(secret)
        await asyncio.wait_for(socket, 5)
        await access.remove_user("leaver")

    start.run(main())
    assert [message["type"] for message in ended] == ["websocket.close", "websocket.disconnect"]
    assert ended[0]["code"] == 1008


def knock(rig: Rig, path: str, headers: dict[str, str]) -> list[Any]:
    """Return what the middleware sends to a web socket that wants in; nothing if it passes."""
    sent: list[Any] = []
    passed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    rig.run(
        Guard(app, rig.access)({"type": "websocket", "path": path, "headers": raw, "query_string": b""}, receive, send)
    )
    assert bool(passed) is not bool(sent)
    return sent
