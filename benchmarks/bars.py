"""The bars, and how each is measured."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import msgspec

from benchmarks import load
from benchmarks.app import LIMIT, LIMITED_S, STEPS, App, Watch, now
from benchmarks.server import Server

CALLS_PER_RUN = STEPS + 1


class Sizes(msgspec.Struct, frozen=True):
    """How much is done to measure each bar."""

    repeats: int = 3
    runs: int = 400
    single_runs: int = 20
    events: int = 6_000
    batches: int = 200
    naps: int = 250
    limited: int = 500
    parked: int = 100_000
    starts: int = 5
    idle_s: float = 10.0


QUICK = Sizes(
    runs=80, single_runs=8, events=1_500, batches=40, naps=100, limited=250, parked=5_000, starts=2, idle_s=3.0
)


class Bar(msgspec.Struct, frozen=True):
    """One line of the table. `limit` is the bar, at most or (with `at_least`) at least; None is for information."""

    name: str
    unit: str
    limit: float | None = None
    at_least: bool = False
    digits: int = 0

    def met(self, value: float) -> bool | None:
        if self.limit is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit


BARS = {
    "calls": Bar("sequential 10-step runs, sustained", "calls/s", 5_000, at_least=True),
    "cpu": Bar("server CPU per call", "µs", 200),
    "hop": Bar("step → next step, idle, p50", "ms", 3, digits=2),
    "first": Bar("event → first call, idle, p50", "ms", 5, digits=2),
    "accepted": Bar("event accepted and durable, idle, p50", "ms", 3, digits=2),
    "single": Bar("single events, 32 connections", "events/s", 5_000, at_least=True),
    "batch": Bar("batches of 100 events, 8 connections", "events/s", 40_000, at_least=True),
    "oversleep": Bar("250 runs that sleep 1 s: too long by, p99", "ms", 20, digits=1),
    "limited": Bar("runs of 20 ms, five at once, of 250/s", "%", 95, at_least=True, digits=1),
    "start": Bar("cold start to ready", "s", 1, digits=2),
    "idle_cpu": Bar("idle CPU", "%", 0.5, digits=2),
    "idle_rss": Bar("idle memory", "MiB", 90),
    "sleeping": Bar("100,000 sleeping runs, more memory", "MiB", 150),
    "sleeping_hop": Bar("step → next step beside sleeping runs, p50", "ms", 3, digits=2),
    "waiting": Bar("100,000 waiting runs, more memory", "MiB", 150),
    "waiting_hop": Bar("step → next step beside waiting runs, p50", "ms", 3, digits=2),
    "waiting_single": Bar("single events beside waiting runs, 32 connections", "events/s"),
    "connect_calls": Bar("over Connect, one worker: sequential 10-step runs", "calls/s", 5_000, at_least=True),
    "connect_cpu": Bar("over Connect: server CPU per call", "µs", 200),
    "connect_hop": Bar("over Connect: step → next step, idle, p50", "ms", 1, digits=2),
    "connect_hop99": Bar("over Connect: step → next step, idle, p99", "ms", 5, digits=2),
    "connect_rss": Bar("1,000 idle workers, memory of the server", "MiB", 100),
    "connect_idle": Bar("1,000 idle workers, CPU", "%", 2, digits=2),
    "beside_dear": Bar("`/health`, step → next step beside events of 3 MB for a dear trigger, p99", "ms", 50, digits=1),
    "beside_fan": Bar("the same beside requests of 5,000 events for 50 functions", "ms", 50, digits=1),
    "beside_plan": Bar("the same beside an app that plans without end", "ms", 50, digits=1),
    "beside_turn": Bar("longest turn of the loop beside these, CPU time", "ms", digits=1),
    "strangers_idle": Bar("the same beside idle and half-sent connections of strangers, p99", "ms", 50, digits=1),
    "strangers_large": Bar("the same beside large bodies of strangers, p99", "ms", 50, digits=1),
    "strangers_rss": Bar("strangers, more memory", "MiB", 128),
}  # fmt: skip


def percentile(values: Iterable[float], p: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


class Values(dict[str, float]):
    """What was measured, by key of `BARS`; each is shown on stderr at once."""

    def __setitem__(self, key: str, value: float) -> None:
        bar = BARS[key]
        say(f"  {bar.name}: {value:,.{bar.digits}f} {bar.unit}")
        super().__setitem__(key, value)


def say(text: str) -> None:
    """Show progress, apart from the table on stdout."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Bench:
    """Measures one server, of which nobody else knows."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.values = Values()
        self._serial = itertools.count(1)

    async def run(self) -> dict[str, float]:
        """All bars."""
        say(f"Measuring ({'about two minutes' if self.sizes == QUICK else 'several minutes'}; Ctrl-C ends it) …")
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            await self._cold_starts(Path(folder))
            await self._busy(Path(folder) / "busy")
            for kind, function in (("sleeping", "sleeper"), ("waiting", "waiter")):
                await self._parked(Path(folder) / kind, kind, function)
        return self.values

    # --- scenes -----------------------------------------------------------------------------------------------------

    async def _cold_starts(self, folder: Path) -> None:
        times = list[float]()
        for _ in range(self.sizes.starts):
            await asyncio.sleep(0)  # a Ctrl-C ends it here
            server = Server(folder)
            times.append(server.start())
            server.stop()
        self.values["start"] = statistics.median(times)

    async def _busy(self, folder: Path) -> None:
        async with Scene(folder) as scene:
            await asyncio.sleep(2)
            before = scene.server.cpu_s()
            await asyncio.sleep(self.sizes.idle_s)
            self.values["idle_cpu"] = (scene.server.cpu_s() - before) / self.sizes.idle_s * 100
            self.values["idle_rss"] = scene.server.rss_mib()
            await self.sequential(scene, 30)  # warm
            await self._median(("calls", "cpu"), lambda: self.sequential(scene, self.sizes.runs))
            await self._median(("hop", "first", "accepted"), lambda: self._one_by_one(scene))
            await self._median(("single",), lambda: self._ingest(scene, self.sizes.events, 1, 32))
            await self._median(("batch",), lambda: self._ingest(scene, self.sizes.batches * 100, 100, 8))
            await self._median(("oversleep",), lambda: self._naps(scene))
            await self._median(("limited",), lambda: self.limited(scene, self.sizes.limited))

    async def _parked(self, folder: Path, kind: str, function: str) -> None:
        async with Scene(folder) as scene:
            await self.sequential(scene, 30)
            empty = scene.server.rss_mib()
            await self._park(scene, function, self.sizes.parked)
            if self.sizes.parked >= 100_000:  # fewer can't be scaled up: caches fill meanwhile
                self.values[kind] = scene.server.rss_mib() - empty
            await self._median((f"{kind}_hop",), lambda: self._one_by_one(scene))
            if kind == "waiting":
                await self._median((f"{kind}_single",), lambda: self._ingest(scene, self.sizes.events, 1, 32))

    async def _median(self, names: Sequence[str], measure: Callable[[], Awaitable[Sequence[float]]]) -> None:
        rounds = [await measure() for _ in range(self.sizes.repeats)]
        for place, name in enumerate(names):
            self.values[name] = statistics.median(one[place] for one in rounds)

    # --- measurements -----------------------------------------------------------------------------------------------

    def _watch(self, scene: Scene, runs: int) -> Watch:
        watch = scene.app.watch = Watch(f"w{next(self._serial)}", runs)
        return watch

    async def sequential(self, scene: Scene, runs: int) -> tuple[float, float]:
        """Runs of ten steps from one burst: calls per second, and µs of the server's CPU time per call."""
        watch = self._watch(scene, runs)
        ready = load.requests("bench/steps", watch.label, runs, 100)
        cpu, began = scene.server.cpu_s(), now()
        await load.send(scene.server.port, ready, 4)
        await asyncio.wait_for(watch.done.wait(), 120)
        seconds, cpu = watch.last_final - began, scene.server.cpu_s() - cpu
        await asyncio.sleep(0.2)
        watch.check()
        return watch.calls / seconds, cpu / watch.calls * 1e6

    async def _one_by_one(self, scene: Scene) -> tuple[float, float, float]:
        hops, firsts, accepted = list[float](), list[float](), list[float]()
        client = await load.Client.open(scene.server.port)
        for _ in range(self.sizes.single_runs):
            await asyncio.sleep(random.uniform(0.02, 0.06))
            watch = self._watch(scene, 1)
            ready = load.requests("bench/steps", watch.label, 1, 1)[0]
            began = now()
            await client.post(ready)
            accepted.append(now() - began)
            await asyncio.wait_for(watch.done.wait(), 20)
            firsts.append(watch.first[0] - began)
            hops += watch.gaps
        await client.close()
        return (
            statistics.median(hops) * 1e3,
            statistics.median(firsts) * 1e3,
            statistics.median(accepted) * 1e3,
        )

    async def _ingest(self, scene: Scene, events: int, size: int, connections: int) -> tuple[float]:
        ready = load.requests("bench/nobody", "none", events, size)
        seconds, _ = await load.send(scene.server.port, ready, connections)
        return (events / seconds,)

    async def _naps(self, scene: Scene) -> tuple[float]:
        watch = self._watch(scene, self.sizes.naps)
        await load.send(scene.server.port, load.requests("bench/nap", watch.label, watch.runs, 50), 4)
        await asyncio.wait_for(watch.done.wait(), 60)
        watch.check()
        if min(watch.gaps) < 0.999:
            raise RuntimeError("a run woke early")
        return ((percentile(watch.gaps, 99) - 1) * 1e3,)

    async def limited(self, scene: Scene, runs: int) -> tuple[float]:
        """Runs of a function with a concurrency limit: their rate, in percent of what the limit allows."""
        watch = self._watch(scene, runs)
        ready = load.requests("bench/limited", watch.label, runs, 100)
        began = now()
        await load.send(scene.server.port, ready, 4)
        await asyncio.wait_for(watch.done.wait(), 60)
        watch.check()
        return (runs / (watch.last_final - began) / (LIMIT / LIMITED_S) * 100,)

    async def _park(self, scene: Scene, function: str, runs: int) -> None:
        say(f"  … {runs:,} runs of a {function} are started")
        watch = self._watch(scene, runs)
        todo = load.requests(f"bench/{function}", watch.label, runs, 100)
        for k in range(0, len(todo), 20):  # not faster than they park: the queue is not what is measured
            await load.send(scene.server.port, todo[k : k + 20], 4)
            while len(watch.parked) < min(runs, (k + 20) * 100):  # noqa: ASYNC110 - cheaper than an event per run
                await asyncio.sleep(0.01)
        await asyncio.sleep(2)


class Scene:
    """A server on an empty file, and the app that it calls."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.server = Server(folder)
        self.app = App()

    async def __aenter__(self) -> Self:
        await self.app.serve()
        self.server.start()
        client = await load.Client.open(self.server.port)
        await client.post(load.request("/fn/register", self.app.registration()))
        await client.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.stop()
        self.app.close()
