"""History, read in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from holdfast.server.model.account import AuditEntry
from holdfast.server.store.history import Page, RunOrder, RunTrace, SpansKept
from holdfast.server.store.sql import experiments, figures, rows, sessions
from holdfast.server.store.sql.pages import EventPages, RunPages
from holdfast.server.store.sql.records import read_struct

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from holdfast.server.model.app import AppRecord, FunctionRecord
    from holdfast.server.model.job import Job
    from holdfast.server.model.span import Span
    from holdfast.server.store.history import (
        EventFilter,
        Experiment,
        ExperimentFilter,
        RunFilter,
        RunPosition,
        RunTimes,
        SessionFilter,
        SessionKey,
        StoredEvent,
        StoredRun,
        StoredSession,
        StreamFilter,
        TraceRow,
    )
    from holdfast.server.store.sql.reader import Parameters, Reader, Readers

T = TypeVar("T")

SEARCH_S: Final = 1.0
"""How long a page of a search may look for matches. It ends early then, and says where to go on."""


class SqlHistory:
    """`holdfast.server.store.history.History` over a database's readers. Close it to give their connections back."""

    def __init__(self, readers: Readers) -> None:
        self.readers = readers

    def close(self) -> None:
        """End the readers; a query under way is waited for."""
        self.readers.close()

    async def run(self, run_id: str) -> StoredRun | None:
        """One run."""
        return (await self.runs_by_id([run_id])).get(run_id)

    async def runs(
        self, where: RunFilter, order: Sequence[RunOrder], limit: int, after: RunPosition | None = None
    ) -> Page[StoredRun]:
        """A page of runs, `after` a place in the same order. A search that takes too long stops early."""
        if not where.search:

            async def page(db: Reader) -> list[StoredRun]:
                return await (await RunPages.of(db, where)).page(order, limit, after)

            return Page(await self.readers.call(page))

        async def search(db: Reader) -> tuple[list[StoredRun], RunPosition | None]:
            return await (await RunPages.of(db, where)).search(order, limit, after, SEARCH_S)

        return Page(*await self.readers.search(search))

    async def count_runs(self, where: RunFilter) -> int:
        """How many runs a filter lets through; with a search, how many it finds within its time."""
        if not where.search:
            return await self.readers.call(lambda db: _count(db, where))
        order = [RunOrder(where.time, descending=True)]

        async def count(db: Reader) -> int:
            return await (await RunPages.of(db, where)).count_found(order, SEARCH_S)

        return await self.readers.search(count)

    async def count_each(self, filters: Sequence[RunFilter]) -> list[int]:
        """How many runs each of some filters lets through, at one moment; their searches are not looked at."""

        async def count(db: Reader) -> list[int]:
            return [await _count(db, where) for where in filters]

        return await self.readers.call(count)

    async def run_times(self, function_id: str, windows: Sequence[tuple[int, int]], most: int) -> list[list[RunTimes]]:
        """The times of up to `most` started runs of each window (ms, both ends included)."""
        return await self.readers.call(lambda db: figures.times(db, function_id, windows, most))

    async def step_spans(self, run_ids: Collection[str], most: int) -> list[Span]:
        """Up to `most` saved steps of some runs, and as many attempts of steps that failed."""
        return await self.readers.call(lambda db: figures.steps(db, run_ids, most))

    async def runs_by_id(self, run_ids: Collection[str]) -> dict[str, StoredRun]:
        """Many runs."""
        found = await self._by_ids("runs_by_id", run_ids, rows.read_run)
        return {run.id: run for run in found}

    async def outputs(self, run_ids: Collection[str]) -> dict[str, bytes]:
        """What many runs came to."""
        return dict(await self._by_ids("outputs", run_ids, rows.read_output))

    async def run_of_key(self, key: str) -> str | None:
        """The id of the run that an idempotency key started, as long as that is remembered."""
        found = await self._all("idempotency.run", (key,), lambda row: str(row[0]))
        return found[0] if found else None

    async def runs_of_events(self, event_ids: Collection[str]) -> dict[str, list[StoredRun]]:
        """The runs that each event started, skipped ones included, oldest first."""
        return _grouped(await self._by_ids("runs_of_events", event_ids, rows.keyed(rows.read_run)))

    async def deferred_runs(self, parent_ids: Collection[str]) -> dict[str, list[StoredRun]]:
        """The runs that each run deferred and that have been scheduled, oldest first."""
        return _grouped(await self._by_ids("deferred_runs", parent_ids, rows.keyed(rows.read_run)))

    async def debug_runs(self, function_id: str, debug_run_id: str, debug_session_id: str) -> list[StoredRun]:
        """The debug runs of a function with a debug run id or session id (either may be empty), newest first."""
        parameters = {"function": function_id, "debug_run": debug_run_id, "debug_session": debug_session_id}
        return await self._all("history.debug_runs", parameters, rows.read_run)

    async def session_keys(self, search: str, limit: int, after: str = "") -> list[SessionKey]:
        """A page of the keys of sessions, in their order; `search` is a part of them."""
        return await self.readers.call(lambda db: sessions.keys(db, search, limit, after))

    async def sessions(
        self, where: SessionFilter, limit: int, before: tuple[str, str] = ("", "")
    ) -> list[StoredSession]:
        """A page of sessions, the one that was active last first; `before` is a place: last run and id."""
        return await self.readers.call(lambda db: sessions.page(db, where, limit, before))

    async def session_runs(self, where: SessionFilter, id: str, limit: int, before: str = "") -> list[StoredRun]:
        """A page of a session's runs, newest first, `before` a run."""
        return await self.readers.call(lambda db: sessions.runs(db, where, id, limit, before))

    async def experiments(self, function_id: str, limit: int, after: tuple[str, str] = ("", "")) -> list[Experiment]:
        """A page of experiments of a function, or of all (""), `after` a function and a name. No metrics."""
        return await self.readers.call(lambda db: experiments.page(db, function_id, limit, after))

    async def experiment(self, where: ExperimentFilter) -> Experiment | None:
        """One experiment with its metrics."""
        return await self.readers.call(lambda db: experiments.find(db, where))

    async def traces(self, run_ids: Collection[str]) -> dict[str, RunTrace]:
        """Everything stored of many runs."""
        return await self.readers.call(lambda db: _traces(db, run_ids)) if run_ids else {}

    async def ai_runs(self, run_ids: Collection[str]) -> dict[str, bool]:
        """Which of many runs called a model; the others are left out."""
        found = await self._all("graphql.ai_runs", {"ids": list(run_ids)}, lambda row: str(row[0]))
        return dict.fromkeys(found, True)

    async def failed_attempts(self, run_ids: Collection[str]) -> dict[str, int]:
        """How many attempts of many runs failed and were made again; those without any are left out."""
        query = "graphql.failed_attempts"
        return dict(await self._all(query, {"ids": list(run_ids)}, lambda row: (str(row[0]), int(row[1]))))

    async def trace_row(self, run_id: str, seq: int) -> TraceRow | None:
        """One row of a run's record."""
        found = await self._all("history.trace_row", {"run": run_id, "seq": seq}, rows.read_trace_row)
        return found[0][1] if found else None

    async def saved_steps(self, run_id: str, step_id: str = "") -> list[TraceRow]:
        """Return the memoised steps of a run in the order of saving; with a hashed id, that step alone."""
        found = await self._all("history.saved_steps", {"run": run_id, "step": step_id}, rows.read_trace_row)
        return [row for _, row in found]

    async def jobs(self, run_ids: Collection[str]) -> dict[str, list[Job]]:
        """The open jobs of many runs."""
        return _grouped(await self._by_ids("jobs", run_ids, rows.read_job))

    async def events(self, where: EventFilter, limit: int, before: str = "") -> Page[StoredEvent]:
        """A page of events, newest internal id first, strictly below `before`."""
        if not where.search:
            return Page(await self.readers.call(lambda db: EventPages(db, where).page(limit, before)))
        return Page(*await self.readers.search(lambda db: EventPages(db, where).search(limit, before, SEARCH_S)))

    async def count_events(self, where: EventFilter) -> int:
        """How many events a filter lets through; with a search, how many it finds within its time."""
        if not where.search:
            return await self.readers.call(lambda db: EventPages(db, where).count())
        return await self.readers.search(lambda db: EventPages(db, where).count_found(SEARCH_S))

    async def events_by_id(self, event_ids: Collection[str]) -> dict[str, StoredEvent]:
        """Many events."""
        found = await self._by_ids("events_by_id", event_ids, rows.read_event)
        return {event.id: event for event in found}

    async def stream(self, where: StreamFilter, limit: int) -> list[StoredEvent]:
        """The newest events of the legacy stream."""
        parameters: dict[str, str | int] = {
            "after": where.after,
            "before": where.before,
            "internal": where.internal,
            "limit": limit,
        }
        return await self._all("history.stream", parameters, rows.read_event)

    async def apps(self) -> list[AppRecord]:
        """Apps that are not archived, by id."""
        return await self._all("history.apps", (), rows.read_app)

    async def archived_apps(self) -> list[AppRecord]:
        """Apps that are archived, by id."""
        return await self._all("history.archived_apps", (), rows.read_app)

    async def apps_by_id(self, app_ids: Collection[str]) -> dict[str, AppRecord]:
        """Many apps, archived ones included."""
        found = await self._by_ids("apps_by_id", app_ids, rows.read_app)
        return {app.id: app for app in found}

    async def functions(self) -> list[FunctionRecord]:
        """Functions that are not archived, of apps that are not archived, by slug."""
        return await self._all("history.functions", (), rows.read_function)

    async def functions_by_id(self, function_ids: Collection[str]) -> dict[str, FunctionRecord]:
        """Many functions, archived ones included."""
        found = await self._by_ids("functions_by_id", function_ids, rows.read_function)
        return {function.id: function for function in found}

    async def functions_by_slug(self, slugs: Collection[str]) -> dict[str, FunctionRecord]:
        """Many functions by their slugs; archived ones are left out."""
        found = await self._by_ids("functions_by_slug", slugs, rows.read_function)
        return {function.slug: function for function in found}

    async def functions_of_apps(self, app_ids: Collection[str]) -> dict[str, list[FunctionRecord]]:
        """The functions of each app that are not archived, by slug."""
        found = await self._by_ids("functions_of_apps", app_ids, rows.read_function)
        return _grouped((function.app_id, function) for function in found)

    async def metadata_size(self, run_id: str) -> int:
        """Return how many bytes a run's metadata has."""
        [size] = await self._all("telemetry.metadata_size", (run_id,), lambda row: int(row[0]))
        return size

    async def user_spans_kept(self, run_ids: Collection[str]) -> dict[str, SpansKept]:
        """Return how many spans of user code there are of many runs."""
        query, ids = "telemetry.user_spans_kept", (list(run_ids),)
        return dict(await self._all(query, ids, lambda row: (row[0], SpansKept(*row[1:])))) if run_ids else {}

    async def event_traces(self, event_ids: Collection[str]) -> dict[str, str]:
        """Return the traces that events came with."""
        return dict(await self._all("telemetry.event_traces", (list(event_ids),), lambda row: (row[0], row[1])))

    async def audit_page(self, limit: int, before: str = "", actor: str = "", action: str = "") -> list[AuditEntry]:
        """Return a page of the audit log, the newest first."""
        given = {"before": before, "actor": actor, "action": action, "limit": limit}
        return await self._all("access.audit", given, lambda row: read_struct(row, AuditEntry))

    async def ping(self) -> None:
        """Read something."""
        await self._all("meta.get", ("",), str)

    async def _by_ids(self, query: str, ids: Collection[str], read: Callable[[rows.Row], T]) -> list[T]:
        return await self._all(f"history.{query}", (list(ids),), read) if ids else []

    async def _all(self, statement: str, parameters: Parameters, read: Callable[[rows.Row], T]) -> list[T]:
        async def select(db: Reader) -> list[T]:
            return [read(row) for row in await db.select(statement, parameters)]

        return await self.readers.call(select)


async def _count(db: Reader, where: RunFilter) -> int:
    return await (await RunPages.of(db, where)).count()


async def _traces(db: Reader, run_ids: Collection[str]) -> dict[str, RunTrace]:
    ids = list(run_ids)
    runs = [rows.read_run(row) for row in await db.select("history.runs_by_id", (ids,))]
    done = _grouped(map(rows.read_trace_row, await db.select("history.trace_rows", {"ids": ids})))
    jobs = _grouped(map(rows.read_job, await db.select("history.jobs", (ids,))))
    pauses = _grouped(map(rows.read_pause, await db.select("history.pauses", (ids,))))
    metadata = _grouped(map(rows.read_metadata, await db.select("telemetry.metadata", (ids,))))
    spans = _grouped(map(rows.read_user_span, await db.select("telemetry.user_spans", (ids,))))
    return {
        (id := run.id): RunTrace(
            run, done.get(id, ()), jobs.get(id, ()), pauses.get(id, ()), metadata.get(id, ()), spans.get(id, ())
        )
        for run in runs
    }


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
