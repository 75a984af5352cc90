"""A disk that fills up under load: senders are told, nothing accepted is lost, and all goes on once there is room."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from api.serving import Served
from holdfast.server.model.status import RunStatus

from .app import ChaosApp
from .test_kill import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE_MIB = 24
SHAPES = ("noop", "steps", "parallel-v2", "sleep")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB in memory; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes all room but a few pages."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65_536)
        except OSError:
            pass
    return filler


async def send(client: httpx.AsyncClient, number: int, shape: str) -> httpx.Response:
    data = {"n": number, "group": 0, "pad": "x" * 4_000}
    return await client.post("/e/chaos", json={"name": f"chaos/{shape}", "data": data})


async def play(server: Served, app: ChaosApp, folder: Path) -> tuple[set[int], list[httpx.Response]]:
    """Sends before, while and after the disk is full; the numbers that were accepted, and what the others got."""
    accepted: set[int] = set()
    refused: list[httpx.Response] = []
    chance = random.Random(1)

    async def burst(client: httpx.AsyncClient, numbers: range) -> None:
        for number in numbers:
            answer = await send(client, number, chance.choice(SHAPES))
            if answer.status_code == 200:
                accepted.add(number)
            else:
                refused.append(answer)

    await app.serve()
    await sync(server, app)
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        await burst(client, range(100))
        filler = await asyncio.to_thread(fill, folder)
        await burst(client, range(100, 400))
        assert refused
        await asyncio.sleep(1)
        filler.unlink()
        deadline = time.monotonic() + 20
        while (await send(client, 900, "noop")).status_code != 200:
            assert time.monotonic() < deadline, server.tail()
            await asyncio.sleep(0.1)
        await burst(client, range(1_000, 1_050))
        while server.query("SELECT count(*) FROM jobs") != [(0,)]:
            assert time.monotonic() < deadline + 20, server.tail()
            await asyncio.sleep(0.1)
    await app.close()
    return accepted, refused


@pytest.mark.slow
def test_a_full_disk_is_survived(tmp_path: Path, small_disk: Path) -> None:
    server = Served(tmp_path, "--retry-interval", "1", "--sqlite-dir", str(small_disk))
    server.database = small_disk / "main.db"
    with server:
        app = ChaosApp(server.url)
        accepted, refused = asyncio.run(play(server, app, small_disk))
        assert {answer.status_code for answer in refused} == {503}
        assert all("disk is full" in answer.text for answer in refused)
        stored = {
            n for (n,) in server.query("SELECT json_extract(json, '$.data.n') FROM events WHERE name LIKE 'chaos/%'")
        }
        assert accepted <= stored
        assert server.query("SELECT count(*) FROM runs WHERE status <> ?", int(RunStatus.COMPLETED)) == [(0,)]
        assert not app.watch.forgotten
        assert server.query("PRAGMA integrity_check") == [("ok",)]
    full = [line for line in server.errors() if "disk is full" in line]
    assert 1 <= len(full) < 20, server.tail()
    assert len(full) == len(server.errors()), server.tail()


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_a_start_on_a_full_disk_waits_for_room_and_says_so(tmp_path: Path, small_disk: Path, known: bool) -> None:
    server = Served(tmp_path, "--sqlite-dir", str(small_disk))
    server.database = small_disk / "main.db"
    if known:
        with server:
            server.send("chaos/before", {})
            server.kill()
    filler = fill(small_disk)
    with server:
        ready = server.request("GET", "/ready")
        assert ready == (503, b'{"status":503,"message":"the disk is full"}\n')
        status, body = server.request("POST", "/e/test", b'{"name":"chaos/any"}')
        assert status == 503
        assert b"disk is full" in body
        assert server.stop() == 0
    with server:
        assert server.request("GET", "/ready") == ready
        filler.unlink()
        deadline = time.monotonic() + 20
        while not ready_now(server):
            assert time.monotonic() < deadline, server.tail()
            time.sleep(0.1)
        server.send("chaos/any", {})
        names = [name for (name,) in server.query("SELECT name FROM events WHERE name LIKE 'chaos/%' ORDER BY n")]
        assert names == ["chaos/before"] * known + ["chaos/any"]
    assert "Traceback" not in server.tail(1_000)
    assert len(server.errors()) == 2, server.tail()
    assert all("the disk is full" in line for line in server.errors())


def ready_now(server: Served) -> bool:
    """Connections end when the waiting is over."""
    try:
        return server.request("GET", "/ready")[0] == 200
    except OSError:
        return False
