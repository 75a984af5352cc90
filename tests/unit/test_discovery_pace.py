"""How a dev server looks for apps: each second at first, since an app is about to be started; one a port."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.server.runtime import syncer


def test_the_first_scans_follow_each_other_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def scan(_self: object) -> list[str]:
        return []

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(syncer.Syncer, "scan", scan)
    synced, silent = SimpleNamespace(name="shop", error=""), SimpleNamespace(name="", error="unreachable")
    apps = SimpleNamespace(active=lambda: [silent, synced] if len(pauses) >= 18 else [silent])
    asyncio.run(syncer.Syncer(cast("Any", apps), cast("Any", None), server_kind="dev")._discover())
    assert pauses == [1.0] * 15 + [5.0] * 3


def test_a_server_that_answers_under_every_path_is_one_app() -> None:
    async def fetch(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(headers={"x-inngest-sdk": "js:v4.24.0"})

    async def scan() -> tuple[int, list[str]]:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = int(server.sockets[0].getsockname()[1])
            client = cast("Any", SimpleNamespace(fetch=fetch))
            return port, await syncer.Syncer(cast("Any", None), client, server_kind="dev")._scan_port(port)

    port, found = asyncio.run(scan())
    assert found == [f"http://localhost:{port}/api/inngest"]
