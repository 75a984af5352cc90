"""Runs: lists, one, cancelling and rerunning (`protocol/http-apis.md` §10.2, §10.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from holdfast.protocol.rfc3339 import parse_rfc3339
from holdfast.server.api.common.backend import CancelOutcome
from holdfast.server.api.common.cursors import read_run_cursor, run_cursor
from holdfast.server.api.common.parameters import read_ulid
from holdfast.server.api.common.statuses import RUN_STATUSES
from holdfast.server.api.rest.v2.app_operations import find_app
from holdfast.server.api.rest.v2.envelope import (
    Answer,
    RefusalError,
    Sent,
    Shown,
    TimeRange,
    invalid,
    missing,
    not_found,
    page_of,
    page_size,
    show_duration,
    show_moment,
    show_time,
)
from holdfast.server.api.rest.v2.fields import (
    AppId,
    Cursor,
    From,
    FunctionId,
    IncludeOutput,
    Items,
    Limit100,
    RunId,
    Until,
    sent,
)
from holdfast.server.api.rest.v2.function_operations import AppRef, FunctionRef, find_function, local_id
from holdfast.server.api.rest.v2.operation import Operation, runner
from holdfast.server.api.rest.v2.output_object import as_error, as_object
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import RunFilter, RunOrder, RunTime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.app import AppRecord, FunctionRecord
    from holdfast.server.store.history import StoredRun

#: Of a run that was skipped this API knows nothing: it shows it as cancelled.
_BY_STATUS: Final = {name: status for status, name in RUN_STATUSES.items() if status is not RunStatus.SKIPPED}
_SPANS: Final = 10_000  # of a run, among which a step is looked for by its name
_TIMES: Final = {
    "": RunTime.QUEUED,
    "queuedAt": RunTime.QUEUED,
    "QUEUED_AT": RunTime.QUEUED,
    "startedAt": RunTime.STARTED,
    "STARTED_AT": RunTime.STARTED,
    "endedAt": RunTime.ENDED,
    "ENDED_AT": RunTime.ENDED,
}


class _List(Sent):
    """What lists of runs have in common."""

    cursor: Cursor = ""
    limit: Limit100 | None = None
    from_: From = msgspec.field(name="from", default="")
    until: Until = ""
    time_field: Annotated[
        str, Meta(description="The time that range and order refer to: `queuedAt`, `startedAt` or `endedAt`.")
    ] = ""
    status: Annotated[
        list[str], Meta(description="Only runs with these statuses: QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED.")
    ] = []
    is_deferred: Annotated[bool, Meta(description="Only deferred runs (true), or only others (false).")] | None = None
    order: Annotated[str, Meta(description="DESC, the newest first, or ASC.")] = ""
    include_output: IncludeOutput = False


class ListRuns(_List):
    """A page of runs."""

    app_id: Annotated[list[str], Meta(description="Only runs of these apps, by their ids.")] = []
    function_id: Annotated[list[str], Meta(description="Only runs of these functions of those apps.")] = []


class ListFunctionRuns(_List, kw_only=True):
    """A page of a function's runs."""

    app_id: AppId
    function_id: FunctionId


class GetRun(Sent):
    """One run."""

    run_id: RunId
    include_output: IncludeOutput = False


class FromStep(Sent):
    """The step that a rerun starts from."""

    step_id: Annotated[str, Meta(description="The step's name as the code has it.")] = ""
    input: Annotated[Items, Meta(description="Arguments for the step instead of its own, as an array.")] | UnsetType = (
        UNSET
    )


class Rerun(Sent):
    """A run that is to be run again."""

    run_id: RunId
    from_step: FromStep | None = None


class CancelRun(Sent):
    """A run that is to end."""

    run_id: RunId


class RunTrigger(Shown):
    """What started a run."""

    event_ids: list[str] = []
    event_name: str = ""
    is_batch: bool = False
    batch_id: str = ""
    cron_schedule: str = ""


class Run(Shown, kw_only=True):
    """A run. A number of milliseconds is a text, as all 64-bit numbers are."""

    id: str
    function: FunctionRef
    app: AppRef
    status: str
    queued_at: str
    started_at: str = ""
    ended_at: str = ""
    duration_ms: str = ""
    trigger: RunTrigger
    output: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})] | None = None


class RunRef(Shown):
    """A run by its id."""

    run_id: str


def checked_run_id(text: str) -> str:
    """Return a run's id in upper case. Raises RefusalError."""
    found = read_ulid(text)
    if found is None:
        raise invalid("Run ID must be a valid ULID")
    return found


async def find_run(backend: Backend, given: str) -> StoredRun:
    """Return a run by its id. Raises RefusalError."""
    run = await backend.history.run(checked_run_id(given))
    if run is None:
        raise not_found("Run not found")
    return run


async def show_runs(
    backend: Backend, runs: Sequence[StoredRun], *, with_output: bool, of_event: bool = False
) -> list[Run]:
    """Return runs as they are shown: with their functions and apps, in two statements.

    The output of a failed run is its error; among the runs of an event, `{"error": …}` with it.
    """
    functions = await backend.history.functions_by_id({run.function_id for run in runs})
    apps = await backend.history.apps_by_id({run.app_id for run in runs})
    outputs = await backend.history.outputs([run.id for run in runs]) if with_output else {}
    shown = {
        run.id: _output(run, output, of_event=of_event) for run in runs if (output := outputs.get(run.id)) is not None
    }
    return [_document(run, functions.get(run.function_id), apps.get(run.app_id), shown.get(run.id)) for run in runs]


def _output(run: StoredRun, output: bytes, *, of_event: bool) -> msgspec.Raw:
    if run.status is not RunStatus.FAILED:
        return as_object(output)
    error = bytes(as_error(output))
    return msgspec.Raw(b'{"error":' + error + b"}") if of_event else as_object(error)


async def _list(backend: Backend, given: ListRuns) -> Answer:
    if given.function_id and not given.app_id:
        raise invalid("appId is required when filtering by functionId")
    if not given.app_id:
        return await _page(backend, given, RunFilter())
    known = await backend.history.apps()
    apps = [app for app in known if app.name in given.app_id or app.id in given.app_id]
    where = RunFilter(apps=tuple(app.id for app in apps))
    if given.function_id:
        slugs = [slug for app in apps for id in given.function_id for slug in (f"{app.name}-{id}", id)]
        functions = await backend.history.functions_by_slug(slugs)
        ids = tuple(each.id for each in functions.values() if each.app_id in where.apps)
        where = msgspec.structs.replace(where, functions=ids)
    nothing = not where.apps or (given.function_id and not where.functions)
    return await _page(backend, given, where, nothing=bool(nothing))


async def _list_of_function(backend: Backend, given: ListFunctionRuns) -> Answer:
    app = await find_app(backend, given.app_id)
    function = await find_function(backend, app, given.function_id)
    return await _page(backend, given, RunFilter(functions=(function.id,)))


async def _page(backend: Backend, given: _List, where: RunFilter, *, nothing: bool = False) -> Answer:
    size = page_size(given.limit or None, 100)
    where = _window(given, where)
    order = [RunOrder(where.time, _descending(given.order))]
    after = read_run_cursor(given.cursor)
    if given.cursor and after is None:
        raise invalid("Cursor is invalid")
    rows: list[StoredRun] = [] if nothing else await backend.history.runs(where, order, size + 1, after)
    shown = rows[:size]
    page = page_of(rows, size, run_cursor(shown[-1], order) if shown else "")
    runs = await show_runs(backend, shown, with_output=given.include_output)
    return Answer(runs, page, TimeRange.of(given.from_, given.until))


def _window(given: _List, where: RunFilter) -> RunFilter:
    since, until = window(given.from_, given.until)
    if given.time_field not in _TIMES:
        raise invalid("timeField is invalid")
    if any(name.upper() not in _BY_STATUS for name in given.status):
        raise invalid("Status is invalid")
    statuses = tuple(_BY_STATUS[name.upper()] for name in given.status)
    return msgspec.structs.replace(
        where, since=since, until=until, time=_TIMES[given.time_field], statuses=statuses,
        deferred=given.is_deferred,
    )  # fmt: skip


def window(from_: str, until: str) -> tuple[int, int | None]:
    """Return a window of time in ms, both ends included. Raises RefusalError."""
    first, last = _moment(from_, "from"), _moment(until, "until")
    if first is not None and last is not None and first > last:
        raise invalid("from must be before until")
    return first or 0, last


def _moment(text: str, name: str) -> int | None:
    try:
        return parse_rfc3339(text) if text else None
    except ValueError:
        raise invalid(f"{name} must be an RFC 3339 time, such as 2026-01-02T03:04:05Z") from None


def _descending(order: str) -> bool:
    if order not in {"", "DESC", "ASC"}:
        raise invalid("order is invalid")
    return order != "ASC"


async def _get(backend: Backend, given: GetRun) -> Answer:
    run = await find_run(backend, given.run_id)
    return Answer((await show_runs(backend, [run], with_output=given.include_output))[0])


async def _cancel(backend: Backend, given: CancelRun) -> Answer:
    run_id = checked_run_id(given.run_id)
    match await backend.cancel_run(run_id):
        case CancelOutcome.MISSING:
            raise not_found("Run not found")
        case CancelOutcome.ALREADY_CANCELLED:
            raise RefusalError(409, "run_already_cancelled", "Run is already cancelled")
        case CancelOutcome.ENDED:
            raise RefusalError(409, "run_already_ended", "Cannot cancel an ended run")
        case CancelOutcome.CANCELLED:
            return Answer(RunRef(run_id=run_id))


async def _rerun(backend: Backend, given: Rerun) -> Answer:
    run = await find_run(backend, given.run_id)
    step, input = None, None
    if given.from_step is not None:
        step = await _step(backend, run, given.from_step.step_id)
        input = sent(given.from_step.input) or None
        if input is not None and input[:1] != b"[":
            raise invalid("Step input must be an array")
    new_run = await backend.rerun(run.id, from_step=step, input=input)
    if new_run is None:
        raise RefusalError(500, "internal_error", "Unable to rerun run")
    return Answer(RunRef(run_id=new_run))


async def _step(backend: Backend, run: StoredRun, name: str) -> str:
    """Return the hashed id of the step that the code calls `name`. Raises RefusalError unless there is exactly one."""
    if not name:
        raise missing("Step ID is required")
    spans = await backend.history.step_spans([run.id], _SPANS)
    found = {span.step_id for span in spans if span.step_id and span.name == name}
    if not found:
        raise RefusalError(400, "invalid_request", "Step not found in original run")
    if len(found) > 1:
        raise RefusalError(400, "invalid_request", "Step name matches multiple steps in original run")
    return found.pop()


def _document(
    run: StoredRun, function: FunctionRecord | None, app: AppRecord | None, output: msgspec.Raw | None
) -> Run:
    ended = run.ended_at if run.status.ended else None
    trigger = RunTrigger(event_ids=run.event_ids, batch_id=run.batch_id, is_batch=bool(run.batch_id))
    if run.cron:
        trigger.cron_schedule = run.cron
    return Run(
        id=run.id,
        function=FunctionRef(id=local_id(function, app), name=function.name) if function else FunctionRef(id=""),
        app=AppRef(id=app.name if app is not None else ""), status=show_status(run),
        queued_at=show_time(run.scheduled_at), started_at=show_moment(run.started_at), ended_at=show_moment(ended),
        duration_ms=show_duration(run.started_at, ended), trigger=trigger,
        output=output,
    )  # fmt: skip


def show_status(run: StoredRun) -> str:
    """Return a run's status as this API calls it."""
    return RUN_STATUSES[RunStatus.CANCELLED if run.status is RunStatus.SKIPPED else run.status]


_LIST: Final = "newest first by default, in pages."

OPERATIONS: Final = (
    Operation(
        id="GetFunctionRun", method="GET", path="/runs/{run_id}", summary="Get function run",
        description="Get a run: its status, what started it and, on request, its output.",
        request=GetRun, run=runner(GetRun, _get), answer=Run, errors=(404,),
        tool="get_run", command="get-function-run",
    ),
    Operation(
        id="ListRuns", method="GET", path="/runs", summary="List runs",
        description=f"List runs of all functions, or of some, {_LIST}",
        request=ListRuns, run=runner(ListRuns, _list), answer=list[Run], paged=True,
        tool="list_runs", command="get-function-runs",
    ),
    Operation(
        id="ListFunctionRuns", method="GET", path="/apps/{app_id}/functions/{function_id}/runs",
        summary="List runs for a function", description=f"List runs of a function, {_LIST}",
        request=ListFunctionRuns, run=runner(ListFunctionRuns, _list_of_function), answer=list[Run], paged=True,
        errors=(404,), tool="list_function_runs", command="list-function-runs",
    ),
    Operation(
        id="Rerun", method="POST", path="/runs/{run_id}/rerun", summary="Rerun function run",
        description="Start a new run with the same events, from a step on if given: results before it are kept.",
        request=Rerun, run=runner(Rerun, _rerun), answer=RunRef, errors=(404,), tool="rerun", command="rerun",
    ),
    Operation(
        id="CancelRun", method="POST", path="/runs/{run_id}/cancel", summary="Cancel function run",
        description="Cancel a run that is queued or running. Returns 409 if it has ended.",
        request=CancelRun, run=runner(CancelRun, _cancel), answer=RunRef, errors=(404, 409),
        tool="cancel_run", command="cancel-run",
    ),
)  # fmt: skip
