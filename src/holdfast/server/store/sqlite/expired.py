"""What retention may delete, as readers find it: in their threads, so that the loop has only to delete.

What they read on the way is in the system's cache afterwards: the loop will not wait for a disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec

from holdfast.server.store.sqlite.queries import named
from holdfast.server.store.store import Value, Write

_decode_ids = msgspec.json.Decoder(list[str]).decode

Arrival = tuple[int, str, int]
"""An event's place in the order of arrival: received at (ms), id, number of the copy."""


class Victims(msgspec.Struct, frozen=True):
    """Ended runs that go, each with its events."""

    runs: list[tuple[str, list[str]]]
    held: set[str]  # events that something still waits with
    bytes: int

    @classmethod
    def find(cls, db: sqlite3.Connection, function_id: str, ended_at: int, id: str, most: int) -> Self:
        """The oldest `most` runs of a function that ended no later than a place: a time and an id."""
        given = {"function": function_id, "ended_at": ended_at, "id": id, "most": most}
        rows: list[tuple[str, str]] = db.execute(named("retention.runs"), given).fetchall()
        runs = [(run, _decode_ids(events)) for run, events in rows]
        events = [event for _, started in runs for event in started]
        held = _held(db, events)  # read after the runs: what is let go of meanwhile has started a run by then
        (size,) = db.execute(named("retention.weight"), {"runs": _json([run for run, _ in runs])}).fetchone()
        return cls(runs, held, int(size) + _weight(db, events))

    @property
    def events(self) -> set[str]:
        """The events that go with the runs, unless other runs keep them."""
        return {event for _, events in self.runs for event in events} - self.held

    def groups(self, together: int) -> Iterator[list[Write]]:
        """The deletions of a few runs at a time, each run whole."""
        for start in range(0, len(self.runs), together):
            part = self.runs[start : start + together]
            ids = [(run,) for run, _ in part]
            links = [(event, run) for run, events in part for event in events]
            yield [
                Write("retention.drop_link", links),
                *(
                    Write(f"retention.{name}", ids)
                    for name in ("drop_steps", "drop_spans", "drop_metadata", "drop_run")
                ),
                Write("retention.drop_event", [(event,) for event, _ in links if event not in self.held]),
            ]


class IdleEvents(msgspec.Struct, frozen=True):
    """Events that started nothing, in the order of their arrival."""

    found: list[tuple[str, int, int]]  # id, number of the copy, received at (ms)
    held: set[str]
    bytes: int

    @classmethod
    def find(cls, db: sqlite3.Connection, after: Arrival, before: int, most: int) -> Self:
        """The first `most` that came after a place, and before a time."""
        given = {"received_at": after[0], "id": after[1], "n": after[2], "before": before, "most": most}
        found: list[tuple[str, int, int]] = db.execute(named("retention.idle_events"), given).fetchall()
        ids = [id for id, _, _ in found]
        return cls(found, _held(db, ids), _weight(db, ids))

    @property
    def copies(self) -> list[tuple[str, int]]:
        """Those that go: id and number."""
        return [(id, n) for id, n, _ in self.found if id not in self.held]

    @property
    def last(self) -> Arrival:
        """The place of the last one."""
        id, n, received_at = self.found[-1]
        return received_at, id, n


def _held(db: sqlite3.Connection, events: Sequence[str]) -> set[str]:
    rows: list[tuple[str]] = db.execute(named("retention.held"), {"events": _json(events)}).fetchall()
    return {id for (id,) in rows}


def _weight(db: sqlite3.Connection, events: Sequence[str]) -> int:
    row: tuple[Value] = db.execute(named("retention.event_weight"), {"events": _json(events)}).fetchone()
    return int(row[0] or 0)


def _json(ids: Sequence[str]) -> str:
    return msgspec.json.encode(ids).decode()
