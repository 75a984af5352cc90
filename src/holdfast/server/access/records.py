"""How access keeps its rows: written with the turn's commit, read whole at a start."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from holdfast.protocol.ids import UlidSource
from holdfast.server.engine.changes import Changes
from holdfast.server.store.store import Store, Value, Write

T = TypeVar("T", bound=msgspec.Struct)


class Records(Protocol):
    """Where rows go: a partition, or a store that no server runs over."""

    def write(self, statement: str, *rows: tuple[Value, ...]) -> None:
        """Adds rows to the next commit."""
        ...

    async def committed(self) -> None:
        """Waits until they are durable. Raises StoreError if they were not written."""
        ...


class Watched:
    """Rows that somebody wants to know of once they are durable, and what they are about has changed in memory."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.on_change: Callable[[], object] = lambda: None

    def write(self, statement: str, *rows: tuple[Value, ...]) -> None:
        """Add rows to the next commit."""
        self._records.write(statement, *rows)

    async def committed(self) -> None:
        """Wait until they are durable. Raises StoreError if they were not written."""
        await self._records.committed()
        asyncio.get_running_loop().call_soon(self.changed)  # whoever waits here changes its memory first

    def changed(self) -> None:
        """Tell of it."""
        self.on_change()


class Select(Protocol):
    """Where rows come from at a start: `Store.select`."""

    def __call__(self, statement: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """The rows of a statement."""
        ...


class StoreRecords:
    """Rows of a store that no server runs over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes: list[Write] = []

    def write(self, statement: str, *rows: tuple[Value, ...]) -> None:
        """Adds rows to the next commit."""
        self._writes.append(Write(statement, rows))

    async def committed(self) -> None:
        """Commits them. Raises StoreError."""
        writes, self._writes = self._writes, []
        if writes:
            self._store.commit(Changes(), writes)


def new_ids() -> UlidSource:
    """Where ids are from."""
    return UlidSource(secrets.randbits)


def load(select: Select, statement: str, kind: type[T]) -> list[T]:
    """The rows of a statement as structs whose fields are its columns, in order."""
    return [read(row, kind) for row in select(statement)]


def read(row: tuple[Value, ...], kind: type[T]) -> T:
    """A row as a struct whose fields are its columns, in order."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)


def row(record: msgspec.Struct) -> tuple[Value, ...]:
    """A struct of plain values as a row."""
    return msgspec.structs.astuple(record)


def digest(secret: str) -> str:
    """What is stored of a random secret: its SHA-256, in hex. No salt: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
