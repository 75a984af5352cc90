"""The work that a step costs: statements, rows, commits, bytes, CPU. Counted, so that a slow machine fails nothing.

    pytest benchmarks/test_work.py

The bounds stand a little above what is measured: whoever makes a step dearer has to say so here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks import load
from benchmarks.app import STEPS, App, Watch
from benchmarks.bars import CALLS_PER_RUN, Bench, Scene, Sizes
from benchmarks.counted import python_calls, yardstick
from holdfast.server.app import Server
from holdfast.server.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CPU_YARDSTICKS = 14.0
"""Twice what a call takes. Coarse: the machine's speed changes between a measurement and its yardstick."""
PYTHON_CALLS = 470
"""Calls of Python and C functions for each call of an app, the app's own included; 415 to 440 are made: the fewer, the
more calls share a commit."""

_TABLE = re.compile(r"^\s*(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (\w+)")


class Work(msgspec.Struct):
    """What was done between two moments."""

    statements: int = 0
    commits: int = 0
    rows: Counter[str] = msgspec.field(default_factory=Counter[str])
    """Written rows, by `INSERT steps` and so on."""
    reads: list[str] = msgspec.field(default_factory=list[str])

    def trace(self, sql: str) -> None:
        self.statements += 1
        found = _TABLE.match(sql)
        if found:
            self.rows[f"{found[1].split()[0]} {found[2]}"] += 1
        elif sql == "COMMIT":
            self.commits += 1
        elif sql.lstrip().startswith("SELECT"):
            self.reads.append(sql)


class Counted:
    """A server in this process whose statements are counted, and the app that it calls over TCP."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(Config(persist=True, directory=folder, discovery=False, poll=False))
        self.server.store.set_durability("none")  # the disk's speed must not change what is counted
        self.wal = folder / "main.db-wal"
        self.app = App()

    async def start(self) -> None:
        await self.app.serve()
        await self.server.start()
        self.server.apps.register(self.app.registration())

    async def close(self) -> None:
        await self.server.close()
        self.app.close()
        await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def counting(self) -> Iterator[Work]:
        work = Work()
        database = self.server.store._db  # noqa: SLF001 - what it is told to do is what is counted
        database.set_trace_callback(work.trace)
        yield work
        database.set_trace_callback(None)

    async def send(self, events: list[dict[str, object]]) -> None:
        """Accepts events, without a socket."""
        body = json.dumps(events).encode()
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def answer(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        scope = {"type": "http", "method": "POST", "path": "/e/k", "headers": []}
        await self.server(scope, receive, answer)
        assert statuses == [200]

    async def runs(self, name: str, count: int, size: int) -> Work:
        """The work of `count` runs, `size` of them at a time."""
        watch = self.app.watch = Watch(f"{name}-{count}-{size}", count)
        with self.counting() as work:
            for first in range(0, count, size):
                await self.send([load.event(f"bench/{name}", watch.label, i) for i in range(first, first + size)])
                async with asyncio.timeout(30):
                    while len(watch.finals) < first + size:  # noqa: ASYNC110 - counts, not times
                        await asyncio.sleep(0.002)
            await self.server.partition.committed()
            await asyncio.sleep(0.01)
        watch.check()
        return work


def counted(folder: Path, name: str, count: int, size: int) -> tuple[Work, int]:
    """Work, and bytes that the log grew by."""

    async def main() -> tuple[Work, int]:
        scene = Counted(folder)
        await scene.start()
        try:
            before = scene.wal.stat().st_size
            work = await scene.runs(name, count, size)
            return work, scene.wal.stat().st_size - before
        finally:
            await scene.close()

    return asyncio.run(main())


def test_a_step_writes_two_rows_and_a_run_twelve_more(tmp_path: Path) -> None:
    runs = 5
    work, _ = counted(tmp_path, "steps", runs, 1)
    assert work.rows["INSERT steps"] == STEPS * runs
    assert work.rows["INSERT jobs"] == CALLS_PER_RUN * runs, "each job takes the row of the one before"
    assert work.rows["DELETE jobs"] == runs
    assert work.rows["INSERT spans"] == runs
    assert work.rows["INSERT runs"] == runs
    assert work.rows["UPDATE runs"] <= 3 * runs
    assert work.rows["INSERT events"] == 2 * runs, "the event, and the one that tells of the run's end"
    assert work.rows["INSERT event_runs"] == runs
    assert work.rows["INSERT event_totals"] <= 2 * runs, "one per turn and name"
    assert work.rows["INSERT run_totals"] <= runs, "one per turn and function"
    assert sum(work.rows.values()) <= (2 * STEPS + 14) * runs, work.rows
    assert work.reads == [], "a live run is in memory"


def test_an_idle_step_is_one_commit_of_few_statements(tmp_path: Path) -> None:
    runs = 5
    work, _ = counted(tmp_path, "steps", runs, 1)
    assert work.commits <= (CALLS_PER_RUN + 2) * runs
    assert work.statements <= (4 * STEPS + 24) * runs, "BEGIN, a step, a job, COMMIT"


def test_under_load_many_steps_share_a_commit(tmp_path: Path) -> None:
    work, _ = counted(tmp_path, "steps", 100, 100)
    assert work.commits <= CALLS_PER_RUN * 100 / 4, f"{CALLS_PER_RUN * 100 / work.commits:.1f} calls per commit"


def test_a_commit_writes_one_total_for_each_name_and_function(tmp_path: Path) -> None:
    work, _ = counted(tmp_path, "steps", 100, 100)
    assert 0 < work.rows["INSERT event_totals"] <= 2 * work.commits
    assert 0 < work.rows["INSERT run_totals"] <= work.commits


def test_an_event_that_nobody_listens_to_is_one_row(tmp_path: Path) -> None:
    async def main() -> None:
        scene = Counted(tmp_path)
        await scene.start()
        with scene.counting() as work:
            await scene.send([load.event("bench/nobody", "none", i) for i in range(100)])
        assert work.rows == {"INSERT events": 100, "INSERT event_totals": 1}
        assert work.commits == 1
        await scene.close()

    asyncio.run(main())


def test_a_step_under_load_writes_few_bytes(tmp_path: Path) -> None:
    runs = 100
    _, size = counted(tmp_path, "steps", runs, runs)
    assert size / (runs * CALLS_PER_RUN) <= 8_192, f"{size / (runs * CALLS_PER_RUN):.0f} bytes of log per call"


def test_work_per_step_does_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    async def main() -> tuple[Work, Work]:
        scene = Counted(tmp_path)
        await scene.start()
        first = await scene.runs("steps", 3, 1)
        await scene.runs("noop", 600, 200)
        last = await scene.runs("steps", 3, 1)
        await scene.close()
        return first, last

    first, last = asyncio.run(main())
    assert last.rows["INSERT steps"] == first.rows["INSERT steps"]
    assert sum(last.rows.values()) <= sum(first.rows.values()) * 1.1
    assert last.statements <= first.statements * 1.1


# --- a process of its own ---------------------------------------------------------------------------------------------


def test_a_call_makes_few_calls_in_python(tmp_path: Path) -> None:
    runs = 100

    async def main() -> int:
        scene = Counted(tmp_path)
        await scene.start()
        await scene.runs("steps", 20, 20)
        with python_calls() as made:
            await scene.runs("steps", runs, runs)
        await scene.close()
        return made.count

    per_call = asyncio.run(main()) / (runs * CALLS_PER_RUN)
    print(f"{per_call:.1f} Python calls per call")
    assert per_call <= PYTHON_CALLS


def test_cpu_and_log_under_sustained_load(tmp_path: Path) -> None:
    logs: list[int] = []

    async def main() -> list[tuple[float, float]]:
        """Seconds per call, and the yardstick right after."""
        bench = Bench(Sizes())
        async with Scene(tmp_path / "server") as scene:
            await bench.sequential(scene, 50)
            costs = []
            for _ in range(6):
                costs.append(((await bench.sequential(scene, 200))[1] / 1e6, yardstick()))
                logs.append((tmp_path / "server" / "main.db-wal").stat().st_size)
            return costs

    costs = asyncio.run(main())
    cost, ratio = min(cost for cost, _ in costs), min(cost / unit for cost, unit in costs)
    print(f"{cost * 1e6:.1f} µs per call, {ratio:.1f} yardsticks; log {max(logs) / 2**20:.0f} MiB")
    assert ratio <= CPU_YARDSTICKS
    assert max(logs) <= 48 * 2**20, "the log starts over when it was moved into the database"
