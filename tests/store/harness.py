"""Stores under test, and rows to put into them. A new store joins by one more entry in `KINDS`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Raw

import databases
from holdfast.protocol.events import Event
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.derive import derive
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.app import AppRecord, FunctionRecord
from holdfast.server.model.job import Job, JobKind, Pause, PauseKind
from holdfast.server.model.run import Defer, RunDetail, RunState
from holdfast.server.model.span import Span
from holdfast.server.model.status import RunStatus, SpanStatus
from holdfast.server.store.postgres.settings import Settings
from holdfast.server.store.postgres.store import open_store
from holdfast.server.store.records import Records
from holdfast.server.store.sqlite.memory import MemoryStore
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import EndedRun, EventRow, Needs, Recovered, Store, Write, needs_none, settled

from .memory import DictStore, Rows


def _memory(folder: Path, *, slow: bool) -> Store:
    """A store in memory; the rows are kept by their folder, so that they outlive a close."""
    return DictStore(_ROWS.setdefault(folder, Rows()), slow=slow)


_ROWS: dict[Path, Rows] = {}
_SCHEMAS: dict[Path, str] = {}

KINDS: dict[str, Callable[[Path], Store | Awaitable[Store]]] = {
    "memory": lambda folder: _memory(folder, slow=False),
    "memory, slow": lambda folder: _memory(folder, slow=True),
    "sqlite file": lambda folder: SqliteStore(folder / "main.db", "full"),
    "sqlite file, deferred": lambda folder: SqliteStore(folder / "main.db", "deferred"),
    "sqlite ephemeral": lambda folder: SqliteStore(None, "none"),
    "sqlite ephemeral, in memory": lambda folder: MemoryStore(),
    "postgresql": lambda folder: open_store(
        Settings(databases.uri(), _SCHEMAS.setdefault(folder, databases.new_schema()))
    ),
}
#: Those whose rows outlive a close.
LASTING = [kind for kind in KINDS if "ephemeral" not in kind]

T = TypeVar("T")

T0 = 1_700_000_000_000


class Bench:
    """One store, and the same again. What a store may answer later is waited for."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._folder = folder
        self._runner = asyncio.Runner()
        try:
            self.store = self._open()
        except BaseException:
            self._runner.close()
            raise

    def _open(self) -> Store:
        async def main() -> Store:
            return await settled(KINDS[self.kind](self._folder))

        return self._runner.run(main())

    def wait(self, pending: Callable[[], Awaitable[T] | T]) -> T:
        """Call a method of the store, and wait for its answer."""

        async def main() -> T:
            return await settled(pending())

        return self._runner.run(main())

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> None:
        """Commit what a turn wrote, and wait until it is durable."""
        derive(changes)
        self.wait(lambda: self.store.commit(changes, writes))

    def body(self, run_id: str) -> Body:
        return self.wait(lambda: self.store.load_body(run_id))

    def recover(self, needs: Needs = needs_none) -> Recovered:
        return self.wait(lambda: self.store.recover(needs))

    def load_events(self, ids: Sequence[str]) -> list[EventRow]:
        return self.wait(lambda: self.store.load_events(ids))

    def load_ended(self, run_id: str) -> EndedRun | None:
        return self.wait(lambda: self.store.load_ended(run_id))

    def save_apps(
        self, apps: Sequence[AppRecord], functions: Sequence[FunctionRecord], removed: Sequence[str] = ()
    ) -> None:
        writes = self.store.save_apps(apps, functions, removed)
        if writes:
            self.commit(Changes(), writes)

    def committed(self, records: Records) -> None:
        """Commit what was put into records."""
        self._runner.run(records.committed())

    def reopen(self) -> Bench:
        """Another start on the same rows; an ephemeral store has but one."""
        if self.kind in LASTING:
            self._close_store()
            self.store = self._open()
        return self

    def close(self) -> None:
        try:
            self._close_store()
        finally:
            self._runner.close()

    def _close_store(self) -> None:
        self.wait(self.store.close)


def event(id: str = "e1", name: str = "go", json: bytes = b'{"name":"go"}', **more: object) -> Event:
    return Event(id, name, str(more.pop("external_id", id)), T0, T0 + 1, json, **more)  # type: ignore[arg-type]


def run(id: str = "r1", events: tuple[str, ...] = ("e1",)) -> Run:
    made = Run(id, "fn", "app", T0)
    made.event_name = "go"
    made.body = Body([b'{"name":"go"}'], event_ids=events)
    return made


def full_run(id: str = "r1") -> Run:
    """A run with something in every column."""
    made = run(id)
    made.status, made.started_at = RunStatus.RUNNING, T0 + 5
    made.cron, made.batch_id, made.original_run_id = "* * * * *", "b1", "r0"
    made.detail = RunDetail(function_version=3, key="k", correlation_id="c", cancelled_by="x", error="é\n\"'")
    made.state = RunState(
        request_version=2, force_plan=True, group=["s1", "s2"], priority=-5, keys=["Fn:h:fn:v"],
        inputs={"s9": Raw(b'[{"n":1}]')}, defers={"d": Defer("after_run", "app-later", Raw(b'{"n":1}'))},
        sync_url="http://x/?a=b", sync_method="POST",
    )  # fmt: skip
    return made


def job(run_id: str = "r1", no: int = 1, **more: object) -> Job:
    return Job(run_id, no, more.pop("kind", JobKind.EDGE), f"j{no}", T0, T0, 5, **more)  # type: ignore[arg-type]


def pause(run_id: str = "r1", no: int = 2, kind: PauseKind = PauseKind.EVENT, **more: object) -> Pause:
    return Pause(run_id, no, kind, T0 + 60, T0, **more)  # type: ignore[arg-type]


def span(**more: object) -> Span:
    return Span("step", SpanStatus.COMPLETED, T0, T0, T0, **more)  # type: ignore[arg-type]


def begin(changes: Changes, made: Run, *items: Job | Pause) -> Changes:
    """A run with its open items."""
    changes.new_runs[made.id] = made
    assert made.body is not None
    changes.event_runs += [(id, made.id) for id in made.body.event_ids]
    for item in items or (job(made.id),):
        put(changes, item)
    return changes


def put(changes: Changes, item: Job | Pause) -> None:
    (changes.jobs if isinstance(item, Job) else changes.pauses)[item.run_id, item.no] = item  # type: ignore[index]


def begun(*ids: str) -> Changes:
    """A turn in which runs began, each by an event of its own."""
    changes = Changes()
    for id in ids:
        changes.events.append(event(f"e-{id}"))
        begin(changes, run(id, (f"e-{id}",)))
    return changes
