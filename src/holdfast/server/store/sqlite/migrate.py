"""Ordered migrations: numbered SQL files, applied in order, each with its number in one transaction."""

from __future__ import annotations

import sqlite3
from importlib import resources

from holdfast.server.store.store import SchemaError


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a database to this version's schema. Raises SchemaError if it is newer than that."""
    scripts = _scripts()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        raise SchemaError(
            f"the database has schema version {version}, but this Holdfast knows only versions up to {len(scripts)}: "
            "it was written by a newer Holdfast; upgrade, or use another database file"
        )
    for number, script in enumerate(scripts[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _scripts() -> list[str]:
    folder = resources.files("holdfast.server.store.sqlite.migrations")
    return [f.read_text() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")]
