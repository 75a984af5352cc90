"""What reading costs beside much history: `python -m benchmarks reading [--folder FOLDER] [--runs N] [--out FILE]`.

`python -m benchmarks.reading_plot` makes the tables and the picture of docs/explanation/reading-at-scale.md of it.

Asks a server over HTTP as UIs and SDKs do, over a library (`benchmarks.library`; written if the folder has none). Each
query is repeated with other places, functions and runs, so that not all requests read the same pages. Then steps are
timed: alone, beside a few dashboards, and beside clients that ask as fast as they can.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import library, load
from benchmarks.app import App, Watch, now
from benchmarks.bars import percentile
from benchmarks.library import Contents
from benchmarks.server import Server
from holdfast.protocol.ids import ulid

_DAY_MS = 86_400_000
_RUNS = """query($order: [RunsV2OrderBy!]!, $filter: RunsFilterV2!, $after: String) {
  runs(first: 40, orderBy: $order, filter: $filter, after: $after) { edges { cursor node { id status queuedAt startedAt
  endedAt eventName isBatch cronSchedule function { name slug } app { name externalID } } }
  pageInfo { hasNextPage endCursor } } }"""
_TOTAL = "query($filter: RunsFilterV2!) { runs(first: 1, orderBy: [], filter: $filter) { totalCount } }"
_TRACE = """query($id: String!, $preview: Boolean) { run(runID: $id) { id status trace(preview: $preview) { ...S
  childrenSpans { ...S childrenSpans { ...S } } } } }
  fragment S on RunTraceSpan { spanID name status attempts queuedAt startedAt endedAt outputID stepOp }"""
_EVENTS = """query($filter: EventsFilter!) { eventsV2(first: 40, filter: $filter) { edges { node { id name receivedAt
  idempotencyKey } } pageInfo { hasNextPage endCursor } } }"""
_EVENTS_RUNS = """query($filter: EventsFilter!) { eventsV2(first: 40, filter: $filter) { edges { node { id name
  receivedAt runs { id status function { slug } } } } } }"""
_EVENTS_TOTAL = "query($filter: EventsFilter!) { eventsV2(first: 1, filter: $filter) { totalCount } }"

SLOW = ("search, nothing within 3 days",)
"""Those that take long by nature are repeated less."""

Make = Callable[[], bytes]


def _iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1_000)) + f".{ms % 1_000:03}Z"


def _gql(query: str, **variables: object) -> bytes:
    return load.request("/v0/gql", json.dumps({"query": query, "variables": variables}).encode())


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


class Questions:
    """The queries, by what they ask for."""

    def __init__(self, contents: Contents, seed: int = 1) -> None:
        self._contents = contents
        self._random = random.Random(seed)

    def all(self) -> dict[str, Make]:
        """Each makes a request, another one every time."""
        made: dict[str, Make] = {}
        for time_, way in itertools.product(("QUEUED_AT", "STARTED_AT", "ENDED_AT"), ("DESC", "ASC")):
            label = f"runs by {time_[:-3].lower()} {way.lower()}"
            made[label] = self._page(time_, way)
            made[f"{label}, deep"] = self._page(time_, way, deep=True)
        made |= {
            "runs, last 3 days": self._page(days=3),
            "runs of a status": self._page(status=["FAILED"]),
            "runs of a function": self._page(functions=1),
            "runs of an app": self._page(apps=1),
            "runs of 3 functions and a status, 3 days": self._page(functions=3, status=["FAILED"], days=3),
            "runs of an old function": self._page(rare=True),
            "runs: nothing found": self._page(rare=True, status=["RUNNING"], days=3),
            "runs by end of a function, 3 days": self._page("ENDED_AT", functions=1, days=3),
            "runs that ended within a day": self._page("ENDED_AT", window="ENDED_AT", day=True),
            "total": lambda: _gql(_TOTAL, filter=self._filter()),
            "total, last 3 days": lambda: _gql(_TOTAL, filter=self._filter(days=3)),
            "total of a function and status": lambda: _gql(
                _TOTAL, filter=self._filter(functions=1, status=["FAILED"])
            ),
            "total, ended within a day": lambda: _gql(_TOTAL, filter=self._filter(window="ENDED_AT", day=True)),
            "total, ended ever": lambda: _gql(_TOTAL, filter=self._filter(window="ENDED_AT")),
            "trace of 10 steps": lambda: _gql(_TRACE, id=self._run(), preview=True),
            "trace of 10 steps, legacy": lambda: _gql(_TRACE, id=self._run(), preview=False),
            "trace of 1000 steps": lambda: _gql(_TRACE, id=self._contents.large, preview=True),
            "run by id": lambda: _get(f"/v1/runs/{self._run()}"),
            "events": lambda: _gql(_EVENTS, filter=self._events()),
            "events, internal too": lambda: _gql(_EVENTS, filter=self._events(includeInternalEvents=True)),
            "events of a name": lambda: _gql(_EVENTS, filter=self._events(eventNames=[self._name()])),
            "events of an old name": lambda: _gql(_EVENTS, filter=self._events(eventNames=["mail/retired.requested"])),
            "events with runs": lambda: _gql(_EVENTS_RUNS, filter=self._events()),
            "events, total": lambda: _gql(_EVENTS_TOTAL, filter=self._events()),
            "REST events": lambda: _get(f"/v1/events?limit=40&received_after={_iso(self._contents.end - _DAY_MS)}"),
            "REST runs of an event": lambda: _get(f"/v1/events/{self._event()}/runs"),
            "REST v2 runs": lambda: _get("/v2/runs?limit=40"),
            "REST v2 runs of a status, 3 days": lambda: _get(
                f"/v2/runs?limit=40&status=FAILED&from={_iso(self._contents.end - 3 * _DAY_MS)}"
            ),
            "REST v2 runs, with output": lambda: _get("/v2/runs?limit=40&includeOutput=true"),
            "REST v2 trace of 1000 steps": lambda: _get(f"/v2/runs/{self._contents.large}/trace"),
            "search, found": self._page(query="event.data.plan == 'pro'", functions=1),
            "search, nothing within 3 days": self._page(query="event.data.plan == 'gold'", days=3),
        }  # fmt: skip
        return made

    def _page(self, time_: str = "QUEUED_AT", way: str = "DESC", *, deep: bool = False, **given: object) -> Make:
        def make() -> bytes:
            order = [{"field": time_, "direction": way}]
            return _gql(_RUNS, order=order, filter=self._filter(**given), after=self._place(time_) if deep else None)

        return make

    def _filter(
        self, *, days: float = 0, status: list[str] | None = None, functions: int = 0, apps: int = 0,
        rare: bool = False, window: str = "QUEUED_AT", day: bool = False, query: str = "",
    ) -> dict[str, object]:  # fmt: skip
        contents, rnd = self._contents, self._random
        start = contents.end - int(days * _DAY_MS) if days else 0
        found: dict[str, object] = {"from": _iso(start), "timeField": window}
        if day:
            start = rnd.randrange(contents.start, contents.end - _DAY_MS)
            found |= {"from": _iso(start), "until": _iso(start + _DAY_MS)}
        if status:
            found["status"] = status
        if functions or rare:
            found["functionIDs"] = [contents.rare] if rare else rnd.sample(contents.functions, functions)
        if apps:
            found["appIDs"] = rnd.sample(contents.apps, apps)
        if query:
            found["query"] = query
        return found

    def _events(self, **given: object) -> dict[str, object]:
        return {"from": _iso(0), **given}

    def _place(self, time_: str) -> str:
        at = self._random.randrange(self._contents.start, self._contents.end)
        name = time_.lower()
        cursor = {"id": ulid(at, 0), "c": {name: {"f": name, "v": at}}}
        return base64.b64encode(json.dumps(cursor).encode()).decode()

    def _run(self) -> str:
        return self._random.choice(self._contents.sample)

    def _event(self) -> str:
        return self._random.choice(self._contents.sample_events)

    def _name(self) -> str:
        return self._random.choice(self._contents.names[:-2])


async def _ask(client: load.Client, make: Make) -> float:
    request = make()
    began = now()
    body = await client.post(request)
    took = now() - began
    if body.startswith((b'{"errors"', b'{"error"')):
        raise RuntimeError(f"{request!r}: {body[:500]!r}")
    return took


async def latencies(server: Server, questions: dict[str, Make], requests: int) -> dict[str, dict[str, float]]:
    """p50 and p99 in ms of each question, and what one costs the server in ms of CPU; `cold` is its first request."""
    found: dict[str, dict[str, float]] = {}
    client = await load.Client.open(server.port)
    for name, make in questions.items():
        count = max(5, requests // 20) if name in SLOW else requests
        cold = await _ask(client, make)
        cpu = server.cpu_s()
        took = [await _ask(client, make) for _ in range(count)]
        found[name] = {
            "cold": cold * 1e3, "p50": statistics.median(took) * 1e3, "p99": percentile(took, 99) * 1e3,
            "cpu": (server.cpu_s() - cpu) / count * 1e3,
        }  # fmt: skip
        print(f"{name:45} {_row(found[name])}", flush=True)
    await client.close()
    return found


def _row(values: dict[str, float]) -> str:
    return " ".join(f"{key} {value:8.2f}" for key, value in values.items())


async def hops(server: Server, app: App, runs: int, serial: Iterator[int]) -> dict[str, float]:
    """From a step's answer to the next call, in ms, of runs one after the other."""
    took: list[float] = []
    client = await load.Client.open(server.port)
    for _ in range(runs):
        await asyncio.sleep(random.uniform(0.02, 0.06))
        watch = app.watch = Watch(f"r{next(serial)}", 1)
        await client.post(load.requests("bench/steps", watch.label, 1, 1)[0])
        await asyncio.wait_for(watch.done.wait(), 20)
        took += watch.gaps
    await client.close()
    return {"p50": statistics.median(took) * 1e3, "p99": percentile(took, 99) * 1e3}


async def beside(server: Server, app: App, questions: dict[str, Make], runs: int) -> dict[str, dict[str, float]]:
    """Hops alone, beside four dashboards of four queries a second each, beside two clients without pauses."""
    serial = itertools.count()
    quick = [make for name, make in questions.items() if not name.startswith("search")]

    async def reader(pause: float) -> None:
        client = await load.Client.open(server.port)
        for make in itertools.cycle(random.sample(quick, len(quick))):
            await _ask(client, make)
            await asyncio.sleep(pause)

    found: dict[str, dict[str, float]] = {}
    for name, readers, pause in (
        ("alone", 0, 0.0),
        ("beside 4 dashboards", 4, 0.25),
        ("beside 2 busy clients", 2, 0.0),
    ):
        tasks = [asyncio.create_task(reader(pause)) for _ in range(readers)]
        found[name] = await hops(server, app, runs, serial)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(f"{'hop ' + name:45} {_row(found[name])}", flush=True)
    return found


async def measure(folder: Path, requests: int, runs: int) -> dict[str, object]:
    """All of it, over the library in a folder."""
    contents = library.load(folder)
    server, app = Server(folder), App()
    await app.serve()
    try:
        start = server.start()
        client = await load.Client.open(server.port)
        await client.post(load.request("/fn/register", app.registration()))
        await client.close()
        questions = Questions(contents).all()
        return {
            "runs": contents.runs, "rows": contents.rows, "events": contents.events, "start_s": start,
            "rss_mib": server.rss_mib(), "queries": await latencies(server, questions, requests),
            "hops": await beside(server, app, questions, runs),
        }  # fmt: skip
    finally:
        server.stop()
        app.close()


def main(arguments: list[str]) -> None:
    """The command line, after its own name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks reading", description=__doc__)
    parser.add_argument("--folder", type=Path, help="of a library; without one, it is written and removed")
    parser.add_argument("--runs", type=int, default=1_000_000, help="of the library that is written")
    parser.add_argument("--requests", type=int, default=200, help="of each query")
    parser.add_argument("--hops", type=int, default=100, help="runs of ten steps to time hops with")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="holdfast-library-") as temporary:
        folder = options.folder or Path(temporary) / "library"
        if not (folder / "library.json").exists():
            library.build(folder, options.runs)
        found = asyncio.run(measure(folder, options.requests, options.hops))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
