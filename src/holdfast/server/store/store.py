"""What a store can do. It knows rows, not rules; one contract test suite runs against every store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.app import AppRecord, FunctionRecord

if TYPE_CHECKING:
    from holdfast.server.store.records import Records, Sink

T = TypeVar("T")


class StoreError(Exception):
    """A commit failed: nothing of it was written, and memory is ahead of the store."""


class DiskFullError(StoreError):
    """There is no room for what is to be written."""


class MissingError(StoreError):
    """What is written would not be found again: the database is no longer the file that is open."""


class SchemaError(Exception):
    """The database can't be used by this version; the text says why and what to do."""


EventRow = tuple[str, str, str, int, int, bytes]
"""An event: id, name, external id, ts, received_at, json."""

Needs = Callable[[str, bytes], Iterable[str]]
"""Tells which events a flow-control record (kind, JSON) needs, besides those of its batch: their ids."""


def needs_none(_kind: str, _record: bytes) -> Iterable[str]:
    """Need no events."""
    return ()


class Recovered(msgspec.Struct):
    """All live state of a partition, as it was committed last."""

    runs: list[Run]  # without bodies
    idempotency: list[tuple[str, int]]  # key, expiry (ms), oldest first
    crons: list[tuple[str, str, int]]  # function id, cron, last tick (ms)
    flow: list[tuple[str, str, bytes]]  # kind, key, record (JSON)
    batches: dict[str, list[str]] = {}  # batches that are being filled: the ids of their events, in order
    events: list[EventRow] = []  # those of batches, and those that records need
    traces: dict[str, str] = {}  # that those events came with (JSON), by their ids


class EndedRun(msgspec.Struct):
    """A run as a rerun needs it: its function, its events and its memoised steps in order."""

    function_id: str
    event_ids: list[str]
    steps: dict[str, bytes]
    cron: str


class Write(msgspec.Struct, frozen=True):
    """Rows of tables that no engine owns, as a store's own records make them; they join the commit of their turn.

    Opaque to everyone but that store.
    """


async def settled(pending: Awaitable[T] | T) -> T:
    """Return a result that is there at once, or wait for it."""
    if isinstance(pending, Awaitable):
        return await cast("Awaitable[T]", pending)
    return pending


class Store(Protocol):
    """The writer of one partition. Called on the engine's thread only.

    What may wait for a network returns its result, or an awaitable of it (`settled`): with a store on this machine no
    task and no turn of the event loop is spent (docs/adr/0022).
    """

    epoch: int
    """How often the store was opened or read anew; rises with each start and reload."""

    commit_s: float
    """How long the last commit waited for the disk, in seconds; its statements apart."""

    @property
    def deferred(self) -> bool:
        """Whether commits are durable later than they return."""
        ...

    @property
    def log_pages(self) -> int:
        """How much is written and not yet in its place, in pages; 0 for a store without a log of its own."""
        ...

    def begin_epoch(self) -> Awaitable[None] | None:
        """Count a start, or a reload. Raises StoreError."""
        ...

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> Awaitable[None] | None:
        """Write a turn's rows in one transaction.

        Return None if they are durable, else an awaitable: they are once it is done. No other commit follows before.
        Raises StoreError, here or there: what was written is then unknown, until `recover` tells.
        """
        ...

    def upkeep(self) -> Awaitable[None] | None:
        """Do what no commit may come between; called after each turn. Return None if there is nothing to wait for."""
        ...

    def records(self, sink: Sink) -> Records:
        """Return the rows that no engine owns; what changes them goes to `sink`."""
        ...

    def probe(self) -> None:
        """Raise DiskFullError if the store has no room to work in."""
        ...

    def recover(self, needs: Needs = needs_none) -> Awaitable[Recovered] | Recovered:
        """Read all live state, with the events that its records need. Raises StoreError."""
        ...

    def load_body(self, run_id: str) -> Awaitable[Body] | Body:
        """Read a live run's events and memoised steps. Raises StoreError."""
        ...

    def load_ended(self, run_id: str) -> Awaitable[EndedRun | None] | EndedRun | None:
        """Read what a rerun of a run needs. Raises StoreError."""
        ...

    def load_events(self, ids: Iterable[str]) -> Awaitable[list[EventRow]] | list[EventRow]:
        """Read events by internal id, in the order asked for. Raises StoreError."""
        ...

    def apps(self) -> list[AppRecord]:
        """Return all apps, archived ones included, as read last: when the store was opened, or recovered."""
        ...

    def functions(self) -> list[FunctionRecord]:
        """Return all functions, as `apps`."""
        ...

    def save_apps(
        self, apps: Iterable[AppRecord], functions: Iterable[FunctionRecord], removed: Iterable[str] = ()
    ) -> Sequence[Write]:
        """Write apps and functions whole, and delete the apps of the ids `removed`, in one transaction.

        Return what the next commit has to write for that; nothing if it is done. Raises StoreError.
        """
        ...

    def close(self) -> Awaitable[None] | None:
        """Close the store; an ephemeral one is gone then."""
        ...
