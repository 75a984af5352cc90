"""What a sweep of retention costs those who wait: `python -m benchmarks.retention [--runs N]`.

A library of old runs is deleted while ten-step runs go through the same server, one by one, then in a burst. Prints the
time from step to step before, during and after the sweep, its slices, and what the disk got back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks import library, load
from benchmarks.app import App, Watch, now
from benchmarks.bars import percentile
from benchmarks.server import Server
from holdfast.server.store.sqlite.backup import compact

#: Sweeps begin ten seconds after the start.
BEFORE_S = 8


async def hops(port: int, app: App, until: Callable[[], bool]) -> list[float]:
    """Seconds from step to step of runs one by one."""
    found, client, serial = list[float](), await load.Client.open(port), 0
    while not until():
        serial += 1
        watch = app.watch = Watch(f"h{serial}-{now()}", 1)
        await client.post(load.requests("bench/steps", watch.label, 1, 1)[0])
        await asyncio.wait_for(watch.done.wait(), 20)
        found += watch.gaps
    await client.close()
    return found


async def burst(port: int, app: App, until: Callable[[], bool]) -> list[float]:
    """The same, of fifty runs at once, again and again."""
    found, serial = list[float](), 0
    while not until():
        serial += 1
        watch = app.watch = Watch(f"b{serial}-{now()}", 50)
        await load.send(port, load.requests("bench/steps", watch.label, 50, 50), 1)
        await asyncio.wait_for(watch.done.wait(), 30)
        found += watch.gaps
    return found


async def idle(_port: int, _app: App, until: Callable[[], bool]) -> list[float]:
    """Nothing at all."""
    while not until():  # noqa: ASYNC110 - a log tells nobody
        await asyncio.sleep(0.05)
    return []


async def measure(runs: int, kind: Callable[[int, App, Callable[[], bool]], asyncio.Future[list[float]]]) -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        library.build(folder, runs, 100, None, 1)
        with closing(sqlite3.connect(folder / "main.db")) as db, db:  # nobody calls their apps
            db.executescript("UPDATE functions SET archived_at = 1; DELETE FROM jobs; DELETE FROM pauses;"
                             " UPDATE runs SET ended_at = scheduled_at WHERE ended_at IS NULL")  # fmt: skip
        compact(folder / "main.db")  # as a server's own file: it can give pages back
        before = size(folder)
        server, app = Server(folder), App()
        await app.serve()
        server.start()
        client = await load.Client.open(server.port)
        await client.post(load.request("/fn/register", app.registration()))
        await client.close()
        began = now()
        without = await kind(server.port, app, lambda: now() - began > BEFORE_S)
        await asyncio.sleep(max(0.0, 10.0 - (now() - began)))
        during = await kind(server.port, app, lambda: swept(folder) is not None)
        began = now()
        after = await kind(server.port, app, lambda: now() - began > BEFORE_S)
        did = swept(folder)
        server.stop()
        print(f"{kind.__name__}: before {told(without)}")
        print(f"  during {told(during)}")
        print(f"  after {told(after)}")
        print(f"  {did}, load average {os.getloadavg()[0]:.1f}")
        print(f"  file {before / 2**20:.0f} MiB → {size(folder) / 2**20:.0f} MiB")


def swept(folder: Path) -> dict[str, object] | None:
    """What the log tells of the sweep, once it is over."""
    for line in (folder / "server.log").read_text().splitlines():
        if '"retention sweep"' in line:
            return dict(json.loads(line))
    return None


def size(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "main.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return (folder / "main.db").stat().st_size


def told(values: list[float]) -> str:
    if not values:
        return "-"
    p50, p99, most = (percentile(values, p) * 1e3 for p in (50, 99, 100))
    return f"p50 {p50:.2f} p99 {p99:.2f} max {most:.1f} ms ({len(values):,} hops)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--kinds", default="idle,hops,burst", help="of load, with commas between them")
    options = parser.parse_args()
    os.environ["HOLDFAST_RETENTION"] = "1d"
    for name in options.kinds.split(","):
        kind = {"idle": idle, "hops": hops, "burst": burst}[name]
        asyncio.run(measure(options.runs, kind))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
