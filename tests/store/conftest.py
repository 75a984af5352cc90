"""A database file that a test fills, and its reading side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.book import Library
from holdfast.server.store.sql.history import SqlHistory
from holdfast.server.store.sqlite.history import SqliteHistory
from mirror import Mirror


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "a file.db")
    yield library
    library.close()


@pytest.fixture
def history(library: Library, request: pytest.FixtureRequest) -> Iterator[SqlHistory]:
    kind: str = getattr(request, "param", "sqlite")
    history = SqliteHistory(library.path) if kind == "sqlite" else SqlHistory(Mirror(library.path))
    yield history
    history.close()
