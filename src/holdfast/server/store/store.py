"""What a store can do. It knows rows, not rules; one contract test suite runs against every store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Body, Run
from holdfast.server.model.app import AppRecord, FunctionRecord


class StoreError(Exception):
    """A commit failed: nothing of it was written, and memory is ahead of the store."""


class DiskFullError(StoreError):
    """There is no room for what is to be written."""


class MissingError(StoreError):
    """What is written would not be found again: the database is no longer the file that is open."""


class SchemaError(Exception):
    """The database can't be used by this version; the text says why and what to do."""


class Recovered(msgspec.Struct):
    """All live state of a partition, as it was committed last."""

    runs: list[Run]  # without bodies
    idempotency: list[tuple[str, int]]  # key, expiry (ms), oldest first
    crons: list[tuple[str, str, int]]  # function id, cron, last tick (ms)
    flow: list[tuple[str, str, bytes]]  # kind, key, record (JSON)


class EndedRun(msgspec.Struct):
    """A run as a rerun needs it: its function, its events and its memoised steps in order."""

    function_id: str
    event_ids: list[str]
    steps: dict[str, bytes]
    cron: str


Value = str | int | float | bytes | None
"""What a column can hold."""


class Write(msgspec.Struct, frozen=True):
    """Rows for a table that no engine owns (accounts, audit, metadata): a statement by its name, with parameters.

    The name is `<file>.<section>`, as stores keep their SQL. It joins the commit of its turn, and would fail it whole:
    only statements that no value can make fail belong here (`INSERT OR REPLACE`, `OR IGNORE`, `UPDATE`, `DELETE`).
    """

    statement: str
    rows: Sequence[tuple[Value, ...]]


class Erased(msgspec.Struct):
    """What one call of `Store.erase` did."""

    groups: int
    rows: dict[str, int]  # by statement
    took_s: float


class Store(Protocol):
    """A durable store of one partition. All calls are synchronous and made on the engine's thread, `sync` excepted."""

    epoch: int
    """How often the store was opened or read anew; rises with each start and reload."""

    def begin_epoch(self) -> None:
        """Counts a start, or a reload."""
        ...

    def commit(self, changes: Changes, writes: Sequence[Write] = ()) -> None:
        """Writes a turn's rows in one transaction. Raises StoreError; then nothing was written."""
        ...

    def erase(self, groups: Sequence[Sequence[Write]], budget_s: float) -> Erased:
        """Executes groups of deletions, each whole, in a transaction of its own, until about `budget_s` is over.

        Tells how many it took. They are durable with the next commit: what is lost is deleted again. Raises StoreError.
        """
        ...

    def shrink(self, budget_s: float) -> bool:
        """Gives free pages back to the disk for about `budget_s`; tells whether there are more to give."""
        ...

    def probe(self) -> None:
        """Raises DiskFullError if the store has no room to work in."""
        ...

    def select(self, statement: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """Reads small tables at a start, by the name of a statement; afterwards there are readers for that."""
        ...

    def sync(self) -> None:
        """Makes what was committed durable, where `commit` leaves that to the caller. May run on any thread."""
        ...

    def recover(self) -> Recovered:
        """Reads all live state. Raises StoreError."""
        ...

    def batch_events(self, batch_id: str) -> list[str]:
        """The ids of the events in a batch that is being filled, in order."""
        ...

    def load_body(self, run_id: str) -> Body:
        """Reads a live run's events and memoised steps."""
        ...

    def load_ended(self, run_id: str) -> EndedRun | None:
        """Reads what a rerun of a run needs."""
        ...

    def load_events(self, ids: Iterable[str]) -> list[tuple[str, str, str, int, int, bytes]]:
        """Reads events by internal id: id, name, external id, ts, received_at, json."""
        ...

    def apps(self) -> list[AppRecord]:
        """All apps, archived ones included."""
        ...

    def functions(self) -> list[FunctionRecord]:
        """All functions, archived ones included."""
        ...

    def save_apps(
        self, apps: Iterable[AppRecord], functions: Iterable[FunctionRecord], removed: Iterable[str] = ()
    ) -> None:
        """Writes apps and functions whole, and deletes the apps of the ids `removed`, in one transaction."""
        ...

    def close(self) -> None:
        """Closes the store; an ephemeral one is gone then."""
        ...
