"""Ordered migrations: numbered SQL files, each with its number in one transaction, under a lock of that transaction."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from holdfast.server.store.store import SchemaError

if TYPE_CHECKING:
    from asyncpg import Connection

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('holdfast.migrate.' || $1, 0))"
_PUT_VERSION: Final = """
INSERT INTO {schema}.meta (key, value) VALUES ('schema', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_KNOWN: Final = "SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NOT NULL"


async def migrate(connection: Connection, schema: str) -> None:
    """Bring a schema of a database to this version. Raises SchemaError if it is newer, or somebody else's."""
    if await check_version(connection, schema) == newest():
        return
    async with connection.transaction():
        await connection.execute(_LOCK, schema)
        version = await check_version(connection, schema)
        for number, script in enumerate(_scripts()[version:], version + 1):
            if number == 1 and not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
                await connection.execute(f"CREATE SCHEMA {schema}")
            await connection.execute(script.replace("{schema}", schema))
            await connection.execute(_PUT_VERSION.format(schema=schema), str(number))


async def check_version(connection: Connection, schema: str) -> int:
    """Return the version of a database's schema; 0 if there is none yet.

    Raises:
        SchemaError: It is newer than this program, belongs to another program, or can't hold what is stored.

    """
    if await connection.fetchval("SHOW server_encoding") != "UTF8":
        raise SchemaError(
            "the database's encoding must be UTF8: create another one with `CREATE DATABASE … ENCODING 'UTF8'`"
        )
    known, there = await connection.fetchrow(_KNOWN, f"{schema}.meta", schema) or (False, False)
    if not known:
        if there and await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", schema):
            raise SchemaError(
                f"the schema {schema} belongs to another program, and Holdfast leaves it as it is; choose another name "
                "with --postgres-schema"
            )
        return 0
    version = int(await connection.fetchval(f"SELECT value FROM {schema}.meta WHERE key = 'schema'") or 0)  # noqa: S608 - as above
    if version > newest():
        raise SchemaError(
            f"the schema {schema} has version {version}, but this Holdfast knows only versions up to {newest()}: it "
            "was made by a newer Holdfast; upgrade this one, or use another schema with --postgres-schema"
        )
    return version


def newest() -> int:
    """Return the version of the schema that this program works with."""
    return len(_scripts())


def _scripts() -> list[str]:
    folder = resources.files("holdfast.server.store.postgres.migrations")
    return [f.read_text() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")]
