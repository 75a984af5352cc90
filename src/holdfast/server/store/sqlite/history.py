"""History, read from an SQLite file."""

from __future__ import annotations

from pathlib import Path

from holdfast.server.store.sql.history import SqlHistory
from holdfast.server.store.sqlite.readers import Readers


class SqliteHistory(SqlHistory):
    """`holdfast.server.store.history.History` of a file, or through given readers.

    The file has to exist when the first query comes. Close it to give its connections back.
    """

    def __init__(self, source: str | Path | Readers) -> None:
        super().__init__(source if isinstance(source, Readers) else Readers(source))
