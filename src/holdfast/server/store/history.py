"""What the reading side asks of a store: runs, events, traces, apps and functions, as last committed.

Readers never wait for the engine and never see half a commit: each method answers from one snapshot. Nothing here knows
how a run is shown; `holdfast.server.api` builds trees and answers from these rows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from holdfast.server.model.account import AuditEntry
    from holdfast.server.model.app import AppRecord, FunctionRecord
    from holdfast.server.model.job import Job, Pause
    from holdfast.server.model.run import Defer, RunDetail
    from holdfast.server.model.span import Span
    from holdfast.server.model.status import RunStatus
    from holdfast.server.model.telemetry import MetadataUpdate, UserSpan
    from holdfast.server.store.search import Expression

T = TypeVar("T")


class TooSlowError(Exception):
    """A query took longer than queries may, or nobody waits for it any more. The text is for the user."""

    def __init__(self) -> None:
        super().__init__("the query took too long: narrow its time range, or its filter")


class Page(list[T]):
    """Rows of a list. `stopped` is set where a search ran out of time before the page was full: it goes on from there.

    It is a run's position, or an event's id.
    """

    def __init__(self, rows: Iterable[T], stopped: RunPosition | str | None = None) -> None:
        super().__init__(rows)
        self.stopped = stopped


class StoredRun(msgspec.Struct, frozen=True, gc=False):
    """A run's row, but for its output, which may be large (`History.outputs`).

    Times are ms since the epoch; the id is a ULID whose time is the moment of scheduling.
    """

    id: str
    function_id: str
    app_id: str
    status: RunStatus
    scheduled_at: int
    started_at: int | None
    ended_at: int | None
    event_ids: list[str]  # internal ids of the triggering events
    event_name: str  # of the first one
    cron: str
    batch_id: str
    original_run_id: str
    detail: RunDetail
    defers: dict[str, Defer]  # by hashed id


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event's row. `json` is the form that functions see; times are ms since the epoch."""

    id: str  # internal ULID
    name: str
    external_id: str
    ts: int
    received_at: int
    json: bytes


class RunTime(StrEnum):
    """Which time of a run a filter or an order means. The value is the column's name."""

    QUEUED = "scheduled_at"
    STARTED = "started_at"
    ENDED = "ended_at"


class RunFilter(msgspec.Struct, frozen=True):
    """Which runs a list holds; times in ms since the epoch, both ends included. Skipped and debug runs never do.

    An empty `statuses`, `functions` or `apps` means any.
    """

    since: int = 0
    until: int | None = None
    time: RunTime = RunTime.QUEUED
    statuses: tuple[RunStatus, ...] = ()
    functions: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    deferred: bool | None = None
    search: tuple[Expression, ...] = ()  # all must hold


class RunOrder(msgspec.Struct, frozen=True):
    """One level of the order of a list of runs; the run id is always the last one."""

    time: RunTime
    descending: bool


class RunPosition(msgspec.Struct, frozen=True):
    """A run's place in an ordered list: where the next page goes on."""

    id: str
    times: dict[RunTime, int]

    @classmethod
    def of(cls, run: StoredRun) -> RunPosition:
        """Where a run stands: a time that hasn't come yet counts as 0."""
        started, ended = run.started_at or 0, run.ended_at or 0
        return cls(run.id, {RunTime.QUEUED: run.scheduled_at, RunTime.STARTED: started, RunTime.ENDED: ended})


class EventFilter(msgspec.Struct, frozen=True):
    """Which events a list holds, by the time of reception in ms since the epoch, both ends included."""

    since: int = 0
    until: int | None = None
    names: tuple[str, ...] = ()
    internal: bool = False  # whether the server's own events are listed too
    search: tuple[Expression, ...] = ()


class StreamFilter(msgspec.Struct, frozen=True):
    """Events of the legacy stream: those that started a run, and the internal or the other ones."""

    internal: bool = False
    after: str = ""  # internal ids, both exclusive; "" is open
    before: str = ""


class SessionKey(msgspec.Struct, frozen=True):
    """A key of `meta.sessions`, and when its first run was scheduled (ms)."""

    key: str
    created_at: int


class SessionFilter(msgspec.Struct, frozen=True):
    """Which sessions of a key a list holds: those with a run scheduled in a window (ms, both ends included)."""

    key: str
    since: int = 0
    until: int | None = None
    search: str = ""  # part of the id, in either case


class StoredSession(msgspec.Struct):
    """A session of a key; what it counts is within the filter's window."""

    id: str
    last_run: str  # id of the newest run, in the window or not
    runs: int = 0
    failed: int = 0
    functions: list[str] = []  # ids


class ExperimentFilter(msgspec.Struct, frozen=True):
    """An experiment, and which runs of it count: by the time of scheduling (ms, both ends included) and variant."""

    function_id: str
    name: str
    variant: str = ""
    since: int = 0
    until: int | None = None


class Metric(msgspec.Struct, frozen=True):
    """What the scores of one name come to."""

    key: str
    avg: float
    min: float
    max: float


class Variant(msgspec.Struct, frozen=True):
    """The runs that got a variant."""

    name: str
    runs: int
    metrics: list[Metric]


class Experiment(msgspec.Struct, frozen=True):
    """An experiment of a function: the variants that runs got, and what the newest one said of it."""

    function_id: str
    name: str
    strategy: str
    variants: list[Variant]
    available: list[str]
    weights: dict[str, float]
    first_run: str  # ids; "" if no run counts
    last_run: str


class RunTimes(msgspec.Struct, frozen=True, gc=False):
    """When a run was queued, started and ended (ms since the epoch)."""

    queued_at: int
    started_at: int
    ended_at: int | None


class TraceRow(msgspec.Struct, frozen=True, gc=False):
    """One row of a run's record. `memoised` tells rows of `steps` from those of `spans`."""

    seq: int
    memoised: bool
    output: bytes | None
    span: Span


class RunTrace(msgspec.Struct):
    """All that is stored of one run: finished work by `seq`, what is still open, and what user code told of it."""

    run: StoredRun
    rows: Sequence[TraceRow] = ()
    jobs: Sequence[Job] = ()
    pauses: Sequence[Pause] = ()
    metadata: Sequence[MetadataUpdate] = ()  # in the order in which it came
    spans: Sequence[UserSpan] = ()  # of user code, by their start


class SpansKept(msgspec.Struct, frozen=True):
    """The function of a run, and how many spans of user code it has, of how many bytes."""

    function_id: str
    spans: int
    size: int


class History(Protocol):
    """The store's readers. Results of methods that take many ids are keyed by id and leave out what is not there."""

    async def run(self, run_id: str) -> StoredRun | None:
        """One run."""
        ...

    async def runs(
        self, where: RunFilter, order: Sequence[RunOrder], limit: int, after: RunPosition | None = None
    ) -> Page[StoredRun]:
        """A page of runs, `after` a place in the same order. A search that takes too long stops early."""
        ...

    async def count_runs(self, where: RunFilter) -> int:
        """How many runs a filter lets through; with a search, how many it finds within its time."""
        ...

    async def count_each(self, filters: Sequence[RunFilter]) -> list[int]:
        """How many runs each of some filters lets through, at one moment; their searches are not looked at."""
        ...

    async def run_times(self, function_id: str, windows: Sequence[tuple[int, int]], most: int) -> list[list[RunTimes]]:
        """The times of up to `most` started runs of each window (ms, both ends included).

        `function_id` "" is all functions; of one function only runs that have ended are read.
        """
        ...

    async def step_spans(self, run_ids: Collection[str], most: int) -> list[Span]:
        """Up to `most` saved steps of some runs, and as many attempts of steps that failed."""
        ...

    async def runs_by_id(self, run_ids: Collection[str]) -> dict[str, StoredRun]:
        """Many runs."""
        ...

    async def run_of_key(self, key: str) -> str | None:
        """The id of the run that an idempotency key started, as long as that is remembered."""
        ...

    async def outputs(self, run_ids: Collection[str]) -> dict[str, bytes]:
        """What many runs came to: the bare return value, or the error body. Runs that have none are left out."""
        ...

    async def runs_of_events(self, event_ids: Collection[str]) -> dict[str, list[StoredRun]]:
        """The runs that each event started, skipped ones included, oldest first."""
        ...

    async def deferred_runs(self, parent_ids: Collection[str]) -> dict[str, list[StoredRun]]:
        """The runs that each run deferred and that have been scheduled, oldest first."""
        ...

    async def debug_runs(self, function_id: str, debug_run_id: str, debug_session_id: str) -> list[StoredRun]:
        """The debug runs of a function with a debug run id or session id (either may be empty), newest first."""
        ...

    async def session_keys(self, search: str, limit: int, after: str = "") -> list[SessionKey]:
        """A page of the keys of sessions, in their order; `search` is a part of them."""
        ...

    async def sessions(
        self, where: SessionFilter, limit: int, before: tuple[str, str] = ("", "")
    ) -> list[StoredSession]:
        """A page of sessions, the one that was active last first; `before` is a place: last run and id."""
        ...

    async def session_runs(self, where: SessionFilter, id: str, limit: int, before: str = "") -> list[StoredRun]:
        """A page of a session's runs, newest first, `before` a run."""
        ...

    async def experiments(self, function_id: str, limit: int, after: tuple[str, str] = ("", "")) -> list[Experiment]:
        """A page of experiments of a function, or of all (""), `after` a function and a name. No metrics."""
        ...

    async def experiment(self, where: ExperimentFilter) -> Experiment | None:
        """One experiment with its metrics."""
        ...

    async def traces(self, run_ids: Collection[str]) -> dict[str, RunTrace]:
        """Everything stored of many runs."""
        ...

    async def failed_attempts(self, run_ids: Collection[str]) -> dict[str, int]:
        """How many attempts of many runs failed and were made again; those without any are left out."""
        ...

    async def ai_runs(self, run_ids: Collection[str]) -> dict[str, bool]:
        """Which of many runs called a model; the others are left out."""
        ...

    async def trace_row(self, run_id: str, seq: int) -> TraceRow | None:
        """One row of a run's record."""
        ...

    async def saved_steps(self, run_id: str, step_id: str = "") -> list[TraceRow]:
        """Return the memoised steps of a run in the order of saving; with a hashed id, that step alone."""
        ...

    async def jobs(self, run_ids: Collection[str]) -> dict[str, list[Job]]:
        """The open jobs of many runs."""
        ...

    async def events(self, where: EventFilter, limit: int, before: str = "") -> Page[StoredEvent]:
        """A page of events, newest internal id first, strictly below `before`. A search may stop early, as of runs."""
        ...

    async def count_events(self, where: EventFilter) -> int:
        """How many events a filter lets through; with a search, how many it finds within its time."""
        ...

    async def events_by_id(self, event_ids: Collection[str]) -> dict[str, StoredEvent]:
        """Many events."""
        ...

    async def stream(self, where: StreamFilter, limit: int) -> list[StoredEvent]:
        """The newest events of the legacy stream."""
        ...

    async def apps(self) -> list[AppRecord]:
        """Apps that are not archived, by id."""
        ...

    async def archived_apps(self) -> list[AppRecord]:
        """Apps that are archived, by id."""
        ...

    async def apps_by_id(self, app_ids: Collection[str]) -> dict[str, AppRecord]:
        """Many apps, archived ones included."""
        ...

    async def functions(self) -> list[FunctionRecord]:
        """Functions that are not archived, of apps that are not archived, by slug."""
        ...

    async def functions_by_id(self, function_ids: Collection[str]) -> dict[str, FunctionRecord]:
        """Many functions, archived ones included."""
        ...

    async def functions_by_slug(self, slugs: Collection[str]) -> dict[str, FunctionRecord]:
        """Many functions by their slugs; archived ones are left out."""
        ...

    async def functions_of_apps(self, app_ids: Collection[str]) -> Mapping[str, list[FunctionRecord]]:
        """The functions of each app that are not archived, by slug."""
        ...

    # --- what is known of runs and events besides -------------------------------------------------------------------

    async def metadata_size(self, run_id: str) -> int:
        """Return how many bytes a run's metadata has."""
        ...

    async def user_spans_kept(self, run_ids: Collection[str]) -> dict[str, SpansKept]:
        """Return how many spans of user code there are of many runs, each with its function; only runs that exist."""
        ...

    async def event_traces(self, event_ids: Collection[str]) -> dict[str, str]:
        """Return the traces (JSON) that events came with; those without one are left out."""
        ...

    async def audit_page(self, limit: int, before: str = "", actor: str = "", action: str = "") -> list[AuditEntry]:
        """Return the newest entries of the audit log, or those older than the entry `before`."""
        ...

    async def ping(self) -> None:
        """Read something, to see whether that is possible. Raises what reading raises."""
        ...

    def close(self) -> None:
        """End reading; a query under way is waited for."""
        ...
