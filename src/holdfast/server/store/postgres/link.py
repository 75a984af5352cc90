"""Connections to PostgreSQL: one that commits, and a few that read.

Nothing is kept in a session, and no statement is prepared by name: a pooler in transaction mode may be in between. What
reads does so in a transaction, so that all its parts reach the same server process.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from holdfast.server.store.postgres.faults import ERRORS, fault
from holdfast.server.store.postgres.queries import named, plain
from holdfast.server.store.postgres.settings import Settings
from holdfast.server.store.store import SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection, Pool, Record

    AnyConnection: TypeAlias = Connection[Record]
    AnyPool: TypeAlias = Pool[Record]

Row: TypeAlias = tuple[Any, ...]


async def connect(settings: Settings) -> AnyConnection:
    """Open a connection. Raises StoreError."""
    try:
        return await asyncpg.connect(settings.uri, timeout=settings.connect_s, statement_cache_size=0)
    except (*ERRORS, ValueError) as error:
        raise fault(settings.uri, error) from error


class Readers:
    """A few connections for reading, made when they are needed, of one event loop."""

    def __init__(self, settings: Settings, most: int) -> None:
        self._settings = settings
        self._most = most
        self._pool: AnyPool | None = None

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        """Read in one transaction, all of whose queries see one state of the database. Raises StoreError."""
        try:
            async with (
                (await self._ready()).acquire(timeout=self._settings.connect_s) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield Snapshot(connection, self._settings.schema)
        except ERRORS as error:
            raise fault(self._settings.uri, error) from error

    async def do(self, statement: str, *values: object) -> list[Row]:
        """Execute a statement by its name, in a transaction of its own; return its rows. Raises StoreError."""
        try:
            async with (
                (await self._ready()).acquire(timeout=self._settings.connect_s) as connection,
                connection.transaction(),
            ):
                return await Snapshot(connection, self._settings.schema).select(statement, *values)
        except ERRORS as error:
            raise fault(self._settings.uri, error) from error

    async def _ready(self) -> AnyPool:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._settings.uri, min_size=0, max_size=self._most, timeout=self._settings.connect_s,
                max_inactive_connection_lifetime=self._settings.idle_s, statement_cache_size=0, reset=_keep,
            )  # fmt: skip
            await self._pool
        return self._pool

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.terminate()


async def _keep(_connection: object) -> None:
    """Leave a connection as it is: nothing was kept in its session."""


class Snapshot:
    """A transaction that reads."""

    def __init__(self, connection: Any, schema: str) -> None:
        self.connection: AnyConnection = connection
        self._schema = schema

    async def select(self, statement: str, *values: object) -> list[Row]:
        """Return the rows of a query, by its name `<file>.<section>`."""
        return await self.rows(named(statement), values)

    async def rows(self, text: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a query."""
        given = [plain(value) if isinstance(value, str) else value for value in values]
        found = await self.connection.fetch(text.replace("{schema}", self._schema), *given)
        return [tuple(row) for row in found]


__all__ = ["Readers", "Row", "SchemaError", "Snapshot", "connect"]
