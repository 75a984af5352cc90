"""How the events of a database lie in its pages: those that earlier versions made take up to three times the room."""

from __future__ import annotations

import sqlite3
from typing import Final

_PARTS: Final = "SELECT type, sql FROM sqlite_schema WHERE tbl_name = 'events' AND sql IS NOT NULL"
_OLD: Final = ") WITHOUT ROWID"
_OLD_INDEX: Final = "ON events (name, id)"
_INDEX: Final = "ON events (name, id, n)"


def renew_events(db: sqlite3.Connection) -> bool:
    """Write all events anew, into a table with rowids, if they have none; tells whether that was done.

    In a transaction of its own. In a table without rowids each row that is longer than a quarter of a page has an
    overflow page for itself.
    """
    parts = db.execute(_PARTS).fetchall()
    table = next(str(sql) for kind, sql in parts if kind == "table")
    if not table.endswith(_OLD):
        return False
    db.execute("PRAGMA legacy_alter_table=ON")  # or triggers that name the missing table would be refused
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(table.removesuffix(_OLD).replace("TABLE events", "TABLE events_anew", 1) + ")")
        db.execute("INSERT INTO events_anew SELECT * FROM events ORDER BY id, n")
        db.execute("DROP TABLE events")
        db.execute("ALTER TABLE events_anew RENAME TO events")
        for kind, sql in parts:
            if kind != "table":
                db.execute(str(sql).replace(_OLD_INDEX, _INDEX))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    finally:
        db.execute("PRAGMA legacy_alter_table=OFF")
    return True
