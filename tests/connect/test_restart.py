"""What is known of workers after a restart: the age of each version, and connections of the past."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.server.config import Config
from holdfast.server.connect import gateway, history
from holdfast.server.connect.history import RETURN_MS, History
from holdfast.server.connect.roster import About, Group, Roster, Worker
from holdfast.server.model.worker import WorkerConnection, WorkerGroup

from .rig import App, Rig, eventually, running

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = App("shop", "order", version="1"), App("shop", "order", "refund", version="2")
PAST = """{ workerConnections(first: 50, orderBy: [{field: CONNECTED_AT, direction: ASC}], filter: {}) {
    totalCount edges { node { id instanceId status disconnectReason disconnectedAt appVersion app { name } } } } }"""


@pytest.fixture(autouse=True)
def _short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LEAVE_S", 0.01)  # nobody here leaves when told


def config(folder: Path) -> Config:
    return Config(discovery=False, poll=False, retry_interval=1, persist=True, directory=folder)


async def past(rig: Rig) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (await rig.gql(PAST))["workerConnections"]["edges"]]


@pytest.mark.parametrize("killed", [True, False])
def test_the_newest_version_stays_the_newest(tmp_path: Path, *, killed: bool) -> None:
    before, after = tmp_path / "before", tmp_path / "after"

    async def main() -> None:
        async with running(config(before)) as rig:
            await rig.worker(OLD, instance="old")
            await rig.worker(NEW, instance="new")
            rig.workers.clear()  # the server ends first
            if killed:
                await rig.server.partition.committed()
                shutil.copytree(before, after, ignore=shutil.ignore_patterns("*.lock"))
        if not killed:
            before.rename(after)
        async with running(config(after)) as rig:
            new = await rig.worker(NEW, instance="new")
            old = await rig.worker(OLD, instance="old")  # comes last, and is not taken for a newer version
            for event in ("order", "refund"):
                sent = await rig.send(event)
                await new.complete("new")
                assert (await rig.ended(sent))["output"] == "new"
            await new.close()
            sent = await rig.send("order")
            await old.complete("old")
            assert (await rig.ended(sent))["output"] == "old"

    asyncio.run(main())


def test_a_version_that_was_withdrawn_is_the_newest_when_it_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(config(tmp_path)) as rig:
            old = await rig.worker(OLD, instance="old")
            await rig.worker(NEW, instance="new")
            await old.close()
            await eventually(lambda: len(rig.server.gateway.roster.workers) == 1)
            back = await rig.worker(OLD, instance="back")
            sent = await rig.send("order")
            await back.complete("back")
            await rig.ended(sent)

    asyncio.run(main())


@pytest.mark.parametrize("killed", [True, False])
def test_connections_of_the_past_are_listed_after_a_restart(tmp_path: Path, *, killed: bool) -> None:
    before, after = tmp_path / "before", tmp_path / "after"

    async def main() -> None:
        async with running(config(before)) as rig:
            gone = await rig.worker(OLD, App("bar", "drink"), instance="gone")
            await gone.socket.close(1000, "WORKER_SHUTDOWN")
            await eventually(lambda: not rig.server.gateway.roster.workers)
            stays = await rig.worker(OLD, instance="stays")
            assert [(row["instanceId"], row["status"]) for row in await past(rig)] == [
                ("gone", "DISCONNECTED"), ("gone", "DISCONNECTED"), ("stays", "READY"),
            ]  # fmt: skip
            if killed:
                await rig.server.partition.committed()
                shutil.copytree(before, after, ignore=shutil.ignore_patterns("*.lock"))
            rig.workers.clear()
            ids = [gone.started.connection_id, gone.started.connection_id, stays.started.connection_id]
        if not killed:
            before.rename(after)
        async with running(config(after)) as rig:
            rows = await past(rig)
            assert [row["id"] for row in rows] == ids
            assert {row["status"] for row in rows} == {"DISCONNECTED"}
            assert sorted(row["app"]["name"] for row in rows) == ["bar", "shop", "shop"]
            ended = "UNEXPECTED" if killed else "GATEWAY_DRAINING"
            assert [row["disconnectReason"] for row in rows] == ["WORKER_SHUTDOWN", "WORKER_SHUTDOWN", ended]
            assert all(row["disconnectedAt"] for row in rows)
            assert await rig.conns() == []

    asyncio.run(main())


class Kept:
    """Records in memory."""

    def __init__(self, *groups: WorkerGroup) -> None:
        self.connections: dict[str, WorkerConnection] = {}
        self.groups = {(group.app_id, group.hash): group for group in groups}

    def worker_connections(self) -> list[WorkerConnection]:
        return [self.connections[id] for id in sorted(self.connections)]

    def put_worker_connection(self, connection: WorkerConnection) -> None:
        self.connections[connection.id] = connection

    def drop_worker_connections(self, ids: Any) -> None:
        for id in ids:
            del self.connections[id]

    def worker_groups(self) -> list[WorkerGroup]:
        return list(self.groups.values())

    def put_worker_group(self, group: WorkerGroup) -> None:
        self.groups[group.app_id, group.hash] = group

    def drop_worker_group(self, app_id: str, hash: str) -> None:
        del self.groups[app_id, hash]


def test_connections_of_the_past_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAST", 3)
    kept = Kept()
    known = History(kept, "gateway", lambda: 7)
    group = Group("app", "shop", "1", "h", frozenset(), 1)
    for number in range(5):
        worker = Worker(
            f"id-{number}", Roster().instance("w"), None, [group], limit=0, about=About(), address="", now=1
        )  # type: ignore[arg-type]
        known.opened(worker)
        known.closed(worker, 9, "UNEXPECTED")
    assert [connection.id for connection in known.past] == list(kept.connections) == ["id-2", "id-3", "id-4"]


def test_versions_that_never_come_back_are_forgotten_in_time() -> None:
    now = [0]
    kept = Kept(WorkerGroup("app", "here", 1, "s"), WorkerGroup("app", "lost", 2, "s"))
    known = History(kept, "gateway", lambda: now[0])
    known.load()
    awaited = known.awaited("app", "here")
    assert awaited is not None
    known.arrived(Group("app", "shop", "1", "here", frozenset(), awaited.since, awaited.sync_id))
    known.tidy()
    assert len(kept.groups) == 2
    now[0] = RETURN_MS + 1
    known.tidy()
    assert list(kept.groups) == [("app", "here")]
    assert known.awaited("app", "lost") is None
