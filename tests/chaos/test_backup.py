"""The way back that operators take: a backup under load, a kill, a restore, and the server goes on where it was."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from api.serving import Served, run_to_end

from .app import ChaosApp
from .test_kill import sync

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = ("steps", "sleep", "noop")


async def send(server: Served, accepted: list[int], stop: asyncio.Event) -> None:
    """Events one after the other; what was accepted is in `accepted`."""
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        number = 0
        while not stop.is_set():
            shape = SHAPES[number % len(SHAPES)]
            try:
                answer = await client.post(
                    "/e/chaos", json={"name": f"chaos/{shape}", "data": {"n": number, "group": 0}}
                )
            except httpx.TransportError:
                return
            assert answer.status_code == 200
            accepted.append(number)
            number += 1


async def back_up_under_load(server: Served, app: ChaosApp, target: Path) -> list[int]:
    """What had been accepted when the backup began. The server is dead afterwards."""
    accepted: list[int] = []
    stop = asyncio.Event()
    await app.serve()
    await asyncio.to_thread(server.start)
    await sync(server, app)
    sending = asyncio.ensure_future(send(server, accepted, stop))
    await asyncio.sleep(1)
    before = list(accepted)
    code, said = await asyncio.to_thread(
        run_to_end, "db", "backup", str(target), "--sqlite-dir", str(server.folder), timeout=60
    )
    assert code == 0, said
    code, said = await asyncio.to_thread(run_to_end, "db", "restore", str(target), "--sqlite-dir", str(server.folder))
    assert code == 1
    assert "is in use by another Holdfast" in said
    assert len(accepted) > len(before)
    server.kill()
    stop.set()
    await sending
    return before


async def go_on(server: Served, app: ChaosApp) -> None:
    """The server works with what the backup had until nothing is open."""
    app.places.life += 1
    await asyncio.to_thread(server.start)
    deadline = time.monotonic() + 40
    while server.query("SELECT count(*) FROM jobs") != [(0,)]:
        assert time.monotonic() < deadline, server.tail()
        await asyncio.sleep(0.1)
    await app.close()


@pytest.mark.slow
def test_a_server_goes_on_from_a_backup_that_was_made_under_load(tmp_path: Path) -> None:
    folder, target = tmp_path / "state", tmp_path / "backup.db"
    folder.mkdir()
    server = Served(folder, "--retry-interval", "1")
    app = ChaosApp(server.url)

    async def play() -> list[int]:
        before = await back_up_under_load(server, app, target)
        code, said = await asyncio.to_thread(
            run_to_end, "db", "restore", str(target), "--sqlite-dir", str(folder), timeout=60
        )
        assert code == 0, said
        await go_on(server, app)
        return before

    try:
        before = asyncio.run(play())
        kept = {
            n for (n,) in server.query("SELECT json_extract(json, '$.data.n') FROM events WHERE name LIKE 'chaos/%'")
        }
        assert set(before) <= kept
        assert server.query("SELECT DISTINCT status FROM runs") == [(1,)]
        assert server.errors() == []
    finally:
        server.stop()
    code, said = run_to_end("db", "check", "--full", "--sqlite-dir", str(folder))
    assert code == 0, said
    code, said = run_to_end("db", "stats", "--json", "--sqlite-dir", str(folder))
    assert json.loads(said)["runs"] == {"completed": len(kept)}
    assert len(list(folder.glob("main.db.2*"))) >= 1
    code, said = run_to_end("export", "runs", "--sqlite-dir", str(folder), "--with-steps")
    lines = [json.loads(line) for line in said.splitlines()]
    assert len(lines) == len(kept)
    assert {line["function"].removeprefix("chaos-") for line in lines} == set(SHAPES)
    assert all(line["steps"] for line in lines if line["function"].endswith("-steps"))
