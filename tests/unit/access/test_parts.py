"""Users, sessions, tokens, throttles, passwords, origins: each by itself, over a store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from holdfast.server.access import commands
from holdfast.server.access import passwords as passwords_module
from holdfast.server.access import sessions as sessions_module
from holdfast.server.access import throttle as throttle_module
from holdfast.server.access import tokens as tokens_module
from holdfast.server.access.origins import from_elsewhere
from holdfast.server.access.passwords import BusyError, Passwords, WeakPasswordError, check_password
from holdfast.server.access.principals import Role, read_role
from holdfast.server.access.sessions import Sessions
from holdfast.server.access.throttle import Backoff, Throttle
from holdfast.server.access.tokens import Tokens
from holdfast.server.access.users import UserError, Users
from holdfast.server.api.common.backend import Backend
from holdfast.server.service import Service
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

from .stand_in import Direct, ids

GOOD = "correct horse battery"
MINUTE = 60_000


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000_000
        for module in (sessions_module, throttle_module, tokens_module):
            monkeypatch.setattr(module, "now_ms", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def records() -> Iterator[Direct]:
    store = SqliteStore(None, "none")
    yield Direct(store)
    store.close()


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def users(records: Direct, passwords: Passwords) -> Users:
    return Users(records, ids(), passwords)


# --- users ------------------------------------------------------------------------------------------------------------


def test_a_user_is_remembered_with_a_hash(users: Users, records: Direct, passwords: Passwords) -> None:
    asyncio.run(users.add("Anna", Role.ADMIN, GOOD))
    again = Users(records, ids(), passwords)
    again.load()
    anna = again.named("aNNA")
    assert anna is not None
    assert (anna.name, read_role(anna.role)) == ("Anna", Role.ADMIN)
    assert anna.password.startswith("$argon2id$")
    assert asyncio.run(passwords.verify(anna.password, GOOD))
    assert not asyncio.run(passwords.verify(anna.password, GOOD + "!"))


def test_names_are_taken_once(users: Users) -> None:
    asyncio.run(users.add("anna", Role.VIEWER, GOOD))
    with pytest.raises(UserError, match="already"):
        asyncio.run(users.add("ANNA", Role.VIEWER, GOOD))


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a/b", "<script>"])
def test_a_bad_name_is_refused(users: Users, name: str) -> None:
    with pytest.raises(UserError, match="name"):
        asyncio.run(users.add(name, Role.VIEWER, GOOD))


@pytest.mark.parametrize("password", ["", "short", "x" * 1_025, "annaanna1"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(WeakPasswordError):
        check_password(password, "annaanna")


def test_a_role_is_one_of_three() -> None:
    assert [read_role(word) for word in ("viewer", "operator", "admin")] == list(Role)
    with pytest.raises(ValueError, match="'root' is not a role"):
        read_role("root")


def test_what_is_not_stored_is_not_believed(users: Users, records: Direct) -> None:
    asyncio.run(users.add("anna", Role.VIEWER, GOOD))
    records.sink.broken = True
    for change in (users.set_role("anna", Role.ADMIN), users.remove("anna"), users.add("bob", Role.ADMIN, GOOD)):
        with pytest.raises(StoreError):
            asyncio.run(change)
    anna = users.named("anna")
    assert anna is not None
    assert (read_role(anna.role), len(users)) == (Role.VIEWER, 1)


# --- passwords --------------------------------------------------------------------------------------------------------


def test_a_user_that_there_is_not_takes_as_long(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work is done: one verification each."""
    done: list[str] = []
    hasher = passwords._hasher
    verify = type(hasher).verify
    monkeypatch.setattr(type(hasher), "verify", lambda self, h, p: (done.append(h), verify(self, h, p))[1])
    hashed = asyncio.run(passwords.hash(GOOD))
    assert not asyncio.run(passwords.verify(hashed, "wrong"))
    assert not asyncio.run(passwords.verify("", "wrong"))
    assert not asyncio.run(passwords.verify("", "stands in for users that there are not"))
    assert [len(h) for h in done] == [len(hashed)] * 3
    assert {h[:30] for h in done} == {hashed[:30]}  # with the same parameters


def test_a_flood_does_not_queue_up(passwords: Passwords) -> None:
    async def main() -> list[object]:
        most = passwords_module._MOST_WAITING
        return list(await asyncio.gather(*(passwords.verify("", "x") for _ in range(most + 5)), return_exceptions=True))

    answers = asyncio.run(main())
    assert sum(isinstance(answer, BusyError) for answer in answers) == 5
    assert sum(answer is False for answer in answers) == passwords_module._MOST_WAITING


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_idle_and_when_old(records: Direct, clock: Clock) -> None:
    sessions = Sessions(records, 10 * MINUTE, 25 * MINUTE)
    secret = asyncio.run(sessions.open("u", "1.2.3.4"))
    for _ in range(3):
        clock.now += 8 * MINUTE
        assert sessions.find(secret)
    clock.now += MINUTE  # 25 minutes old, used a minute ago
    assert sessions.find(secret) is None
    secret = asyncio.run(sessions.open("u", ""))
    clock.now += 10 * MINUTE
    assert sessions.find(secret) is None


def test_sessions_outlive_a_restart_and_their_secret_is_nowhere(records: Direct, clock: Clock) -> None:
    secret = asyncio.run(Sessions(records, MINUTE, MINUTE).open("u", ""))
    rows = records.sessions()
    assert secret not in str(rows)
    again = Sessions(records, MINUTE, MINUTE)
    again.load()
    assert again.find(secret)
    asyncio.run(again.close_of("u"))
    assert again.find(secret) is None
    assert records.sessions() == []


def test_a_use_is_written_once_a_minute(records: Direct, clock: Clock) -> None:
    sessions = Sessions(records, 60 * MINUTE, 60 * MINUTE)
    secret = asyncio.run(sessions.open("u", ""))
    for _ in range(100):
        sessions.find(secret)
    assert records.sink.writes == []
    clock.now += MINUTE
    for _ in range(100):
        sessions.find(secret)
    assert len(records.sink.writes) == 1


def test_a_user_has_so_many_sessions(records: Direct, clock: Clock) -> None:
    sessions = Sessions(records, 60 * MINUTE, 60 * MINUTE)
    secrets = []
    for _ in range(25):
        clock.now += 1
        secrets.append(asyncio.run(sessions.open("u", "")))
    assert [bool(sessions.find(secret)) for secret in secrets] == [False] * 5 + [True] * 20


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_expires_and_is_revoked(records: Direct, clock: Clock) -> None:
    tokens = Tokens(records, ids())
    made = asyncio.run(tokens.create("ci", Role.OPERATOR, clock.now + MINUTE, "user:anna"))
    assert made.secret.startswith("hf_")
    assert made.secret not in str(records.tokens())
    again = Tokens(records, ids())
    again.load()
    found = again.find(made.secret)
    assert found is not None
    assert (found.name, read_role(found.role), found.used_at) == ("ci", Role.OPERATOR, clock.now)
    clock.now += MINUTE
    assert again.find(made.secret) is None
    assert not asyncio.run(again.revoke("ci"))  # it is no good already
    other = asyncio.run(again.create("other", Role.VIEWER, None, ""))
    assert asyncio.run(again.revoke("other"))
    assert again.find(other.secret) is None


# --- throttles --------------------------------------------------------------------------------------------------------


def test_a_throttle_lets_so_many_through_and_then_one_by_one(clock: Clock) -> None:
    throttle = Throttle(3, 1_000)
    for _ in range(3):
        assert throttle.wait_ms("a") == 0
        throttle.spend("a")
    assert throttle.wait_ms("a") == 1_000
    assert throttle.wait_ms("b") == 0
    clock.now += 1_000
    assert throttle.wait_ms("a") == 0
    throttle.spend("a")
    assert throttle.wait_ms("a") == 1_000
    throttle.refund("a")
    assert throttle.wait_ms("a") == 0


def test_a_throttle_is_bounded(clock: Clock) -> None:
    throttle, looks = Throttle(30, 1_000), 0
    for n in range(25_000):
        before = throttle._due
        throttle.spend(str(n))
        looks += throttle._due is not before
        if n % 1_000 == 0:
            throttle.spend("anna")
    assert len(throttle._due) <= 10_000
    assert looks < 50  # each goes through all keys
    for _ in range(5):
        throttle.spend("anna")
    assert throttle.wait_ms("anna")  # others can't have her attempts forgotten


def test_waits_grow_and_are_forgotten(clock: Clock) -> None:
    backoff, waits = Backoff(2, 1_000, 8_000), list[int]()
    for _ in range(7):
        waits.append(backoff.wait_ms("a"))
        clock.now += waits[-1]
        backoff.spend("a")
    assert waits == [0, 0, 1_000, 2_000, 4_000, 8_000, 8_000]
    assert backoff.wait_ms("b") == 0
    clock.now += 16_000  # quiet for twice as long as the longest wait
    assert backoff.wait_ms("a") == 0
    backoff.spend("a")
    assert backoff.wait_ms("a") == 0
    for _ in range(3):
        backoff.spend("a")
    assert backoff.wait_ms("a")
    backoff.forget("a")
    assert backoff.wait_ms("a") == 0


def test_waits_that_grow_are_bounded() -> None:
    backoff = Backoff(2, 1_000, 8_000)
    for n in range(25_000):
        backoff.spend(str(n))
    assert len(backoff._tried) <= 10_000


# --- origins, commands ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "site", "elsewhere"),
    [
        ("", "", False), ("http://h:1", "", False), ("https://h:1", "", False), ("http://h:2", "", True),
        ("http://evil", "", True), ("null", "", True), ("http://evil", "same-origin", False), ("", "none", False),
        ("http://h:1", "cross-site", True), ("", "same-site", True),
        ("http://[x", "", True), ("http://[", "", True), ("h:1", "", True), ("://", "", True),
    ],
)  # fmt: skip
def test_a_browser_tells_where_a_request_is_from(origin: str, site: str, elsewhere: bool) -> None:
    assert from_elsewhere("h:1", origin, site) is elsewhere


READS = {"now_ms", "new_id", "run_state", "doing", "why_runs", "why_event", "cancellations", "paused", "workers",
         "test_queue_size", "backlog"}  # fmt: skip


def test_each_thing_that_the_server_can_be_asked_is_a_command_or_a_query() -> None:
    """A new method of the backend is decided about: who may, and how the audit log calls it."""
    methods = {name for name in dir(Backend) if not name.startswith("_")}
    made = {name for name in methods if getattr(Service, name).__code__.co_filename == commands.__file__}
    assert methods - READS == made, "decorate these in service.py with @command, or add them to READS here"
