"""Debug runs and sessions (`protocol/graphql.md` §15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

import msgspec

from holdfast.server.api.common.statuses import RUN_STATUSES
from holdfast.server.api.graphql.executable_schema import resolver
from holdfast.server.api.graphql.resolver_errors import NO_ROWS, fail
from holdfast.server.api.graphql.resolvers.run_fields import checked_run_id
from holdfast.server.api.traces import TraceNode, build_trace
from holdfast.server.model.run import RunDetail

if TYPE_CHECKING:
    from holdfast.server.api.graphql.loaders import Context
    from holdfast.server.store.history import StoredRun


class _Query(TypedDict, total=False):
    function_slug: str
    debug_run_id: str | None
    debug_session_id: str | None
    run_id: str | None


class _DebugRun(msgspec.Struct, frozen=True):
    debug_traces: list[TraceNode]


class _SessionRun(msgspec.Struct, frozen=True):
    status: str
    queued_at: int
    started_at: int | None
    ended_at: int | None
    debug_run_id: str | None
    tags: None = None
    versions: None = None


class _DebugSession(msgspec.Struct, frozen=True):
    debug_runs: list[_SessionRun]


@resolver("Query.debugRun")
async def _debug_run(_source: None, context: Context, query: _Query) -> _DebugRun:
    found = await _runs(context, query, "debug_run_id")
    futures = [context.traces.load(run.id) for run in found]
    stored = [await future for future in futures]
    return _DebugRun([build_trace(trace, context.now) for trace in stored if trace is not None])


@resolver("Query.debugSession")
async def _debug_session(_source: None, context: Context, query: _Query) -> _DebugSession:
    found = await _runs(context, query, "debug_session_id")
    return _DebugSession([_session_run(run) for run in found]) if found else fail("debug session not found")


def _session_run(run: StoredRun) -> _SessionRun:
    ended_at = run.ended_at if run.status.ended else None
    debug_run_id = run.detail.debug_run_id or None
    return _SessionRun(RUN_STATUSES[run.status], run.scheduled_at, run.started_at, ended_at, debug_run_id)


async def _runs(context: Context, query: _Query, key: Literal["debug_run_id", "debug_session_id"]) -> list[StoredRun]:
    """Return the runs that share an id, given as such or by one of them."""
    wanted = query.get(key) or ""
    if not wanted and (run_id := query.get("run_id")):
        run = await context.runs.load(checked_run_id(run_id))
        detail = run.detail if run else RunDetail()
        wanted = detail.debug_run_id if key == "debug_run_id" else detail.debug_session_id
    function = await context.functions_by_slug.load(query.get("function_slug", "")) or fail(NO_ROWS)
    run_id, session_id = (wanted, "") if key == "debug_run_id" else ("", wanted)
    return await context.history.debug_runs(function.id, run_id, session_id)


@resolver("Mutation.createDebugSession")
async def _create_debug_session(_source: None, context: Context, input: dict[str, str]) -> _NewSession:  # noqa: ARG001
    return _NewSession(await context.new_id(), await context.new_id())


class _NewSession(msgspec.Struct, frozen=True):
    debug_session_id: str
    debug_run_id: str
