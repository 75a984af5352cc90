"""REST `/v1`: events, runs, functions of an app, signals (`protocol/http-apis.md` §8).

The reference sends errors of GET requests with status 200; here every error has its own status, with the same body.
Answers tell how long clients may keep them, but none is kept here: each is read anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType
from starlette.responses import Response

from holdfast.protocol.rawjson import UNREADABLE, json_or_text, valid
from holdfast.protocol.rfc3339 import format_rfc3339
from holdfast.server.api.common.backend import CancelOutcome
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.event_document import event_document
from holdfast.server.api.common.parameters import read_int, read_time, read_ulid
from holdfast.server.api.common.routing import ApiRoute
from holdfast.server.store.history import EventFilter

if TYPE_CHECKING:
    from starlette.requests import Request

    from holdfast.server.api.common.backend import Backend
    from holdfast.server.model.app import FunctionRecord
    from holdfast.server.model.job import Job
    from holdfast.server.store.history import StoredEvent, StoredRun

_ENVIRONMENT: Final = "00000000-0000-4000-b000-000000000000"
_ZERO_UUID: Final = "00000000-0000-0000-0000-000000000000"
_ZERO_TIME: Final = "0001-01-01T00:00:00Z"
_HOUR_MS: Final = 3_600_000
_EVENTS: Final = 20
_MOST_EVENTS: Final = 51
_MOST_JOBS: Final = 10
_EVENT_S, _EVENT_RUNS_S, _RUN_S, _JOBS_S = 5, 15, 3, 5  # how long clients may cache these


def routes(backend: Backend) -> list[ApiRoute]:
    """Return the routes of this module."""
    reads, commands = _Reads(backend), _Commands(backend)
    return [
        ApiRoute("/v1/events", reads.events, methods=["GET"]),
        ApiRoute("/v1/events/{event_id}", reads.event, methods=["GET"]),
        ApiRoute("/v1/events/{event_id}/runs", reads.event_runs, methods=["GET"]),
        ApiRoute("/v1/runs/{run_id}", reads.run, methods=["GET"]),
        ApiRoute("/v1/runs/{run_id}", commands.cancel_run, methods=["DELETE"]),
        ApiRoute("/v1/runs/{run_id}/jobs", reads.jobs, methods=["GET"]),
        ApiRoute("/v1/apps/{name}/functions", reads.functions, methods=["GET"]),
        ApiRoute("/v1/signals", commands.signal, methods=["POST"]),
    ]


class EventV1(msgspec.Struct):
    """An event as it was received."""

    internal_id: str
    received_at: str
    id: str
    name: str
    data: Raw
    ts: int
    account_id: str = _ZERO_UUID
    environment_id: str = _ZERO_UUID
    source: str = ""
    source_id: None = None
    user: Raw | UnsetType = UNSET
    v: str | UnsetType = UNSET


class RunV1(msgspec.Struct):
    """A run; one that has not ended reads `Running`."""

    run_id: str
    run_started_at: str
    function_id: str
    environment_id: str
    event_id: str
    status: str
    ended_at: str | None
    function_version: int = 0
    batch_id: str | UnsetType = UNSET
    original_run_id: str | UnsetType = UNSET
    cron: str | UnsetType = UNSET
    output: Raw | UnsetType = UNSET


class JobV1(msgspec.Struct, rename={"job_id": "JobID", "raw": "Raw"}):
    """Work of a run that is queued."""

    job_id: str
    at: str
    position: int
    kind: str
    attempt: int
    raw: dict[str, object]


class FunctionV1(msgspec.Struct):
    """A function, with its stored configuration."""

    internal_id: str
    app_id: str
    id: str
    name: str
    config: Raw
    created_at: str
    archived_at: str
    env_id: str = _ZERO_UUID


class _Signal(msgspec.Struct):
    signal: str = ""
    data: Raw = Raw(b"null")


class _Reads:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._history = backend.history

    async def events(self, request: Request) -> Response:
        """Return the newest events, of the last hour unless told otherwise."""
        given = request.query_params
        now = self._backend.now_ms()
        cursor = given.get("cursor", "")
        if cursor and read_ulid(cursor) is None:
            return public_error(400, "Invalid cursor query parameter")
        since, until = given.get("received_after"), given.get("received_before")
        after = read_time(since) if since else now - _HOUR_MS
        before = read_time(until) if until else None
        if after is None or (until and before is None):
            return public_error(400, "Invalid received_after query parameter")
        names = (given["name"],) if given.get("name") else ()
        where = EventFilter(after, before, names)
        found = await self._history.events(where, _limit(given.get("limit", "")), cursor.upper())
        return self._answer([_event(event) for event in found])

    async def event(self, request: Request) -> Response:
        given = request.path_params["event_id"]
        event_id = read_ulid(given)
        if event_id is None:
            return public_error(400, f"Invalid event ID: {given}")
        found = (await self._history.events_by_id([event_id])).get(event_id)
        return self._answer(_event(found), _EVENT_S) if found else public_error(404, "Event not found")

    async def event_runs(self, request: Request) -> Response:
        given = request.path_params["event_id"]
        event_id = read_ulid(given)
        if event_id is None:
            return public_error(400, f"Invalid event ID: {given}")
        found = (await self._history.runs_of_events([event_id])).get(event_id, [])
        outputs = await self._history.outputs([run.id for run in found])
        return self._answer([_run(run, outputs.get(run.id), _ZERO_UUID) for run in found], _EVENT_RUNS_S)

    async def run(self, request: Request) -> Response:
        run = await self._run(request)
        if isinstance(run, str):
            return _run_error(run)
        output = (await self._history.outputs([run.id])).get(run.id)
        return self._answer(_run(run, output, _ENVIRONMENT), _RUN_S)

    async def jobs(self, request: Request) -> Response:
        run = await self._run(request)
        if isinstance(run, str):
            return _run_error(run)
        jobs = (await self._history.jobs([run.id])).get(run.id, [])
        return self._answer([_job(job, run) for job in jobs[:_MOST_JOBS]], _JOBS_S)

    async def functions(self, request: Request) -> Response:
        """Return the functions of an app by its name; a bare list, empty for an unknown app."""
        name = request.path_params["name"]
        apps = [app.id for app in await self._history.apps() if app.name == name]
        found = await self._history.functions_of_apps(apps)
        return json_response([_function(function) for app_id in apps for function in found.get(app_id, [])])

    async def _run(self, request: Request) -> StoredRun | str:
        """Return a run, or the id as given."""
        given: str = request.path_params["run_id"]
        run_id = read_ulid(given)
        run = await self._history.run(run_id) if run_id else None
        return run or given

    def _answer(self, data: object, max_age_s: int = 0) -> Response:
        now = self._backend.now_ms()
        metadata = {"fetched_at": _time(now)}
        if not max_age_s:
            return json_response({"data": data, "metadata": metadata})
        metadata["cached_until"] = _time(now + max_age_s * 1_000)
        headers = {"cache-control": f"private, max-age={max_age_s}"}
        return json_response({"data": data, "metadata": metadata}, headers=headers)


class _Commands:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def cancel_run(self, request: Request) -> Response:
        """Cancel a run; one that has ended stays as it is."""
        given = request.path_params["run_id"]
        run_id = read_ulid(given)
        if run_id is None:
            return public_error(400, f"Invalid run ID: {given}")
        if await self._backend.cancel_run(run_id) is CancelOutcome.MISSING:
            return public_error(404, f"Unable to load function run: {given}")
        return Response()

    async def signal(self, request: Request) -> Response:
        try:
            given = msgspec.json.decode(await request.body(), type=_Signal)
        except UNREADABLE:
            return public_error(400, "Invalid signal data")
        if valid(bytes(given.data)) is None:
            return public_error(400, "Invalid signal data: it nests too deep, or has a number beyond JSON's range")
        if not given.signal:
            return public_error(500, "Failed to receive signal")
        run_id = await self._backend.signal(given.signal, bytes(given.data))
        if run_id is None:
            return public_error(404, "No signal found")
        return json_response({"data": {"run_id": run_id}, "metadata": {"fetched_at": _time(self._backend.now_ms())}})


def _event(event: StoredEvent) -> EventV1:
    document = event_document(event)
    found = EventV1(event.id, _time(event.received_at), document.id, event.name, document.data, event.ts)
    if bytes(document.user) not in {b"", b"{}", b"null"}:
        found.user = document.user
    if document.v:
        found.v = document.v
    return found


def _run(run: StoredRun, output: bytes | None, environment: str) -> RunV1:
    found = RunV1(
        run.id,
        _time(run.scheduled_at),
        run.function_id,
        environment,
        run.event_ids[0] if run.event_ids else "",
        "Running" if not run.status.ended else run.status.name.capitalize(),
        _time(run.ended_at) if run.status.ended and run.ended_at is not None else None,
    )
    for name in ("batch_id", "original_run_id", "cron"):
        if value := getattr(run, name):
            setattr(found, name, value)
    if output is not None:
        found.output = json_or_text(output)
    return found


def _job(job: Job, run: StoredRun) -> JobV1:
    raw: dict[str, object] = {
        "id": job.id,
        "at": job.due,
        "wfID": run.function_id,
        "wsID": _ENVIRONMENT,
        "data": {"kind": job.kind, "atts": job.attempt, "maxAtts": job.max_attempts, "identifier": {"runID": run.id}},
    }
    return JobV1(job.id, _time(job.due), 0, job.kind, job.attempt, raw)


def _function(function: FunctionRecord) -> FunctionV1:
    archived = _ZERO_TIME if function.archived_at is None else _time(function.archived_at)
    config = Raw(function.config)
    created = _time(function.created_at)
    return FunctionV1(function.id, function.app_id, function.slug, function.name, config, created, archived)


def _run_error(given: str) -> Response:
    if read_ulid(given) is None:
        return public_error(400, f"Invalid run ID: {given}")
    return public_error(404, f"Unable to load function run: {given}")  # the reference says 500


def _limit(text: str) -> int:
    number = read_int(text)
    return min(max(number, 1), _MOST_EVENTS) if number is not None else _EVENTS


def _time(ms: int) -> str:
    return format_rfc3339(ms, fraction=True)
