"""`kill -9` in the midst of everything: what was acknowledged is done, once; what was remembered is not done again.

The times of the kills and the load come from one seed; it is printed, and HOLDFAST_CHAOS_SEED takes one to run again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from api.serving import Served
from holdfast.server.model.status import RunStatus

from .app import SHAPES, ChaosApp
from .flow import CARRIED, check_flow, group_of

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 20
ALIVE_S = (0.2, 0.8)
SENDERS = 4
SETTLE_S = 40
COMPLETED, SKIPPED = RunStatus.COMPLETED.value, RunStatus.SKIPPED.value
_UNFINISHED = (
    "SELECT event_name, status, count(*) FROM runs"
    " WHERE status <> ? AND NOT (status = ? AND event_name = 'chaos/singleton') GROUP BY 1, 2"
)


class Load:
    """Sends numbered events of all shapes until it is stopped; remembers which were acknowledged."""

    def __init__(self, server: Served, chance: random.Random) -> None:
        self.server = server
        self.chance = chance
        self.sent: list[str] = []
        """The shape of each event, by number."""
        self.acknowledged: dict[int, str] = {}
        self.refused: list[str] = []
        self.began = time.time_ns() // 1_000_000

    async def run(self) -> None:
        """One server's life: ends when the server is gone."""
        limits = httpx.Limits(max_connections=SENDERS)
        async with httpx.AsyncClient(base_url=self.server.url, limits=limits, timeout=10) as client:
            await asyncio.gather(*(self._send(client) for _ in range(SENDERS)))

    async def _send(self, client: httpx.AsyncClient) -> None:
        while True:
            number, shape = len(self.sent), self.chance.choice(SHAPES)
            self.sent.append(shape)
            try:
                answer = await client.post("/e/chaos", json=self._event(number, shape))
            except httpx.TransportError:
                return  # killed under us: not acknowledged
            if answer.status_code == 200:
                self.acknowledged[number] = shape
            else:
                self.refused.append(answer.text)
            await asyncio.sleep(self.chance.uniform(0.002, 0.012))

    def _event(self, number: int, shape: str) -> dict[str, object]:
        """Times rise with the numbers, so that the last of a debounce is the one of the highest number."""
        data = {"n": number, "group": group_of(number)}
        return {"name": f"chaos/{shape}", "data": data, "ts": self.began + number}


async def sync(server: Served, app: ChaosApp) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.post(f"{server.url}/fn/register", content=app.registration())
        assert answer.status_code == 200, answer.text


async def resume_all(server: Served, numbers: list[int]) -> None:
    """Ends the waits of all runs, however often they are asked to."""
    async with httpx.AsyncClient(timeout=10) as client:
        for start in range(0, len(numbers), 100):
            events = [{"name": "chaos/resume", "data": {"n": n}} for n in numbers[start : start + 100]]
            answer = await client.post(f"{server.url}/e/chaos", json=events)
            assert answer.status_code == 200, answer.text


def open_rows(server: Served) -> int:
    """How many rows tell of something that is still to be done."""
    rows = server.query(
        "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM pauses) + (SELECT count(*) FROM batch_events)"
        " + (SELECT count(*) FROM flow WHERE kind IN ('debounce', 'batch'))"
    )
    return int(rows[0][0])


async def drain(server: Served, load: Load) -> None:
    """Lets everything end."""
    waiting = [number for number, shape in enumerate(load.sent) if shape == "wait"]
    deadline = time.monotonic() + SETTLE_S
    while open_rows(server):
        assert time.monotonic() < deadline, f"{open_rows(server)} rows are still open\n{server.tail()}"
        await resume_all(server, waiting)
        await asyncio.sleep(0.25)


async def chaos(server: Served, app: ChaosApp, load: Load) -> None:
    await app.serve()
    for _ in range(ROUNDS):
        app.places.life += 1
        await asyncio.to_thread(server.start)
        await sync(server, app)
        sending = asyncio.ensure_future(load.run())
        await asyncio.sleep(load.chance.uniform(*ALIVE_S))
        server.kill()
        await sending
    app.places.life += 1
    await asyncio.to_thread(server.start)
    await sync(server, app)
    await drain(server, load)
    await app.close()


def check(server: Served, app: ChaosApp, load: Load, *, few: bool = False) -> None:
    """Hold all promises; `few` says that the load was too small to be sure that each limit was met."""
    watch = app.watch
    rows = server.query(CARRIED, "chaos/%")
    started = Counter(n for n, _, _ in rows)
    skipped = {n for n, _, status in rows if status == SKIPPED}
    called = watch.runs.keys() | skipped
    due = [n for n, shape in load.acknowledged.items() if shape != "debounced"]
    lost = [n for n in due if n not in started or n not in called]
    doubled = [n for n, runs in started.items() if runs != 1] + [n for n, ids in watch.runs.items() if len(ids) != 1]
    strange = {n: functions for n, functions in watch.carried.items() if functions != {load.sent[n]}}
    assert not lost, f"acknowledged and lost: {[(n, load.acknowledged[n]) for n in lost]}"
    assert not doubled, f"events with several runs: {doubled}"
    assert not strange, f"runs that carry another function's event: {strange}"
    assert not watch.forgotten, "memoised steps that a later call did not show"
    assert not watch.again, "memoised steps that were executed again"
    assert not load.refused
    assert server.query(_UNFINISHED, COMPLETED, SKIPPED) == []
    assert open_rows(server) == 0
    assert server.query("SELECT run_id, step_id FROM steps GROUP BY 1, 2 HAVING count(*) > 1") == []
    assert server.query("PRAGMA integrity_check") == [("ok",)]
    check_flow(server, app.places, load.acknowledged, few=few)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_twenty_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("HOLDFAST_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"HOLDFAST_CHAOS_SEED={seed}")  # noqa: T201 - shown when it fails
    server = Served(tmp_path, "--retry-interval", "1")
    app = ChaosApp(server.url)
    load = Load(server, random.Random(seed))
    try:
        asyncio.run(chaos(server, app, load))
        check(server, app, load)
    finally:
        code = server.stop()
    shapes = {shape: list(load.acknowledged.values()).count(shape) for shape in SHAPES}
    print(json.dumps({"acknowledged": shapes, "calls": dict(app.watch.calls)}))  # noqa: T201 - as above
    assert code == 0
    assert server.errors() == []
    assert min(shapes.values()) > 0
