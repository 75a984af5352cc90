from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.server.store.sqlite import lock
from holdfast.server.store.store import StoreError


def test_a_database_is_for_one_server_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "main.db"
    held = lock.hold(path)
    with pytest.raises(StoreError, match="in use by another Holdfast"):
        lock.hold(path)
    os.close(held)
    os.close(lock.hold(path))


def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't use the database"):
        lock.hold(tmp_path / "file" / "main.db")
