"""PostgreSQL's readers over what a test writes into a file of SQLite: the same questions must have the same answers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

import databases
from holdfast.server.store.postgres.migrate import migrate
from holdfast.server.store.postgres.readers import PostgresReaders
from holdfast.server.store.postgres.settings import Settings
from holdfast.server.store.sql.reader import Reader

T = TypeVar("T")

_COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = $1 AND table_name NOT IN ('meta', 'nodes', 'partitions') ORDER BY table_name, ordinal_position
"""
_ONE_SCHEMA: list[str] = []
_FILLED: list[str] = []


class Mirror(PostgresReaders):
    """Reads from a copy in PostgreSQL, which is made anew when the file has changed."""

    def __init__(self, path: Path) -> None:
        if not _ONE_SCHEMA:
            _ONE_SCHEMA.append(databases.new_schema())
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._seen = 0
        self._filled = _FILLED
        self._schema = _ONE_SCHEMA[0]
        super().__init__(Settings(databases.uri(), self._schema, most=6))

    async def call(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        self._look()
        return await super().call(work)

    async def search(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        self._look()
        return await super().search(work)

    def _look(self) -> None:
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version != self._seen:
            self._seen = version
            asyncio.run_coroutine_threadsafe(self._copy(), self._loop).result()

    def close(self) -> None:
        super().close()
        self._db.close()

    async def _copy(self) -> None:
        connection = await asyncpg.connect(databases.uri(), statement_cache_size=0)
        try:
            await migrate(connection, self._schema)
            tables: dict[str, dict[str, str]] = {}
            for table, column, kind in await connection.fetch(_COLUMNS, self._schema):
                tables.setdefault(table, {})[column] = kind
            async with connection.transaction():
                if self._filled:
                    await connection.execute(f"TRUNCATE {', '.join(self._filled)}")
                self._filled[:] = [
                    f"{self._schema}.{table}"
                    for table, columns in tables.items()
                    if await self._copy_table(connection, table, columns)
                ]
            for table in self._filled:
                await connection.execute(f"ANALYZE {table}")
        finally:
            await connection.close()

    async def _copy_table(self, connection: Any, table: str, columns: dict[str, str]) -> bool:
        known = {row[1] for row in self._db.execute(f'PRAGMA table_info("{table}")')}
        shared = [column for column in columns if column in known]
        names = ", ".join(f'"{column}"' for column in shared)
        rows = self._db.execute(f'SELECT {names} FROM "{table}"').fetchall()
        more = [column for column in columns if column not in known]
        assert set(more) <= {"partition"}, more
        kinds = [columns[column] for column in shared]
        rest = [0] * len(more)
        records = [(*map(_value, row, kinds), *rest) for row in rows]
        if rows:
            await connection.copy_records_to_table(
                table, schema_name=self._schema, columns=[*shared, *more], records=records
            )
        return bool(rows)


def _value(value: Any, kind: str) -> Any:
    if kind == "boolean":
        return bool(value)
    return value.decode() if isinstance(value, bytes) else value
