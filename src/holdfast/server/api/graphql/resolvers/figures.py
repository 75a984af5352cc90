"""Figures for lists: runs over time, and the health of functions. Extensions of ours; their cost is bounded here."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

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

_MOST_BARS: Final = 120
#: The newest runs of a function, whose times give its percentiles.
_TIMED: Final = 100
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


@resolver("RunsBar.from")
def _bar_from(bar: _Bar, _context: Context) -> int:
    return bar.from_


@resolver("Query.runsHistogram")
async def _histogram(_source: None, context: Context, filter: Filter, bars: int) -> list[_Bar]:
    """How many runs of a filter there were in each of some equal stretches of its window."""
    if not 1 <= bars <= _MOST_BARS:
        fail(f"bars must be between 1 and {_MOST_BARS}")
    where = run_filter(filter)
    if where.search:
        fail("runs that a search finds can't be shown over time; leave out query")
    until = where.until if where.until is not None else context.now
    edges = [where.since + (until - where.since) * place // bars for place in range(bars + 1)]
    stretches = [(first, last - 1) for first, last in pairwise(edges) if last > first]
    counts = iter(await context.history.count_each([one for each in stretches for one in _by_group(where, *each)]))
    return [_Bar(first, last + 1, next(counts), next(counts), next(counts), next(counts)) for first, last in stretches]


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
    return _Health(live, completed, failed, cancelled, _percentile(took, 50), _percentile(took, 95))


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
