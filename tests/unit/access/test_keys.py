"""Keys of the configuration and of the database: what counts, what a rotation changes, what a restart remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from holdfast.protocol.signing import hash_signing_key
from holdfast.server.access.keys import KeyRefused, Keys
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

from .stand_in import Direct, ids

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    made = SqliteStore(None, "none")
    yield made
    made.close()


@pytest.fixture
def records(store: SqliteStore) -> Direct:
    return Direct(store)


def started(records: Direct, key: str = A, fallback: str = "") -> Keys:
    keys = Keys(records, ids(), event_keys=("e1", "e2"), signing_key=key, signing_key_fallback=fallback)
    keys.load()
    asyncio.run(records.committed())
    return keys


def test_without_a_signing_key_nothing_is_guarded(records: Direct) -> None:
    keys = started(records, "")
    assert not keys.guarded
    assert keys.signers() == ()
    assert keys.sends(b"anything")


@pytest.mark.parametrize("form", [A, hash_signing_key(A), f"signkey-prod-{A}", f"signkey-x-{hash_signing_key(A)}"])
def test_all_forms_of_the_key_and_its_fallback_open(records: Direct, form: str) -> None:
    assert started(records, A).opens(form)
    assert started(records, B, A).opens(form)
    assert not started(records, B).opens(form)


def test_only_known_event_keys_send(records: Direct) -> None:
    keys = started(records)
    assert (keys.sends(b"e1"), keys.sends(b"e2"), keys.sends(b"e3"), keys.sends(b"")) == (True, True, False, False)


def test_an_event_key_made_at_run_time_counts_until_it_is_revoked_also_after_a_restart(records: Direct) -> None:
    keys = started(records)
    made = asyncio.run(keys.create_event_key("mailer"))
    assert keys.sends(made.key.encode())
    again = started(records)
    assert [k.name for k in again.event_keys()] == ["", "", "mailer"]
    assert asyncio.run(again.revoke_event_key(made.id))
    assert not asyncio.run(again.revoke_event_key(made.id))
    assert not again.sends(made.key.encode())
    assert not started(records).sends(made.key.encode())


def test_a_key_of_the_configuration_is_not_revoked_here(records: Direct) -> None:
    keys = started(records)
    with pytest.raises(KeyRefused, match="--event-key"):
        asyncio.run(keys.revoke_event_key(keys.event_keys()[0].id))
    assert keys.sends(b"e1")


def test_what_was_not_stored_does_not_count(records: Direct) -> None:
    keys = started(records)
    records.sink.broken = True
    for change in (keys.create_event_key("x"), keys.rotate(B)):
        with pytest.raises(StoreError):
            asyncio.run(change)
    assert len(keys.event_keys()) == 2
    assert keys.signers() == (A,)


def test_a_rotation_signs_with_the_new_key_and_accepts_both(records: Direct) -> None:
    keys = started(records)
    made = asyncio.run(keys.rotate())
    assert made.key.startswith("signkey-prod-")
    assert keys.signers() == (made.key, A)
    assert keys.opens(A)
    assert keys.opens(hash_signing_key(made.key))
    assert [(k.current, k.origin) for k in keys.signing_keys()] == [(True, "database"), (False, "config")]
    assert started(records).signers() == (made.key, A)  # the configuration still has the old one
    assert started(records, made.key).signers() == (made.key,)  # it has the new one: the old one is known nowhere


def test_a_retired_key_stays_retired(records: Direct) -> None:
    keys = started(records)
    asyncio.run(keys.rotate(B))
    assert asyncio.run(keys.retire_fallback())
    assert not asyncio.run(keys.retire_fallback())
    for later in (keys, started(records)):
        assert later.signers() == (B,)
        assert not later.opens(A)


def test_a_fallback_of_the_configuration_is_retired_too(records: Direct) -> None:
    keys = started(records, B, A)
    assert asyncio.run(keys.retire_fallback())
    assert started(records, B, A).signers() == (B,)


def test_a_new_key_in_the_configuration_is_current(records: Direct) -> None:
    asyncio.run(started(records).rotate(B))
    keys = started(records, C)
    assert keys.signers() == (C, B)


def test_the_configuration_alone_may_go_back(records: Direct) -> None:
    started(records, A)
    assert started(records, B, A).signers() == (B, A)
    assert started(records, A).signers() == (A,)


@pytest.mark.parametrize(("key", "why"), [("zz", "hex"), ("abc", "even"), (A, "used before")])
def test_a_bad_key_is_refused(records: Direct, key: str, why: str) -> None:
    with pytest.raises(KeyRefused, match=why):
        asyncio.run(started(records).rotate(key))


def test_dev_has_no_key_to_rotate(records: Direct) -> None:
    with pytest.raises(KeyRefused, match="holdfast dev"):
        asyncio.run(started(records, "").rotate())


def test_tokens_outlive_rotations_and_restarts(records: Direct) -> None:
    first = started(records).token_secret
    assert started(records, B).token_secret == first


def test_two_rotations_at_once_leave_the_key_before_as_the_fallback(store: SqliteStore) -> None:
    class Slow(Direct):
        async def committed(self) -> None:
            await asyncio.sleep(0)
            await super().committed()

    keys = started(Slow(store))

    async def both() -> list[object]:
        return await asyncio.gather(keys.rotate(B), keys.rotate(B), return_exceptions=True)

    assert sum(isinstance(one, KeyRefused) for one in asyncio.run(both())) == 1
    assert keys.signers() == (B, A)
