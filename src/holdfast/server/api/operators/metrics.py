"""`GET /metrics`: Prometheus text (`protocol/http-apis.md` §12.1, docs/how-to/monitor.md). Collected when asked for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.connect.gateway import Gateway
from holdfast.server.connect.roster import OPEN
from holdfast.server.engine.census import Census
from holdfast.server.engine.view import Gauges
from holdfast.server.model.status import ENDED
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime.apps import Apps
from holdfast.server.runtime.disk import Disk
from holdfast.server.runtime.dispatcher import Dispatcher
from holdfast.server.runtime.partition import Partition
from holdfast.server.runtime.retention import Retention
from holdfast.server.runtime.tally import BOUNDS, Times
from holdfast.server.telemetry.exporter import TraceExporter

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric
    from prometheus_client.metrics_core import HistogramMetricFamily

#: Runs that are counted before the loop may do something else: a few milliseconds.
SLICE: Final = 5_000
#: Series per metric with a function's name; the rest is counted as one.
MOST_FUNCTIONS: Final = 1_000
#: The format whose names are plain, which every scraper reads; `generate_latest` writes it so.
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_MOST_DEPTH: Final = 1_000_000_000
_CALL_STATUSES: Final = ("success", "errored", "failed")


class Sources(msgspec.Struct, frozen=True):
    """What is looked at."""

    partition: Partition
    dispatcher: Dispatcher
    apps: Apps
    disk: Disk
    retention: Retention
    realtime: Broadcaster
    traces_out: TraceExporter | None
    gateway: Gateway
    phase: Callable[[], str]
    version: str
    kind: str
    workers: int


class Metrics:
    """Answers `/metrics` from a registry of its own."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._started = time.time()
        self._registry: CollectorRegistry | None = None
        self._census = Census(0)
        self._lock = asyncio.Lock()

    def routes(self) -> list[ApiRoute]:
        """Return the routes; `/v1/prom/{env}` is the reference's second name."""
        return [
            ApiRoute("/metrics", self.answer, methods=["GET"]),
            ApiRoute("/v1/prom/{env}", self.answer, methods=["GET"]),
        ]

    async def answer(self, _: Request) -> Response:
        """Return the text."""
        from prometheus_client import generate_latest  # noqa: PLC0415 - a start does without it

        async with self._lock:
            self._census = await self.census()
            if self._registry is None:
                self._registry = self._make()
            body = generate_latest(self._registry)
        return Response(body, headers={"content-type": _TEXT})

    async def census(self) -> Census:
        """Counts all live runs, some at a time."""
        view, census = self._sources.partition.look(), Census(self._sources.partition.now())
        if view is not None:
            runs = view.runs()
            for start in range(0, len(runs), SLICE):
                view.count(census, runs[start : start + SLICE])
                await asyncio.sleep(0)
        return census

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics (prometheus_client's collector interface)."""
        yield from self._state()
        yield from self._totals()
        yield from self._store()
        yield from self._parts()
        yield from self._connect()
        yield from self._functions()

    def _make(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415 - as above
        from prometheus_client.registry import Collector  # noqa: PLC0415 - as above

        collect = self.collect

        class OfServer(Collector):
            def collect(self) -> Iterator[Metric]:
                return collect()

        registry = CollectorRegistry(auto_describe=False)
        registry.register(OfServer())
        ProcessCollector(registry=registry)
        return registry

    def _state(self) -> Iterator[Metric]:

        yield from self._of_server()
        view = self._sources.partition.look()
        if view is not None:
            yield from self._of_engine(view.gauges())

    def _of_engine(self, gauges: Gauges) -> Iterator[Metric]:
        """Yield what the engine knows; missing while the state is reloaded."""
        from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - as above

        census = self._census
        depth = min(sum(census.jobs.values()), _MOST_DEPTH)
        lag = (census.now - census.oldest) / 1_000
        yield Gauge("inngest_queue_depth", "Items of the queue: waiting for their time, ready, and running", depth)
        yield _labelled("holdfast_jobs", "Items of the queue by state", "state", census.jobs)
        yield Gauge("holdfast_queue_lag_seconds", "Age of the oldest due item that has not started", lag)
        yield _labelled("holdfast_runs", "Live runs by status", "status", census.runs)
        yield _labelled("holdfast_waits", "Durable waits by what ends them", "kind", census.pauses)
        yield Gauge("holdfast_timers", "Timers of the engine", gauges.timers)
        held = {
            "debounce": gauges.debounces, "batch": gauges.batches, "pause": gauges.held_by_pauses,
            "concurrency": gauges.held_by_keys, "worker": gauges.waiting,
        }  # fmt: skip
        yield _labelled("holdfast_held", "Items held back by flow control, by feature", "by", held)

    def _of_server(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - as above

        sources = self._sources
        yield Gauge("holdfast_calls_in_flight", "Requests to apps in flight", sources.dispatcher.in_flight)
        yield Gauge("holdfast_workers", "Most calls in flight at once (--queue-workers)", sources.workers)
        apps = sources.apps.active()
        broken = sum(bool(app.error) for app in apps)
        yield _labelled("holdfast_apps", "Apps by state", "state", {"ok": len(apps) - broken, "error": broken})
        ready = sources.phase() == "running" and sources.partition.trouble is None
        yield Gauge("holdfast_ready", "1 if the server takes work, 0 if it starts, drains or reloads", float(ready))
        info = Gauge("holdfast_info", "Constant 1, with the version and the mode", labels=["version", "mode"])
        info.add_metric([sources.version, "dev" if sources.kind == "dev" else "start"], 1)
        yield info
        yield Gauge("holdfast_start_time_seconds", "When the server started, Unix time", self._started)

    def _totals(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415 - as above

        tally = self._sources.partition.tally
        yield Counter("holdfast_events_received", "Events accepted, the server's own included", tally.events)
        yield Counter("holdfast_runs_scheduled", "Runs created", tally.scheduled)
        ended = Counter("holdfast_runs_ended", "Runs that ended, by status", labels=["status"])
        for status in sorted(ENDED):
            ended.add_metric([status.name.lower()], tally.ended[status])
        yield ended
        calls = Counter(
            "holdfast_calls", "Calls to apps that were answered; errored ones are retried", labels=["status"]
        )
        for outcome in _CALL_STATUSES:
            calls.add_metric([outcome], tally.calls[outcome])
        yield calls
        text = "Evaluations of expressions aborted because they exceeded their budget"
        yield Counter("holdfast_expressions_exceeded", text, tally.expressions_exceeded)
        yield Counter("holdfast_reloads", "Reloads of the state after a failure", self._sources.partition.failures)

    def _store(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - as above

        sources, tally = self._sources, self._sources.partition.tally
        sources.disk.look()
        yield _histogram("holdfast_turn_seconds", "Duration of writing a turn's rows, COMMIT included", tally.turns)
        yield _histogram("holdfast_commit_seconds", "COMMIT alone: mostly the disk", tally.commits)
        yield Gauge("holdfast_store_bytes", "Size of the database and its write-ahead log", sources.disk.size)
        yield Gauge("holdfast_wal_pages", "Size of the write-ahead log, in pages", sources.partition.store.log_pages)
        yield Gauge("holdfast_disk_free_bytes", "Free space on the database's disk", sources.disk.free)

    def _parts(self) -> Iterator[Metric]:
        """Yield what works beside the engine: realtime, retention, traces that are sent out."""
        from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415 - as above
        from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - as above

        did, traces = self._sources.retention.figures, self._sources.traces_out
        subscribers = self._sources.realtime.subscribers
        yield Gauge("holdfast_realtime_subscribers", "Subscriptions to realtime topics", subscribers)
        yield Counter("holdfast_retention_runs", "Runs that retention deleted", did.runs)
        yield Counter("holdfast_retention_events", "Events that retention deleted", did.events)
        yield Counter("holdfast_retention_failures", "Retention sweeps that did not finish", did.failures)
        yield Gauge(
            "holdfast_retention_last_sweep_time_seconds",
            "End of the last retention sweep, Unix time",
            did.last_at / 1e3,
        )
        yield Counter("holdfast_traces_exported", "Runs whose trace was sent", traces.exported if traces else 0)
        yield Counter("holdfast_traces_dropped", "Runs whose trace could not be sent", traces.dropped if traces else 0)

    def _connect(self) -> Iterator[Metric]:
        """Workers that dial in, and calls to them."""
        from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415 - as above
        from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - as above

        gateway = self._sources.gateway
        driver, counts = gateway.driver, gateway.driver.counts
        states = Counts(worker.status.name.lower() for worker in gateway.roster.workers.values())
        by_state = {status.name.lower(): states[status.name.lower()] for status in OPEN}
        yield _labelled("holdfast_connect_workers", "Connections of workers by state", "state", by_state)
        yield Gauge("holdfast_connect_sockets", "Open sockets, those without a token included", len(gateway))
        yield Gauge("holdfast_connect_calls", "Calls assigned to workers or waiting for one", len(driver))
        yield Gauge("holdfast_connect_waiting", "Calls waiting for a free worker", driver.waiting)
        yield Counter("holdfast_connect_sent", "Calls sent to workers", counts["sent"])
        yield Counter("holdfast_connect_replies", "Replies to calls in flight", counts["replied"])
        yield Counter("holdfast_connect_late_replies", "Replies to calls that were no longer known", counts["late"])
        yield Counter("holdfast_connect_moved", "Calls taken back before their worker accepted them", counts["moved"])
        yield Counter("holdfast_connect_lost_leases", "Calls whose lease expired", counts["lost"])
        refused = Counter("holdfast_connect_refused", "Sockets closed because of a protocol error", labels=["reason"])
        for reason, count in gateway.refused.items():
            refused.add_metric([reason], count)
        yield refused

    def _functions(self) -> Iterator[Metric]:
        """Yield the reference's counters by function, if they are switched on."""
        functions = self._sources.partition.tally.functions
        if functions is None:
            return
        from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415 - as above

        slugs = self._slugs()
        families = {
            "run_scheduled": Counter("inngest_function_run_scheduled", "Runs created", labels=["fn"]),
            "run_started": Counter("inngest_function_run_started", "Runs whose first call was made", labels=["fn"]),
            "run_ended": Counter("inngest_function_run_ended", "Runs that ended", labels=["fn", "status"]),
            "call_scheduled": Counter("inngest_sdk_req_scheduled", "Calls that were due", labels=["fn"]),
            "call_started": Counter("inngest_sdk_req_started", "Calls made", labels=["fn"]),
            "call_ended": Counter("inngest_sdk_req_ended", "Answered calls", labels=["fn", "status"]),
        }
        sums: dict[tuple[str, ...], int] = {}
        for (what, function_id, status), count in functions.counts.items():
            fn = slugs.get(function_id, "unknown")
            key = (what, fn, status) if status else (what, fn)
            sums[key] = sums.get(key, 0) + count
        for (what, *labels), count in sums.items():
            families[what].add_metric(labels, count)
        yield from families.values()

    def _slugs(self) -> dict[str, str]:
        known = list(self._sources.apps.functions.values())[:MOST_FUNCTIONS]
        return {function.id: function.slug for function in known}


def _labelled(name: str, help: str, label: str, values: dict[str, int]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

    family = GaugeMetricFamily(name, help, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _histogram(name: str, help: str, times: Times) -> HistogramMetricFamily:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - as above

    bounds = [*map(str, BOUNDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(times.counts), strict=True))
    return HistogramMetricFamily(name, help, buckets=buckets, sum_value=times.total)
