"""Access under attack: races between a login and its end, open WebSockets, secrets that lower roles must not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.access_rig import KEY, PASSWORD, Rig, bearer

from holdfast.server.access import keys as keys_module
from holdfast.server.access.access import LoginRefused
from holdfast.server.access.keys import Keys
from holdfast.server.access.passwords import BusyError
from holdfast.server.access.principals import Role
from holdfast.server.access.records import new_ids
from holdfast.server.access.throttle import site
from holdfast.server.access.tokens import Tokens
from holdfast.server.access.users import Users
from holdfast.server.api.common.auth import Guard
from holdfast.server.store.records import Immediate
from holdfast.server.store.sqlite.store import SqliteStore

OTHER = "another horse, another battery"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


# --- what two do at the same time -------------------------------------------------------------------------------------


def test_a_login_does_not_undo_a_change_that_is_under_way(rig: Rig) -> None:
    """Remembering the time of a login wrote the whole user, as it was when the login began."""
    user = rig.access.users.named(rig.user(Role.ADMIN, "anna"))
    assert user is not None

    async def both() -> None:
        await asyncio.gather(rig.access.set_role("anna", Role.VIEWER), rig.access.begin(user, ""))

    rig.run(both())
    again = Users(rig.access.users._records, rig.server.ids, rig.access.passwords)
    again.load()
    for users in (rig.access.users, again):
        found = users.named("anna")
        assert found is not None
        assert (found.role, found.last_login_at is not None) == ("viewer", True)


def test_a_login_does_not_bring_back_who_is_removed(rig: Rig) -> None:
    user = rig.access.users.named(rig.user(Role.ADMIN, "anna"))
    assert user is not None

    async def both() -> None:
        await asyncio.gather(rig.access.remove_user("anna"), rig.access.begin(user, ""))

    rig.run(both())
    assert rig.access.users.named("anna") is None
    assert rig.server.partition.records.users() == []
    assert rig.server.partition.records.sessions() == []


def test_a_password_that_is_replaced_while_it_is_checked_opens_nothing(rig: Rig) -> None:
    rig.user(Role.ADMIN, "anna")
    checked = rig.access.passwords.verify

    async def slow(hashed: str, password: str) -> bool:
        good = await checked(hashed, password)
        await rig.access.set_password("anna", OTHER)
        return good

    rig.access.passwords.verify = slow  # type: ignore[method-assign]
    with pytest.raises(LoginRefused):
        rig.run(rig.access.log_in("anna", PASSWORD, ""))
    assert rig.server.partition.records.sessions() == []


def test_a_session_that_begins_while_all_are_ended_is_ended(rig: Rig) -> None:
    user = rig.access.users.named(rig.user(Role.ADMIN, "anna"))
    assert user is not None

    async def both() -> str:
        secret, _ = await asyncio.gather(
            rig.access.sessions.open(user.id, ""), rig.access.sessions.close_of(user.id)
        )  # fmt: skip
        return secret

    assert rig.access.by_session(rig.run(both())) is None


def test_a_use_does_not_bring_back_a_token_that_is_revoked(rig: Rig) -> None:
    """The use of a token is written now and then: as it was before, if the revocation was not durable yet."""
    token = rig.token(Role.ADMIN, "ci")["authorization"].partition(" ")[2]

    async def both() -> None:
        revoking = asyncio.ensure_future(rig.access.revoke_token("ci"))
        await asyncio.sleep(0)
        rig.access.by_bearer(token)
        await revoking
        await rig.server.partition.committed()

    rig.run(both())
    again = Tokens(rig.access.tokens._records, rig.server.ids)
    again.load()
    assert rig.access.by_bearer(token) is None
    assert again.find(token) is None


def test_the_newest_signing_key_counts_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys that were made in one millisecond, by two processes, were in random order."""
    monkeypatch.setattr(keys_module, "now_ms", lambda: 1_000)
    store = SqliteStore(None, "none")
    for number in range(16):
        keys = Keys(store.records(Immediate(store)), new_ids(), signing_key=KEY)
        keys.load()
        key = f"{number:02x}" * 32
        asyncio.run(keys.rotate(key))
        assert keys.signing[0] == key
    store.close()


# --- WebSockets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", [True, False])
def test_a_web_socket_ends_with_the_login_that_opened_it(rig: Rig, session: bool) -> None:
    headers = rig.cookie(Role.ADMIN) if session else rig.token(Role.ADMIN, "ci")
    heard: list[str] = []
    sent: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            heard.append(message["type"])
            if message["type"] == "websocket.receive":
                await (rig.access.set_role("admin", Role.VIEWER) if session else rig.access.revoke_token("ci"))

    messages = iter([{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": "{}"} for _ in range(3))])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": "/v0/live", "headers": raw, "query_string": b""}
    rig.run(Guard(app, rig.access)(scope, receive, send))
    assert heard == ["websocket.connect", "websocket.receive"]
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


# --- roles ------------------------------------------------------------------------------------------------------------


def test_only_admins_read_the_secret_urls_of_webhooks(rig: Rig) -> None:
    body = json.dumps({"name": "w", "transform": '{"name": "a"}'}).encode()
    env = {"x-inngest-env": "dev", "content-type": "application/json"}
    assert rig.request("POST", "/v2/env/webhooks", content=body, headers=bearer(KEY) | env).status_code == 200
    for role, status in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, 200)):
        for prefix in ("/v2", "/api/v2"):
            answer = rig.request("GET", f"{prefix}/env/webhooks", headers=rig.token(role, f"{role.word}{prefix}") | env)
            assert (answer.status_code, "/webhooks/" in answer.text) == (status, status == 200)


def test_who_may_register_no_functions_may_not_connect_a_worker_either(rig: Rig) -> None:
    for path in ("/fn/register", "/v0/connect/start"):
        assert rig.request("POST", path, headers=rig.token(Role.OPERATOR, path)).status_code == 403


# --- guessing ---------------------------------------------------------------------------------------------------------


def test_who_has_a_network_of_ipv6_counts_as_one(rig: Rig) -> None:
    rig.user(Role.ADMIN, "anna")

    async def guess(number: int) -> int:
        try:
            await rig.access.log_in(f"user{number}", "x", f"2001:db8:0:1::{number:x}")
        except LoginRefused as refused:
            return refused.retry_after
        raise AssertionError

    waits = [rig.run(guess(number)) for number in range(31)]
    assert waits[:30] == [0] * 30
    assert waits[30] > 0


def test_addresses_by_where_they_are_from() -> None:
    assert site("2001:db8:0:1::7") == site("2001:db8:0:1:ffff::1") != site("2001:db8:0:2::7")
    assert site("::ffff:10.0.0.1") != site("::ffff:10.0.0.2")
    assert site("10.0.0.1") != site("10.0.0.2")
    assert site("unix:") == "unix:"


def test_too_many_changes_of_passwords_are_told(rig: Rig) -> None:
    async def busy(_hashed: str, _password: str) -> bool:
        raise BusyError

    headers = rig.cookie(Role.VIEWER) | {"host": "h.test", "origin": "http://h.test"}
    rig.access.passwords.verify = busy  # type: ignore[method-assign]
    body = json.dumps({"old": PASSWORD, "new": OTHER}).encode()
    answer = rig.request("POST", "/v0/access/me/password", content=body, headers=headers)
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, "1")
