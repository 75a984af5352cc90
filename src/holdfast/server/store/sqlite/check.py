"""Is a database whole? SQLite's own look at its pages, then at whether the rows fit together."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.migrate import check_version

#: How many findings of an invariant are shown.
SHOWN: Final = 5
#: Tables that a database of an older version lacks: then there is nothing to look at in them.
_NEWER: Final = ("metadata", "event_totals", "run_totals", "deferred_runs", "debug_runs")
_SECTION: Final = re.compile(r"^-- name: (.+)$", re.MULTILINE)


class Finding(msgspec.Struct, frozen=True):
    """One invariant, and what breaks it: how often, and the first few as (what, where)."""

    invariant: str
    count: int
    examples: list[tuple[str, str]]


def check(db: sqlite3.Connection, path: Path, *, full: bool) -> Iterator[Finding]:
    """Looks at one invariant after the other; `full` compares indexes with their tables as well. Raises StoreError."""
    try:
        check_version(db)
        db.execute("BEGIN")  # one snapshot: a server may be writing
        yield _pages(db, full=full)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for invariant, query in _invariants():
            if not any(table in query for table in _NEWER if table not in tables):
                yield _look(db, invariant, query)
        db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise fault(path, error) from error


def _pages(db: sqlite3.Connection, *, full: bool) -> Finding:
    pragma = "integrity_check" if full else "quick_check"
    damage = [text for (text,) in db.execute(f"PRAGMA {pragma}") if text != "ok"]
    return Finding("pages are intact", len(damage), [("SQLite", text) for text in damage[:SHOWN]])


def _look(db: sqlite3.Connection, invariant: str, query: str) -> Finding:
    count, examples = 0, list[tuple[str, str]]()
    for what, where in db.execute(query):
        count += 1
        if count <= SHOWN:
            examples.append((what, where))
    return Finding(invariant, count, examples)


def _invariants() -> Iterator[tuple[str, str]]:
    text = resources.files("holdfast.server.store.sqlite").joinpath("sql/check.sql").read_text("utf-8")
    parts = _SECTION.split(text)[1:]
    return zip(parts[::2], parts[1::2], strict=True)
