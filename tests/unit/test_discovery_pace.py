"""How often a dev server looks for apps: each second at first, since an app is about to be started."""

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
    apps = SimpleNamespace(active=lambda: len(pauses) >= 18)
    asyncio.run(syncer.Syncer(cast("Any", apps), cast("Any", None), server_kind="dev")._discover())
    assert pauses == [1.0] * 15 + [5.0] * 3
