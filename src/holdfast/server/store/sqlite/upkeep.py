"""Deletions, and what they leave behind: free pages. All within a transaction of the caller's, and within a time."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence

from holdfast.server.store.retention import Group
from holdfast.server.store.sql.statement import Statement
from holdfast.server.store.sqlite.queries import named

_KEPT_PAGES = 1_000  # free pages that the file keeps: new rows take them
_INCREMENTAL = 2  # SQLite's number of that mode of auto_vacuum


def erase(db: sqlite3.Connection, groups: Sequence[Group], until: float) -> tuple[int, Counter[str]]:
    """Carry out groups of deletions, the first in any case; return how many, and how many rows each statement hit."""
    done, rows = 0, Counter[str]()
    for group in groups:
        for write in group:
            assert isinstance(write, Statement)
            rows[write.name] += db.executemany(named(write.name), write.rows).rowcount
        done += 1
        if time.perf_counter() > until:
            break
    return done, rows


def shrink(db: sqlite3.Connection, until: float) -> bool:
    """Moves pages from the end of the file into free ones, which a checkpoint then cuts off; tells if any were."""
    left = _spare_pages(db)
    if left > 0:
        # A row per page. How long one takes depends on how many are free: SQLite looks through their list.
        with contextlib.closing(db.execute(f"PRAGMA incremental_vacuum({left})")) as moved:
            for _ in moved:
                if time.perf_counter() > until:
                    break
    return left > 0


def _spare_pages(db: sqlite3.Connection) -> int:
    """How many free pages are more than the file should keep for what comes next."""
    (free,), (pages,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
    (mode,) = db.execute("PRAGMA auto_vacuum").fetchone()
    spare: int = free - max(_KEPT_PAGES, pages // 10)
    return spare if mode == _INCREMENTAL else 0
