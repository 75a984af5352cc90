"""Rows that no engine owns: they share the turn's commit, and its fate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from holdfast.protocol.ids import UlidSource
from holdfast.server.engine.engine import Engine
from holdfast.server.engine.run import Run
from holdfast.server.engine.settings import Settings
from holdfast.server.model.webhook import Webhook
from holdfast.server.runtime import partition as partitions
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError


def webhook(id: str, name: str | None = "") -> Webhook:
    """A row; without a name it is one that the table refuses."""
    return Webhook(id=id, key=id, name=name, transform="", created_at=1, updated_at=1)  # type: ignore[arg-type]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    made = SqliteStore(None, "none")
    yield made
    made.close()


def partition(store: SqliteStore) -> Partition:
    ids = UlidSource(lambda bits: (1 << bits) - 1)
    return Partition(lambda epoch: Engine(ids, lambda most: 0, Settings(), epoch), store)


def value(owner: Partition, id: str) -> list[str]:
    return [found.name for found in owner.records.webhooks() if found.id == id]


def test_they_are_durable_when_the_turn_is(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store)
        owner.records.put_webhook(webhook("a", "1"))
        owner.records.put_webhook(webhook("b", "2"))
        owner.records.put_webhook(webhook("a", "3"))
        assert value(owner, "a") == []
        await owner.committed()
        assert (value(owner, "a"), value(owner, "b")) == (["3"], ["2"])
        await owner.close()

    asyncio.run(main())


def test_a_write_without_a_wait_is_committed_all_the_same(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store)
        owner.records.put_webhook(webhook("a", "1"))
        await owner.close()

        assert value(owner, "a") == ["1"]

    asyncio.run(main())


def test_a_failed_commit_tells_the_caller_and_leaves_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "STORE_RETRY_S", 0)

    async def main() -> None:
        owner = partition(store)
        owner.records.put_webhook(webhook("a", "1"))
        owner.records.put_webhook(webhook("b", None))
        with pytest.raises(StoreError):
            await owner.committed()
        assert value(owner, "a") == []
        for _ in range(10):
            await asyncio.sleep(0)
        owner.records.put_webhook(webhook("c", "1"))
        await owner.committed()
        assert (value(owner, "a"), value(owner, "c")) == ([], ["1"])
        await owner.close()

    asyncio.run(main())


def test_who_waits_no_more_for_a_runs_end_is_forgotten(store: SqliteStore) -> None:
    async def main() -> None:
        owner = partition(store)
        owner._engine._core.runs["r"] = Run("r", "f", "a", 0)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(owner.ended("r"), 0.001)
        assert not owner._ends
        await owner.close()

    asyncio.run(main())
