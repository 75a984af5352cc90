"""What retention may delete, as readers find it: in their threads, so that the loop has only to delete.

What they read on the way is in the system's cache afterwards: the loop will not wait for a disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from holdfast.protocol.ids import ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.store.retention import Arrival, Ended, Erased, Found, Group, IdleEvents
from holdfast.server.store.sql.reader import Reader, Readers
from holdfast.server.store.sql.statement import Statement, Value

_decode_ids = msgspec.json.Decoder(list[str]).decode

#: The rows of a run of more bytes than this are deleted piece by piece, about as many bytes at a time.
HEAVY = 128 * 1024
#: How many runs are deleted between two looks at the clock, and how many small rows.
RUNS_TOGETHER, ROWS_TOGETHER = 4, 16
_OF_A_RUN = ("drop_steps", "drop_spans", "drop_metadata", "drop_user_spans", "drop_run")

Rows = Sequence[tuple[Value, ...]]


class Eraser(Protocol):
    """The writer, as far as it deletes (`holdfast.server.store.retention.Expiry`)."""

    def erase(self, groups: Sequence[Group], budget_s: float) -> Erased | Awaitable[Erased]: ...  # noqa: D102

    def shrink(self, budget_s: float) -> bool: ...  # noqa: D102

    @property
    def settled(self) -> bool: ...  # noqa: D102

    def settle(self) -> None: ...  # noqa: D102


class SqlExpiry:
    """`holdfast.server.store.retention.Expiry`: readers find, the writer deletes."""

    def __init__(self, store: Eraser, readers: Readers) -> None:
        self._store = store
        self._readers = readers

    async def functions(self) -> list[tuple[str, str]]:
        """Return ids and slugs of all functions."""
        return [(str(id), str(slug)) for id, slug in await self._select("functions")]

    async def newest(self, function_id: str, keep: int) -> str | None:
        """Return the id of the newest ended run of a function that is one too many."""
        rows = await self._select("newest", function=function_id, keep=keep)
        return str(rows[0][0]) if rows else None

    async def ended(self, where: Ended, after: str, most: int) -> Found:
        """Find the first `most` runs of a kind, in the order of their ids, `after` one, and their events."""
        return await self._readers.call(partial(_ended, where=where, after=after, most=most))

    async def idle_events(self, after: Arrival, before: int, most: int) -> IdleEvents:
        """Look at `most` events after a place; those that came before a time (ms) and started nothing go.

        An id has the time of reception. One that its sender seeded may be passed over, until all are looked at anew.
        """
        return await self._readers.call(partial(_idle_events, after=after, before=before, most=most))

    async def expired_keys(self, now: int, most: int) -> Sequence[Group]:
        """Find idempotency keys whose time is over."""
        return _groups("drop_key", [(key, now) for (key,) in await self._select("expired_keys", now=now, most=most)])

    async def empty_totals(self) -> Sequence[Group]:
        """Find totals that count nothing any more."""
        runs = _groups("drop_run_total", await self._select("empty_run_totals"))
        return runs + _groups("drop_event_total", await self._select("empty_event_totals"))

    async def idle_functions(self, before: int) -> Sequence[Group]:
        """Find functions without runs that were archived before a time (ms)."""
        found = await self._select("idle_functions", before=before)
        return _groups("drop_function", found) + _groups("drop_crons", found)

    async def idle_apps(self, before: int) -> Sequence[Group]:
        """Find apps without functions that were archived before a time (ms)."""
        return _groups("drop_app", await self._select("idle_apps", before=before))

    async def old_audit(self, before: int, most: int) -> Sequence[Group]:
        """Find entries of the audit log that are older than a time (ms)."""
        return _groups("drop_audit", await self._select("old_audit", before=before, most=most))

    def erase(self, groups: Sequence[Group], budget_s: float) -> Erased | Awaitable[Erased]:
        """Carry out deletions until about `budget_s` is over."""
        return self._store.erase(groups, budget_s)

    def shrink(self, budget_s: float) -> bool:
        """Give free pages back to the disk for about `budget_s`."""
        return self._store.shrink(budget_s)

    @property
    def settled(self) -> bool:
        """Whether no checkpoint is under way."""
        return self._store.settled

    def settle(self) -> None:
        """Begin to move the write-ahead log on if it is long."""
        self._store.settle()

    async def _select(self, query: str, **parameters: Any) -> Rows:
        return await self._readers.call(lambda db: db.select(f"retention.{query}", parameters))


async def _ended(db: Reader, where: Ended, after: str, most: int) -> Found:
    given = {**msgspec.structs.asdict(where), "excepted": list(where.excepted), "after": after, "most": most}
    rows = await db.select(_query(where), given)
    runs = [(run, _decode_ids(events)) for run, events in rows]
    events = [event for _, started in runs for event in started]
    held = await _held(db, events)  # after the query of runs: an event that is released in between has its run by then
    weights: dict[str, int] = dict(await db.select("retention.weights", {"runs": [run for run, _ in runs]}))
    heavy = [piece for run, size in weights.items() if size > HEAVY for piece in await _pieces(db, run)]
    return Found(
        [*heavy, *_run_groups(runs, held)], set(events) - held, sum(weights.values()) + await _weight(db, events),
        runs[-1][0] if len(runs) == most else None,
    )  # fmt: skip


def _query(where: Ended) -> str:
    if where.status is RunStatus.SKIPPED:
        return "retention.skipped"
    return "retention.ended" if where.function else "retention.ended_of_many"


def _run_groups(runs: Sequence[tuple[str, list[str]]], held: set[str]) -> Iterator[Group]:
    """The deletions of a few runs at a time, each run whole, with the events that nothing else holds."""
    for start in range(0, len(runs), RUNS_TOGETHER):
        part = runs[start : start + RUNS_TOGETHER]
        ids = [(run,) for run, _ in part]
        links = [(event, run) for run, events in part for event in events]
        yield [
            Statement("retention.drop_link", links),
            *(Statement(f"retention.{name}", ids) for name in _OF_A_RUN),
            Statement("retention.drop_event", [(event,) for event, _ in links if event not in held]),
        ]


async def _pieces(db: Reader, run: str) -> list[Group]:
    """The deletions of a large run's rows, about `HEAVY` bytes at a time."""
    pieces: list[list[Statement]] = []
    room = 0
    for statement, seq, size in await db.select("retention.rows_of", {"run": run}):
        if size > room:
            pieces.append([])
            room = HEAVY
        pieces[-1].append(Statement(statement, [(run, seq)]))
        room -= size
    return list[Group](pieces)


async def _idle_events(db: Reader, after: Arrival, before: int, most: int) -> IdleEvents:
    given = {"id": after[0], "n": after[1], "end": ulid(before, 0), "most": most}
    rows = await db.select("retention.arrivals", given)
    idle = [(id, n) for id, n, received_at, started in rows if not started and received_at < before]
    ids = [id for id, _ in idle]
    held = await _held(db, ids)
    copies = [(id, n) for id, n in idle if id not in held]
    last = (rows[-1][0], rows[-1][1]) if len(rows) == most else None
    return IdleEvents(_groups("drop_copy", copies), {id for id, _ in copies}, await _weight(db, ids), last)


async def _held(db: Reader, events: Sequence[str]) -> set[str]:
    return {id for (id,) in await db.select("retention.held", {"events": list(events)})}


async def _weight(db: Reader, events: Sequence[str]) -> int:
    [(size,)] = await db.select("retention.event_weight", {"events": list(events)})
    return int(size or 0)


def _groups(statement: str, rows: Rows) -> list[Group]:
    return [
        [Statement(f"retention.{statement}", rows[start : start + ROWS_TOGETHER])]
        for start in range(0, len(rows), ROWS_TOGETHER)
    ]
