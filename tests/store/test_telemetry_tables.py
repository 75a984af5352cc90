"""Tables of telemetry: what hangs on an event goes with it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from holdfast.server.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


def test_the_trace_of_an_event_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    SqliteStore(path, "full").close()
    connection = sqlite3.connect(path)
    for id in ("a", "b"):
        connection.execute("INSERT INTO events VALUES (?, 0, 'go', ?, 1, 1, '{}', 0)", (id, id))
        connection.execute("INSERT INTO event_traces VALUES (?, '[]')", (id,))
    connection.execute("DELETE FROM events WHERE id = 'a'")
    assert connection.execute("SELECT event_id FROM event_traces").fetchall() == [("b",)]
    connection.close()
