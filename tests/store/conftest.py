"""A database file that a test fills, and its reading side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.book import Library
from holdfast.server.store.sqlite.history import SqliteHistory


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "a file.db")
    yield library
    library.close()


@pytest.fixture
def history(library: Library) -> Iterator[SqliteHistory]:
    history = SqliteHistory(library.path)
    yield history
    history.close()
