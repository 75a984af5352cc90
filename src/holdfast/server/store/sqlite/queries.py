"""The named queries of SQLite."""

from __future__ import annotations

from typing import Final

from holdfast.server.store.sql.queries import read_queries

_PACKAGE: Final = "holdfast.server.store.sqlite"


def named(statement: str) -> str:
    """A statement by its name, `<file>.<section>`."""
    file, _, section = statement.partition(".")
    return load_queries(file)[section]


def load_queries(name: str) -> dict[str, str]:
    """Read the sections of `sql/<name>.sql`."""
    return read_queries(_PACKAGE, name)
