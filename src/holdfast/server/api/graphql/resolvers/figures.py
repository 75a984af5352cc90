"""Figures for lists: runs over time, and the health of functions. Extensions of ours; their cost is bounded here."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.protocol.cron import CronError, Schedule
from holdfast.protocol.functions import load_config
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.resolver_errors import fail
from holdfast.server.api.graphql.resolvers.run_fields import run_filter
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import RunFilter, RunOrder, RunTime

if TYPE_CHECKING:
    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.api.graphql.resolvers.run_fields import Filter
    from holdfast.server.model.app import FunctionRecord
    from holdfast.server.model.backlog import Backlog
    from holdfast.server.model.span import Span
    from holdfast.server.store.history import RunTimes

_MOST_BARS: Final = 120
#: The newest runs of a function, whose times give its percentiles.
_TIMED: Final = 100
#: Runs of each stretch of time whose percentiles are shown, and saved steps of a function.
_SAMPLED: Final = 200
_STEPS: Final = 5_000
_GROUPS: Final = (
    (RunStatus.RUNNING, RunStatus.SCHEDULED), (RunStatus.COMPLETED,), (RunStatus.FAILED,), (RunStatus.CANCELLED,),
)  # fmt: skip


class _Bar(msgspec.Struct, frozen=True):
    from_: int
    until: int
    alive: int
    completed: int
    failed: int
    cancelled: int


class _Health(msgspec.Struct, frozen=True):
    alive: int
    completed: int
    failed: int
    cancelled: int
    p50: int | None
    p95: int | None
    queued_p50: int | None
    queued_p95: int | None


class _Latencies(msgspec.Struct, frozen=True):
    from_: int
    until: int
    sampled: int
    queued_p50: int | None
    queued_p95: int | None
    took_p50: int | None
    took_p95: int | None


class _Step(msgspec.Struct, frozen=True):
    name: str
    type: str
    runs: int
    failed_attempts: int
    p50: int | None
    p95: int | None
    max: int | None


@resolver("RunsBar.from")
@resolver("RunLatencies.from")
def _bar_from(bar: _Bar | _Latencies, _context: Context) -> int:
    return bar.from_


@resolver("Query.runsHistogram")
async def _histogram(_source: None, context: Context, filter: Filter, bars: int) -> list[_Bar]:
    """How many runs of a filter there were in each of some equal stretches of its window."""
    _check(bars)
    where = run_filter(filter)
    if where.search:
        fail("a search can't be combined with runs over time; leave out query")
    stretches = _stretches(where.since, where.until if where.until is not None else context.now, bars)
    counts = iter(await context.history.count_each([one for each in stretches for one in _by_group(where, *each)]))
    return [_Bar(first, last + 1, next(counts), next(counts), next(counts), next(counts)) for first, last in stretches]


def _check(bars: int) -> None:
    if not 1 <= bars <= _MOST_BARS:
        fail(f"bars must be between 1 and {_MOST_BARS}")


def _stretches(since: int, until: int, bars: int) -> list[tuple[int, int]]:
    """A window in equal parts, each with its first and its last moment (ms)."""
    edges = [since + (until - since) * place // bars for place in range(bars + 1)]
    return [(first, last - 1) for first, last in pairwise(edges) if last > first]


@resolver("Query.runLatencies")
async def _latencies(_source: None, context: Context, bars: int, **given: Any) -> list[_Latencies]:
    """How long runs were queued and took, in each of some equal stretches of a window; of a sample of each."""
    _check(bars)
    until = given.get("until")
    stretches = _stretches(given["from"], until if until is not None else context.now, bars)
    sampled = await context.history.run_times(given.get("function_id") or "", stretches, _SAMPLED)
    return [_latency(first, last + 1, runs) for (first, last), runs in zip(stretches, sampled, strict=True)]


def _latency(first: int, until: int, runs: list[RunTimes]) -> _Latencies:
    queued = sorted(run.started_at - run.queued_at for run in runs)
    took = sorted(run.ended_at - run.started_at for run in runs if run.ended_at is not None)
    return _Latencies(
        first, until, len(runs), _percentile(queued, 50), _percentile(queued, 95), _percentile(took, 50),
        _percentile(took, 95),
    )  # fmt: skip


def _by_group(where: RunFilter, since: int, until: int | None) -> list[RunFilter]:
    """The filters that count one stretch, a group of statuses each: those not asked for count nothing."""
    window = msgspec.structs.replace(where, since=since, until=until)
    return [msgspec.structs.replace(window, statuses=_wanted(group, where.statuses)) for group in _GROUPS]


def _wanted(group: tuple[RunStatus, ...], asked: tuple[RunStatus, ...]) -> tuple[RunStatus, ...]:
    found = tuple(status for status in group if not asked or status in asked)
    return found or (RunStatus.SKIPPED,)  # which no list holds


@resolver("Function.health")
async def _health(function: FunctionRecord, context: Context, **given: int) -> _Health:
    """How a function's runs went since a moment; its percentiles are those of its newest ended runs, in ms."""
    where = RunFilter(functions=(function.id,))
    alive, *ended = _by_group(where, given["from"], None)
    alive = msgspec.structs.replace(alive, since=0)
    live, completed, failed, cancelled = await context.history.count_each([alive, *ended])
    order = [RunOrder(RunTime.QUEUED, descending=True)]
    timed = msgspec.structs.replace(where, statuses=(RunStatus.COMPLETED, RunStatus.FAILED))
    newest = await context.history.runs(timed, order, _TIMED)
    took = sorted(run.ended_at - run.started_at for run in newest if run.ended_at and run.started_at)
    queued = sorted(run.started_at - run.scheduled_at for run in newest if run.started_at)
    return _Health(
        live, completed, failed, cancelled, _percentile(took, 50), _percentile(took, 95), _percentile(queued, 50),
        _percentile(queued, 95),
    )  # fmt: skip


@resolver("Function.steps")
async def _steps(function: FunctionRecord, context: Context, **given: int) -> list[_Step]:
    """How long the steps of a function's newest ended runs took, the slowest first."""
    where = RunFilter(since=given["from"], functions=(function.id,), statuses=(RunStatus.COMPLETED, RunStatus.FAILED))
    newest = await context.history.runs(where, [RunOrder(RunTime.QUEUED, descending=True)], _TIMED)
    spans = await context.history.step_spans([run.id for run in newest], _STEPS)
    by_name: dict[str, list[Span]] = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    found = [_step(name, its) for name, its in by_name.items()]
    return sorted(found, key=lambda step: -(step.p95 or 0))


def _step(name: str, spans: list[Span]) -> _Step:
    """The figures of the steps of one name. What failed counts as failed attempts alone."""
    saved = [span for span in spans if span.kind == "step"]
    took = sorted(span.ended_at - span.started_at for span in saved)
    first = (saved or spans)[0]
    return _Step(
        name, first.type or first.op, len(saved), len(spans) - len(saved), _percentile(took, 50),
        _percentile(took, 95), took[-1] if took else None,
    )  # fmt: skip


def _percentile(values: list[int], percent: int) -> int | None:
    return values[(len(values) - 1) * percent // 100] if values else None


@resolver("Function.paused")
async def _paused(function: FunctionRecord, context: Context) -> str | None:
    """`queue` or `skip`, what becomes of a paused function's new runs."""
    return (await context.paused.load(function.id)) or None


@resolver("Function.backlog")
async def _backlog(function: FunctionRecord, context: Context) -> Backlog | None:
    """What waits of a function, and how far its limits are used up."""
    return await context.ask(lambda backend: backend.backlog(function.id))


@resolver("Function.nextRun")
def _next_run(function: FunctionRecord, context: Context) -> int | None:
    """When its schedules start it next, by the clock alone."""
    crons = [trigger.cron for trigger in load_config(function.config).triggers if trigger.cron]
    return min((at for cron in crons if (at := _next(cron, context.now)) is not None), default=None)


def _next(cron: str, now: int) -> int | None:
    try:
        return Schedule.parse(cron).next(now)
    except CronError:
        return None
