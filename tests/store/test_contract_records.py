"""What every store promises of rows that no engine owns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.server.engine.changes import Changes
from holdfast.server.model.account import ApiToken, Session, StoredEventKey, StoredSigningKey, User
from holdfast.server.model.webhook import EventFilter, Webhook
from holdfast.server.model.worker import ConnectedApp, WorkerConnection, WorkerGroup
from holdfast.server.store.records import Immediate, Records
from holdfast.server.store.store import StoreError

from .harness import KINDS, Bench, begin, begun, job, run


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(request.param, tmp_path)
    yield made
    made.close()


def sink_and_records(bench: Bench) -> tuple[Immediate, Records]:
    sink = Immediate(bench.store)
    return sink, bench.store.records(sink)


def again(bench: Bench) -> Records:
    """The records after another start."""
    bench.reopen()
    return sink_and_records(bench)[1]


USER = User("u1", "Anna", "admin", "hash", "", 5, None)
SESSION = Session("h1", "u1", 1, 2, "::1")
TOKEN = ApiToken("t1", "ci", "h", "hf_12345", "viewer", "user:Anna", 1, 2, 3, None)


def hook(id: str, name: str = "") -> Webhook:
    return Webhook(id=id, key=f"k-{id}", name=name, transform="body", created_at=1, updated_at=2)


def test_an_empty_store_has_no_records(bench: Bench) -> None:
    _, records = sink_and_records(bench)
    assert records.users() == records.sessions() == records.tokens() == records.webhooks() == []
    assert records.worker_connections() == records.worker_groups() == []
    assert records.event_keys() == records.signing_keys() == []
    assert records.token_secret() == ""


def test_accounts_come_back_as_they_were_put_last(bench: Bench) -> None:
    _, records = sink_and_records(bench)
    records.put_user(USER)
    records.put_user(User("u2", "Bob", "viewer", "", "oidc|2", 6, 7))
    records.put_user(User("u1", "Anna", "viewer", "hash", "", 5, 9))
    records.put_session(SESSION)
    records.put_session(Session("h2", "u2", 1, 2, ""))
    records.put_token(TOKEN)
    records.put_event_key(StoredEventKey("e1", "web", "secret", 1, None))
    records.put_signing_keys([StoredSigningKey("s1", "h", "", 1, None), StoredSigningKey("s2", "i", "key", 2, 3)])
    records.put_token_secret("one")
    records.put_token_secret("two")
    assert records.users() == [], "not before the commit"
    bench.committed(records)
    records = again(bench)
    assert [(user.id, user.role, user.last_login_at) for user in records.users()] == [
        ("u1", "viewer", 9),
        ("u2", "viewer", 7),
    ]
    assert sorted(session.hash for session in records.sessions()) == ["h1", "h2"]
    assert records.tokens() == [TOKEN]
    assert records.event_keys() == [StoredEventKey("e1", "web", "secret", 1, None)]
    assert [(key.id, key.key, key.retired_at) for key in records.signing_keys()] == [("s1", "", None), ("s2", "key", 3)]
    assert records.token_secret() == "two"


def test_of_one_commit_the_last_change_counts(bench: Bench) -> None:
    _, records = sink_and_records(bench)
    records.put_session(SESSION)
    records.drop_sessions(["h1", "nobody"])
    records.put_user(USER)
    records.drop_user("u1")
    records.put_webhook(hook("w1"))
    records.drop_webhook("w1")
    records.put_webhook(hook("w1", "again"))
    bench.committed(records)
    records = again(bench)
    assert records.sessions() == records.users() == []
    assert [webhook.name for webhook in records.webhooks()] == ["again"]


def test_a_webhook_keeps_its_filter(bench: Bench) -> None:
    _, records = sink_and_records(bench)
    sent = Webhook(
        id="w", key="k", name="é", transform="t", response="r", event_filter=EventFilter(["a"], "DENY"),
        created_at=1, updated_at=2,
    )  # fmt: skip
    records.put_webhook(sent)
    bench.committed(records)
    assert again(bench).webhooks() == [sent]


def test_traces_of_events_come_back_by_id(bench: Bench) -> None:
    sink, records = sink_and_records(bench)
    records.add_event_traces(["e-r1", "e-r2"], b'["00-1"]')
    bench.commit(begun("r1", "r2"), sink.writes)
    held = Changes()
    held.batched.append(("b1", 1, "e-r2"))
    bench.commit(held)
    assert bench.reopen().recover().traces == {"e-r2": '["00-1"]'}, "of those events that are held back"


def test_records_share_the_fate_of_the_turn(bench: Bench) -> None:
    sink, records = sink_and_records(bench)
    records.put_user(USER)
    changes = begin(begun(), run(), job())
    bad = run("r2")
    bad.output = b"\xff"
    changes.new_runs["r2"] = bad
    with pytest.raises(StoreError):
        bench.commit(changes, sink.writes)
    assert again(bench).users() == []
    assert bench.recover().runs == []
    bench.commit(Changes(), sink.writes)
    assert again(bench).users() == [USER]


def test_connections_of_workers_and_the_versions_they_run(bench: Bench) -> None:
    _, records = sink_and_records(bench)
    app = ConnectedApp("app", "shop", "1.0", "h1", "sync", 3)
    open_ = WorkerConnection("01A", "gateway", "worker-1", 5, 7, (app,), limit=2, os="linux")
    ended = msgspec.structs.replace(open_, disconnected_at=9, reason="UNEXPECTED")
    other = msgspec.structs.replace(open_, id="01B")
    for connection in (other, open_, ended, msgspec.structs.replace(open_, id="01C")):
        records.put_worker_connection(connection)
    for group in (WorkerGroup("app", "h1", 1, "s1"), WorkerGroup("app", "h2", 2, "s2"), WorkerGroup("b", "h1", 3, "")):
        records.put_worker_group(group)
    bench.committed(records)
    records.drop_worker_connections(["01C"])
    records.drop_worker_group("app", "h1")
    bench.committed(records)
    records = again(bench)
    assert records.worker_connections() == [ended, other]
    assert records.worker_groups() == [WorkerGroup("app", "h2", 2, "s2"), WorkerGroup("b", "h1", 3, "")]
