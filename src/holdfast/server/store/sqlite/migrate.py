"""Ordered migrations: numbered SQL files, applied in order, each with its number in one transaction."""

from __future__ import annotations

import sqlite3
from importlib import resources

from holdfast.server.store.store import SchemaError


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a database to this version's schema. Raises SchemaError if it is newer than that."""
    version = check_version(connection)
    for number, script in enumerate(_scripts()[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def check_version(connection: sqlite3.Connection) -> int:
    """The version of a database's schema. Raises SchemaError if it is newer than this program."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > newest():
        raise SchemaError(
            f"the database has schema version {version}, but this Holdfast knows only versions up to {newest()}: "
            "it was written by a newer Holdfast; upgrade, or use another database file"
        )
    return int(version)


def newest() -> int:
    """The version of the schema that this program works with."""
    return len(_scripts())


def _scripts() -> list[str]:
    folder = resources.files("holdfast.server.store.sqlite.migrations")
    return [f.read_text() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")]
