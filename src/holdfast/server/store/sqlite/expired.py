"""What retention may delete, as readers find it: in their threads, so that the loop has only to delete.

What they read on the way is in the system's cache afterwards: the loop will not wait for a disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec

from holdfast.protocol.ids import ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.store.sqlite.queries import named
from holdfast.server.store.store import Value, Write

_decode_ids = msgspec.json.Decoder(list[str]).decode

#: The rows of a run of more bytes than this are deleted piece by piece, about as many bytes at a time.
HEAVY = 128 * 1024
_OF_A_RUN = ("drop_steps", "drop_spans", "drop_metadata", "drop_user_spans", "drop_run")

Arrival = tuple[str, int]
"""An event's place in the order of arrival: id, number of the copy."""


class Ended(msgspec.Struct, frozen=True):
    """Ended runs of a status that go: of one function, or of all but some."""

    status: RunStatus
    end: str  # ids are less than this
    before: int  # they ended before this time (ms)
    function: str = ""  # id; all if empty
    excepted: Sequence[str] = ()

    @property
    def query(self) -> str:
        """The name of the statement that finds them."""
        if self.status is RunStatus.SKIPPED:
            return "retention.skipped"
        return "retention.ended" if self.function else "retention.ended_of_many"


class Victims(msgspec.Struct, frozen=True):
    """Ended runs that go, each with its events."""

    runs: list[tuple[str, list[str]]]
    heavy: dict[str, list[list[Write]]]  # deletions of the rows of large runs, piece by piece
    held: set[str]  # events that something still waits with
    bytes: int

    @classmethod
    def find(cls, db: sqlite3.Connection, where: Ended, after: str, most: int) -> Self:
        """The first `most` runs of a kind, in the order of their ids, `after` one."""
        given = {**msgspec.structs.asdict(where), "excepted": _json(where.excepted), "after": after, "most": most}
        rows: list[tuple[str, str]] = db.execute(named(where.query), given).fetchall()
        runs = [(run, _decode_ids(events)) for run, events in rows]
        events = [event for _, started in runs for event in started]
        held = _held(db, events)  # must follow the run query: an event released in between already has its run
        weights: dict[str, int] = dict(
            db.execute(named("retention.weights"), {"runs": _json([run for run, _ in runs])}).fetchall()
        )
        heavy = {run: _pieces(db, run) for run, size in weights.items() if size > HEAVY}
        return cls(runs, heavy, held, sum(weights.values()) + _weight(db, events))

    @property
    def events(self) -> set[str]:
        """The events that go with the runs, unless other runs keep them."""
        return {event for _, events in self.runs for event in events} - self.held

    def groups(self, together: int) -> Iterator[list[Write]]:
        """The deletions of a few runs at a time, each run whole; of a large one, its rows go first."""
        for run, _ in self.runs:
            yield from self.heavy.get(run, ())
        for start in range(0, len(self.runs), together):
            part = self.runs[start : start + together]
            ids = [(run,) for run, _ in part]
            links = [(event, run) for run, events in part for event in events]
            yield [
                Write("retention.drop_link", links),
                *(Write(f"retention.{name}", ids) for name in _OF_A_RUN),
                Write("retention.drop_event", [(event,) for event, _ in links if event not in self.held]),
            ]


class IdleEvents(msgspec.Struct, frozen=True):
    """Events that started nothing, among the next ones in the order of their ids."""

    copies: list[tuple[str, int]]  # id and number of those that go
    last: Arrival | None  # the place of the last one that was looked at; None if that was all
    bytes: int

    @classmethod
    def find(cls, db: sqlite3.Connection, after: Arrival, before: int, most: int) -> Self:
        """Looks at `most` events after a place; those that came before a time (ms) go.

        An id has the time of reception. One that its sender seeded may be passed over, until all are looked at anew.
        """
        given = {"id": after[0], "n": after[1], "end": ulid(before, 0), "most": most}
        rows: list[tuple[str, int, int, int]] = db.execute(named("retention.arrivals"), given).fetchall()
        idle = [(id, n) for id, n, received_at, started in rows if not started and received_at < before]
        ids = [id for id, _ in idle]
        held = _held(db, ids)
        copies = [(id, n) for id, n in idle if id not in held]
        return cls(copies, rows[-1][:2] if len(rows) == most else None, _weight(db, ids))


def _pieces(db: sqlite3.Connection, run: str) -> list[list[Write]]:
    """The deletions of a run's rows, about `HEAVY` bytes at a time."""
    pieces: list[list[Write]] = []
    room = 0
    for statement, seq, size in db.execute(named("retention.rows_of"), {"run": run}):
        if size > room:
            pieces.append([])
            room = HEAVY
        pieces[-1].append(Write(statement, [(run, seq)]))
        room -= size
    return pieces


def _held(db: sqlite3.Connection, events: Sequence[str]) -> set[str]:
    rows: list[tuple[str]] = db.execute(named("retention.held"), {"events": _json(events)}).fetchall()
    return {id for (id,) in rows}


def _weight(db: sqlite3.Connection, events: Sequence[str]) -> int:
    row: tuple[Value] = db.execute(named("retention.event_weight"), {"events": _json(events)}).fetchone()
    return int(row[0] or 0)


def _json(ids: Sequence[str]) -> str:
    return msgspec.json.encode(ids).decode()
