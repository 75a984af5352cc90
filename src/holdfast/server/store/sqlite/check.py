"""Is a database whole? SQLite's own look at its pages, then at whether the rows fit together."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from holdfast.protocol.rawjson import UNREADABLE, decode_raw
from holdfast.server.store.sqlite.faults import fault
from holdfast.server.store.sqlite.migrate import check_version

#: How many findings of an invariant are shown.
SHOWN: Final = 5
#: Tables that a database of an older version lacks: then there is nothing to look at in them.
_NEWER: Final = ("metadata", "event_totals", "run_totals", "deferred_runs", "debug_runs")
_SECTION: Final = re.compile(r"^-- name: (.+)$", re.MULTILINE)


#: Texts that are checked in full, by table: what tells the row, JSON, and texts that needn't be JSON.
_TEXTS: Final = (
    ("events", "id", ("json",), ()),
    ("runs", "id", ("event_ids", "detail", "state"), ("output",)),
    ("steps", "run_id || ' number ' || seq", ("span",), ("output",)),
    ("spans", "run_id || ' number ' || seq", ("span",), ("output",)),
    ("jobs", "run_id || ' number ' || no", ("job",), ()),
    ("pauses", "run_id || ' number ' || no", ("pause",), ()),
    ("functions", "id", ("config",), ()),
    ("flow", "kind || ' ' || key", ("record",), ()),
)


class Finding(msgspec.Struct, frozen=True):
    """One invariant, and what breaks it: how often, and the first few as (what, where)."""

    invariant: str
    count: int
    examples: list[tuple[str, str]]


def check(db: sqlite3.Connection, path: Path, *, full: bool) -> Iterator[Finding]:
    """Looks at one invariant after the other. Raises StoreError.

    With `full`, indexes are compared with their tables as well, and all stored JSON is read.
    """
    try:
        check_version(db)
        db.execute("BEGIN")  # one snapshot: a server may be writing
        yield _pages(db, full=full)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for invariant, query in _invariants():
            if not any(table in query for table in _NEWER if table not in tables):
                yield _look(db, invariant, query)
        if full:
            yield _texts(db)
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


def _texts(db: sqlite3.Connection) -> Finding:
    """SQLite keeps no checksums: a page that was overwritten in the midst of a long value is intact for it."""
    db.create_function("is_text", 1, _is_text, deterministic=True)
    db.create_function("is_json", 1, _is_json, deterministic=True)
    looks = [
        f"SELECT '{table} ' || {row}, '{column}' FROM {table} WHERE NOT {check}(CAST({column} AS BLOB))"  # noqa: S608
        for table, row, *columns in _TEXTS
        for check, names in zip(("is_json", "is_text"), columns, strict=True)
        for column in names
    ]
    return _look(db, "stored values can be read", " UNION ALL ".join(looks))


def _is_text(value: bytes | None) -> bool:
    if value is None:
        return True
    try:
        value.decode()
    except UnicodeError:
        return False
    return b"\0" not in value


def _is_json(value: bytes) -> bool:
    try:
        decode_raw(value)
    except UNREADABLE:
        return False
    return _is_text(value)


def _invariants() -> Iterator[tuple[str, str]]:
    text = resources.files("holdfast.server.store.sqlite").joinpath("sql/check.sql").read_text("utf-8")
    parts = _SECTION.split(text)[1:]
    return zip(parts[::2], parts[1::2], strict=True)
