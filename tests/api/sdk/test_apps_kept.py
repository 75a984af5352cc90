"""Apps in memory and in the store: the same, whatever fails; and as cheap to find in thousands as alone."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.access_rig import Rig

from holdfast.server.runtime.partition import Partition
from holdfast.server.runtime.syncer import Syncer
from holdfast.server.store.store import DiskFullError, MissingError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, dev=True)
    yield made
    made.close()


def registration(app: str, *names: str, cron: str = "0 0 1 1 *") -> bytes:
    url = f"http://127.0.0.1:9/{app}"
    functions = [
        {"id": f"{app}-{name}", "name": name, "triggers": [{"event": f"{name}.go"}, {"cron": cron}],
         "steps": {"step": {"id": "step", "name": "step", "runtime": {"type": "http", "url": f"{url}?f={name}"}}}}
        for name in names
    ]  # fmt: skip
    return json.dumps({"appName": app, "url": url, "sdk": "py:v0.5.0", "v": "0.1", "functions": functions}).encode()


def register(rig: Rig, app: str, *names: str, **more: str) -> None:
    async def work() -> None:
        rig.server.apps.register(registration(app, *names, **more))

    rig.run(work())


def same(rig: Rig) -> None:
    """Memory, store and engine have the same apps and functions."""
    apps, store = rig.server.apps, rig.server.store
    assert {app.id: app for app in store.apps()} == dict(apps.apps)
    stored = {function.id: function for function in store.functions()}
    assert stored == dict(apps.functions)
    active = {id: f.version for id, f in stored.items() if f.archived_at is None}
    assert {id: f.version for id, f in rig.server.partition.view.functions.items()} == active


def worked(work: Callable[[], object]) -> int:
    """How many instructions of Python that took."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_an_app_among_many_costs_what_it_costs_alone(rig: Rig) -> None:
    async def costs(name: str) -> list[int]:
        apps = rig.server.apps
        first = worked(lambda: apps.register(registration(name, "pay")))
        again = worked(lambda: apps.register(registration(name, "pay", "refund")))
        (app,) = [a for a in apps.active() if a.name == name]
        return [first, again, worked(lambda: apps.archive(app.id))]

    rig.run(costs("warm"))
    alone = rig.run(costs("one"))
    for number in range(200):
        register(rig, f"many{number}", "pay", "refund")
    among = rig.run(costs("another"))
    assert all(many < few * 1.2 for few, many in zip(alone, among, strict=True)), (alone, among)
    same(rig)


def test_syncs_leave_memory_store_and_engine_alike(rig: Rig) -> None:
    register(rig, "shop", "pay", "refund")
    register(rig, "bank", "pay")
    register(rig, "shop", "pay", "audit", cron="0 0 2 1 *")
    same(rig)
    view = rig.server.partition.view
    assert view.listeners("pay.go") == ("bank-pay", "shop-pay")
    assert view.listeners("refund.go") == ()
    apps = rig.server.apps
    (bank,) = [app for app in apps.active() if app.name == "bank"]

    async def archive() -> None:
        apps.archive(bank.id)

    rig.run(archive())
    same(rig)
    assert rig.server.partition.view.listeners("pay.go") == ("shop-pay",)


@pytest.mark.parametrize("error", [DiskFullError("no room"), StoreError("broken")])
def test_a_sync_that_can_not_be_stored_changes_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    register(rig, "shop", "pay")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(rig.server.store, "save_apps", fail)
    for work in writes(rig):
        with pytest.raises(StoreError):
            rig.run(work())
        same(rig)
    monkeypatch.undo()
    register(rig, "shop", "refund")
    same(rig)


def test_nothing_is_stored_while_the_state_is_reloaded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    register(rig, "shop", "pay")
    partition = rig.server.partition
    before = rig.server.store.apps(), rig.server.store.functions()
    monkeypatch.setattr(partition, "_trouble", StoreError("reloading"))
    for work in writes(rig):
        with pytest.raises(StoreError):
            rig.run(work())
    assert (rig.server.store.apps(), rig.server.store.functions()) == before
    monkeypatch.undo()
    same(rig)


def test_what_was_written_to_a_file_that_went_away_and_came_back_is_known(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(rig, "shop", "pay")
    store, real = rig.server.store, rig.server.store.save_apps

    def lost(*rows: Any) -> None:
        real(*rows)
        raise MissingError("away for a moment")

    monkeypatch.setattr(store, "save_apps", lost)
    with pytest.raises(MissingError):
        register(rig, "shop", "pay", "refund")
    assert isinstance(rig.server.partition.trouble, MissingError)
    monkeypatch.undo()
    rig.run(reloaded(rig.server.partition))
    same(rig)
    assert rig.server.partition.view.listeners("refund.go") == ("shop-refund",)


def test_polls_go_on_while_nothing_can_be_stored(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:

    apps = rig.server.apps
    asked = Syncer(apps, rig.server._execution.client, server_kind="dev", interval=0.01)

    async def play() -> None:
        monkeypatch.setattr(rig.server.partition, "_trouble", StoreError("reloading"))
        asked.start(["http://127.0.0.1:9/wanted"], poll=True, discover=False)
        await asyncio.sleep(0.05)
        assert apps.by_url("http://127.0.0.1:9/wanted") is None
        monkeypatch.undo()
        while apps.by_url("http://127.0.0.1:9/wanted") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asked.close()

    rig.run(play())
    same(rig)


def writes(rig: Rig) -> list[Callable[[], Any]]:
    """Everything that writes apps."""
    apps = rig.server.apps
    (app,) = apps.active()

    async def resync() -> None:
        apps.register(registration("shop", "pay", "refund"))

    async def other() -> None:
        apps.register(registration("other", "pay"))

    async def archive() -> None:
        apps.archive(app.id)

    async def error() -> None:
        apps.set_error(app, "unreachable")

    async def expect() -> None:
        apps.expect("http://127.0.0.1:9/new")

    async def move() -> None:
        apps.set_url(app.id, "http://127.0.0.1:9/moved")

    async def endpoint() -> None:
        apps.endpoint("http://a", "GET /x", "http://a/x", 1)

    return [resync, other, archive, error, expect, move, endpoint]


async def reloaded(partition: Partition) -> None:

    async with asyncio.timeout(10):
        while partition.trouble is not None:  # noqa: ASYNC110 - a plain value
            await asyncio.sleep(0.02)
