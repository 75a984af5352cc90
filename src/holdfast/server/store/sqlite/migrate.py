"""Ordered migrations: numbered SQL files, applied in order, each with its number in one transaction."""

from __future__ import annotations

import sqlite3
from importlib import resources
from typing import Final

from holdfast.server.store.store import SchemaError

#: Tables that every version of Holdfast's database has.
_OWN: Final = frozenset({"meta", "events", "runs", "event_runs"})
_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
_SHOWN: Final = 5


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a database to this version's schema. Raises SchemaError if it is newer than that."""
    version = check_version(connection)
    for number, script in enumerate(_scripts()[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def check_version(connection: sqlite3.Connection) -> int:
    """Return the version of a database's schema.

    Raises:
        SchemaError: It is newer than this program, or the database belongs to another program.

    """
    _refuse_foreign(connection)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > newest():
        raise SchemaError(
            f"the database has schema version {version}, but this Holdfast knows only versions up to {newest()}: "
            "it was written by a newer Holdfast; upgrade, or use another database file"
        )
    return int(version)


def _refuse_foreign(connection: sqlite3.Connection) -> None:
    tables = {str(name) for (name,) in connection.execute(_TABLES)}
    if tables and not tables >= _OWN:
        shown = ", ".join(sorted(tables)[:_SHOWN]) + (", …" if len(tables) > _SHOWN else "")
        (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
        raise SchemaError(
            f"the database {file} belongs to another program (its tables: {shown}), and Holdfast leaves it as it is; "
            "choose another folder with --sqlite-dir. Data of Inngest's server can't be imported"
        )


def newest() -> int:
    """The version of the schema that this program works with."""
    return len(_scripts())


def _scripts() -> list[str]:
    folder = resources.files("holdfast.server.store.sqlite.migrations")
    return [f.read_text() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")]
