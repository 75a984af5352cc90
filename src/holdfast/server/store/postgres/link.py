"""Connections to PostgreSQL: one that commits, and a few that read.

Nothing is kept in a session, and no statement is prepared by name: a pooler in transaction mode may be in between. What
reads does so in a transaction, so that all its parts reach the same server process.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import asyncpg

from holdfast.server.store.postgres.dialect import PostgresDialect
from holdfast.server.store.postgres.faults import ERRORS, fault
from holdfast.server.store.postgres.queries import named, plain, translate
from holdfast.server.store.postgres.settings import Settings
from holdfast.server.store.sql.rows import Row

if TYPE_CHECKING:
    from asyncpg import Connection, Pool, Record

    from holdfast.server.store.sql.reader import Dialect, Parameter, Parameters

    AnyConnection: TypeAlias = Connection[Record]
    AnyPool: TypeAlias = Pool[Record]

_PREFETCH: Final = 20


async def connect(settings: Settings) -> AnyConnection:
    """Open a connection. Raises StoreError."""
    try:
        return await asyncpg.connect(settings.uri, timeout=settings.connect_s, statement_cache_size=0)
    except (*ERRORS, ValueError) as error:
        raise fault(settings.uri, error) from error


class Link:
    """A few connections, made when they are needed, of one event loop."""

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

    async def do(self, statement: str, *values: Parameter) -> list[Row]:
        """Execute a statement by its name, in a transaction of its own; return its rows. Raises StoreError."""
        try:
            async with (
                (await self._ready()).acquire(timeout=self._settings.connect_s) as connection,
                connection.transaction(),
            ):
                return await Snapshot(connection, self._settings.schema).select(statement, values)
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

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AnyConnection]:
        """Write in one transaction. Raises StoreError."""
        try:
            async with (
                (await self._ready()).acquire(timeout=self._settings.connect_s) as connection,
                connection.transaction(),
            ):
                yield cast("AnyConnection", connection)
        except ERRORS as error:
            raise fault(self._settings.uri, error) from error

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.terminate()


async def _keep(_connection: object) -> None:
    """Leave a connection as it is: nothing was kept in its session."""


class Snapshot:
    """A transaction that reads (`holdfast.server.store.sql.reader.Reader`)."""

    dialect: Dialect = PostgresDialect()

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection: AnyConnection = connection
        self._schema = schema

    def named(self, statement: str) -> str:
        """Return a statement by its name, `<file>.<section>`."""
        return named(statement)

    async def select(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query, by its name."""
        return await self.rows(named(statement), parameters)

    async def rows(self, text: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query."""
        text, names = translate(text, self._schema)
        return [tuple(row) for row in await self._connection.fetch(text, *_given(names, parameters))]

    async def each(self, statement: str, parameters: Parameters) -> AsyncGenerator[Row]:
        """Yield the rows of a query one by one, a few at a time from the server."""
        text, names = translate(named(statement), self._schema)
        async for row in self._connection.cursor(text, *_given(names, parameters), prefetch=_PREFETCH):
            yield tuple(row)


def _given(names: Sequence[str], parameters: Parameters) -> Iterator[object]:
    values: Iterable[object] = (parameters[name] for name in names) if isinstance(parameters, Mapping) else parameters
    return map(_value, values)


def _value(value: object) -> object:
    if isinstance(value, str):
        return plain(value)
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value
