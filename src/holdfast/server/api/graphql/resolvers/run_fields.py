"""Runs (`protocol/graphql.md` §7, §8)."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final, TypedDict

import msgspec

from holdfast.protocol.errors import error_line
from holdfast.protocol.ids import is_ulid, ulid_time
from holdfast.protocol.tracing import trace_id
from holdfast.server.api.common.cursors import position_cursor, read_run_cursor, run_cursor
from holdfast.server.api.common.statuses import RUN_STATUSES
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.page import Edge, PageInfo, page_info
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail
from holdfast.server.api.graphql.scalars import ulid_problem
from holdfast.server.api.traces import TraceNode, build_legacy_trace, build_trace
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import RunFilter, RunOrder, RunPosition, RunTime
from holdfast.server.store.search import SearchError, parse_search, text_search

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.model.reason import Reason
    from holdfast.server.model.run import Defer
    from holdfast.server.store.history import StoredRun, TraceRow

_PAGE: Final = 40
_LARGEST_PAGE: Final = 399
_TIMES: Final = {"QUEUED_AT": RunTime.QUEUED, "STARTED_AT": RunTime.STARTED, "ENDED_AT": RunTime.ENDED}
_BY_STATUS: Final = {name: status for status, name in RUN_STATUSES.items()}
_DEFERS: Final = {"after_run": "SCHEDULED", "aborted": "ABORTED", "rejected": "REJECTED"}


class _Order(TypedDict):
    field: str
    direction: str


Filter = TypedDict(
    "Filter",
    {
        "from": int,
        "until": int | None,
        "time_field": str | None,
        "status": list[str] | None,
        "function_ids": list[str] | None,
        "app_ids": list[str] | None,
        "is_deferred": bool | None,
        "query": str | None,
        "text": str | None,
    },
    total=False,
)


class _Runs(msgspec.Struct):
    edges: list[Edge[StoredRun]]
    page_info: PageInfo
    where: RunFilter


class _Defer(msgspec.Struct, frozen=True):
    hashed_defer_id: str
    userland_defer_id: str
    fn_slug: str
    status: str
    run_id: str | None
    run: StoredRun | None


class _SavedStep(msgspec.Struct, frozen=True):
    step_id: str
    kept: bool  # taken over by a rerun
    failed: bool
    size: int
    digest: str
    output: bytes


class _DeferredFrom(msgspec.Struct, frozen=True):
    run_id: str
    run: StoredRun | None


@resolver("Query.runs")
async def _runs(
    _source: None,
    context: Context,
    first: int,
    order_by: list[_Order],
    filter: Filter,
    after: str | None = None,
    preview: bool | None = None,  # noqa: ARG001 - both lists of the reference are one here
) -> _Runs:
    size = first if 0 < first <= _LARGEST_PAGE else _PAGE
    where = run_filter(filter)
    order = [RunOrder(_TIMES[level["field"]], level["direction"] == "DESC") for level in order_by]
    found = await context.history.runs(where, order, size, read_run_cursor(after))
    edges = [Edge(run_cursor(run, order), run) for run in found]
    stopped = position_cursor(found.stopped, order) if isinstance(found.stopped, RunPosition) else None
    return _Runs(edges, page_info(edges, size, previous=False, stopped=stopped), where)


@resolver("RunsV2Connection.totalCount")
async def _runs_total(page: _Runs, context: Context, preview: bool | None = None) -> int:  # noqa: ARG001
    return await context.history.count_runs(page.where)


@resolver("Query.run")
async def _run(_source: None, context: Context, run_id: str) -> StoredRun:
    return await context.runs.load(checked_run_id(run_id)) or fail(f"error retrieving run: {NO_ROWS}")


@resolver("FunctionRunV2.app")
async def _run_app(run: StoredRun, context: Context) -> AppRecord:
    return await context.apps.load(run.app_id) or AppRecord(run.app_id, "", "")


@resolver("FunctionRunV2.function")
async def run_function(run: StoredRun, context: Context) -> FunctionRecord:
    """Return the function of a run; a nameless one if it is gone."""
    return await context.functions.load(run.function_id) or FunctionRecord(
        run.function_id, run.app_id, "", "", 0, b"{}"
    )


@resolver("FunctionRunV2.traceID")
def _run_trace_id(run: StoredRun, _context: Context) -> str:
    return trace_id(run.id, run.detail.trace)


@resolver("FunctionRunV2.queuedAt")
def _run_queued_at(run: StoredRun, _context: Context) -> int:
    return run.scheduled_at


@resolver("FunctionRunV2.startedAt")
def _run_started_at(run: StoredRun, _context: Context) -> int | None:
    return run.started_at or (run.scheduled_at if run.status is RunStatus.SKIPPED else None)


@resolver("FunctionRunV2.endedAt")
def _run_ended_at(run: StoredRun, _context: Context) -> int | None:
    if run.status is RunStatus.SKIPPED:
        return run.ended_at or run.scheduled_at
    return run.ended_at if run.status.ended else None


@resolver("FunctionRunV2.status")
def _run_status(run: StoredRun, _context: Context) -> str:
    return RUN_STATUSES[run.status]


@resolver("FunctionRunV2.sourceID")
def _run_source_id(_run: StoredRun, _context: Context) -> None:
    return None


@resolver("FunctionRunV2.triggerIDs")
def _run_trigger_ids(run: StoredRun, _context: Context) -> list[str]:
    return run.event_ids


@resolver("FunctionRunV2.eventName")
def _run_event_name(run: StoredRun, _context: Context) -> str | None:
    return None if run.cron or run.batch_id else run.event_name or None


@resolver("FunctionRunV2.isBatch")
def _run_is_batch(run: StoredRun, _context: Context) -> bool:
    return bool(run.batch_id)


@resolver("FunctionRunV2.batchCreatedAt")
def _run_batch_created_at(run: StoredRun, _context: Context) -> int | None:
    return ulid_time(run.batch_id) if is_ulid(run.batch_id) else None


@resolver("FunctionRunV2.cronSchedule")
def _run_cron(run: StoredRun, _context: Context) -> str | None:
    return run.cron or None


@resolver("FunctionRunV2.hasAI")
async def _run_has_ai(run: StoredRun, context: Context) -> bool:
    return bool(await context.ai_runs.load(run.id))


@resolver("FunctionRunV2.isDeferred")
def _run_is_deferred(run: StoredRun, _context: Context) -> bool:
    return bool(run.detail.deferred_from)


@resolver("FunctionRunV2.trace")
async def _run_trace(run: StoredRun, context: Context, preview: bool | None = None) -> TraceNode | None:
    stored = await context.traces.load(run.id)
    if stored is None:
        return None
    if preview:
        return build_trace(stored, context.now)
    return build_legacy_trace(stored, (await run_function(run, context)).slug, context.now)


@resolver("FunctionRunV2.defers")
async def _run_defers(run: StoredRun, context: Context) -> list[_Defer]:
    """Return what this run deferred, with the runs that came of it."""
    if not run.defers:
        return []
    started = list(await context.deferred_runs.load(run.id) or [])
    slugs = {defer.function_slug for defer in run.defers.values()}
    functions = dict(zip(slugs, await asyncio.gather(*map(context.functions_by_slug.load, slugs)), strict=True))
    return [_defer(hashed, defer, started, functions[defer.function_slug]) for hashed, defer in run.defers.items()]


@resolver("FunctionRunV2.siblingDefers")
async def _run_sibling_defers(run: StoredRun, context: Context) -> list[_Defer]:
    parent = await context.runs.load(run.detail.deferred_from) if run.detail.deferred_from else None
    if parent is None:
        return []
    return [defer for defer in await _run_defers(parent, context) if defer.run_id != run.id]


@resolver("FunctionRunV2.deferredFrom")
async def _run_deferred_from(run: StoredRun, context: Context) -> list[_DeferredFrom]:
    parent_id = run.detail.deferred_from
    return [_DeferredFrom(parent_id, await context.runs.load(parent_id))] if parent_id else []


@resolver("FunctionRunV2.originalRunID")
def _run_original(run: StoredRun, _context: Context) -> str | None:
    """Return, as an extension of ours, the run that this one is a rerun of."""
    return run.original_run_id or None


@resolver("FunctionRunV2.reruns")
async def _run_reruns(run: StoredRun, context: Context) -> list[StoredRun]:
    """Return, as an extension of ours, the reruns of this run, which share its first event."""
    found = await context.runs_of_event.load(run.event_ids[0]) if run.event_ids else None
    return [other for other in found or () if other.original_run_id == run.id]


@resolver("FunctionRunV2.savedSteps")
async def _run_saved_steps(run: StoredRun, context: Context, step_id: str | None = None) -> list[_SavedStep]:
    """An extension of ours: what the function gets for its steps when it is called again, in the order of saving."""
    return [_saved_step(row) for row in await context.history.saved_steps(run.id, step_id or "")]


def _saved_step(row: TraceRow) -> _SavedStep:
    output = row.output or b"null"
    return _SavedStep(
        step_id=row.span.step_id, kept=row.span.kind == "kept", failed=output.startswith(b'{"error":'),
        size=len(output), digest=hashlib.sha256(output).hexdigest(), output=output,
    )  # fmt: skip


@resolver("FunctionRunV2.why")
async def _run_why(run: StoredRun, context: Context) -> list[Reason]:
    """Return, as an extension of ours, what the run waits for, or came to."""
    return list(await context.reasons.load(run.id) or [])


@resolver("FunctionRunV2.doing")
async def _run_doing(run: StoredRun, context: Context) -> Reason | None:
    """Return, as an extension of ours, the first of the reasons of a live run, in short and cheap enough for lists."""
    return await context.doing.load(run.id) if not run.status.ended else None


@resolver("FunctionRunV2.errorLine")
async def _run_error_line(run: StoredRun, context: Context) -> str | None:
    """Return, as an extension of ours, the name of a failed run's error, and the first line of its message."""
    if run.status is not RunStatus.FAILED:
        return None
    return error_line(await context.outputs.load(run.id), run.detail.error)


@resolver("FunctionRunV2.failedAttempts")
async def _run_failed_attempts(run: StoredRun, context: Context) -> int:
    """Return, as an extension of ours, how many attempts failed and were made again, in all steps."""
    return await context.failed_attempts.load(run.id) or 0


@resolver("RunDefer.function")
def _defer_function(defer: _Defer, context: Context) -> Awaitable[FunctionRecord | None]:
    return context.functions_by_slug.load(defer.fn_slug)


@resolver("RunDeferredFrom.function")
async def _deferred_from_function(parent: _DeferredFrom, context: Context) -> FunctionRecord | None:
    return await run_function(parent.run, context) if parent.run else None


def checked_run_id(text: str) -> str:
    """Return a run id in upper case, or the error of one that is none."""
    problem = ulid_problem(text)
    return text.upper() if not problem else fail(f"error parsing runID: {problem}")


def _defer(hashed: str, defer: Defer, started: list[StoredRun], function: FunctionRecord | None) -> _Defer:
    child = next((run for run in started if function is not None and run.function_id == function.id), None)
    if child is not None:
        # Several defers of one function are told apart by their order only.
        started.remove(child)
    status = _DEFERS.get(defer.status, "SCHEDULED")
    return _Defer(hashed, defer.userland_id, defer.function_slug, status, child.id if child else None, child)


def run_filter(given: Filter) -> RunFilter:
    """Read a filter of the schema; fails with the error of a query that can't be read."""
    try:
        search = parse_search(given.get("query") or "") + text_search(given.get("text") or "")
    except SearchError as error:
        fail(f"error retrieving runs: {error}")
    return RunFilter(
        since=given.get("from", 0),
        until=given.get("until"),
        time=_TIMES[given.get("time_field") or "QUEUED_AT"],
        statuses=tuple(_BY_STATUS[name] for name in given.get("status") or () if name != "SKIPPED"),
        functions=tuple(given.get("function_ids") or ()),
        apps=tuple(given.get("app_ids") or ()),
        deferred=given.get("is_deferred"),
        search=search,
    )
