"""Conditions and orders of run and event lists.

A page starts behind a place, never after a number of rows: what comes or goes meanwhile shifts and repeats nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from holdfast.protocol.ids import MAX_ULID_MS, ulid
from holdfast.server.model.status import RunStatus
from holdfast.server.store.history import RunOrder, RunTime
from holdfast.server.store.sqlite.search import event_condition, run_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.server.store.history import EventFilter, RunFilter, RunPosition

Parameter = str | int | float

_MAX_ENTROPY: Final = 2**80 - 1


class _Conditions:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self.parameters: list[Parameter] = []

    @property
    def condition(self) -> str:
        """All conditions joined."""
        return " AND ".join(self._texts) or "1"

    def add(self, text: str, *parameters: Parameter) -> None:
        self._texts.append(text)
        self.parameters.extend(parameters)

    def add_choice(self, column: str, values: Iterable[str | int]) -> None:
        if wanted := list(values):
            self.add(f"{column} IN (SELECT value FROM json_each(?))", json.dumps(wanted))  # noqa: S608 - columns are ours


class RunList(_Conditions):
    """A list of runs: `condition`, `order` and their parameters."""

    def __init__(self, where: RunFilter, order: Sequence[RunOrder] = (), after: RunPosition | None = None) -> None:
        super().__init__()
        self._window(where)
        self.add("r.status <> ?", int(RunStatus.SKIPPED))
        self.add("json_extract(r.detail, '$.debug_run_id') IS NULL")
        self.add_choice("r.status", map(int, where.statuses))
        self.add_choice("r.function_id", where.functions)
        self.add_choice("r.app_id", where.apps)
        if where.deferred is not None:
            self.add(f"json_extract(r.detail, '$.deferred_from') IS {'NOT ' if where.deferred else ''}NULL")
        if where.search:
            search = run_condition(where.search)
            self.add(search.text, *search.parameters)
        levels = list(_levels(order))
        self.order = ", ".join(f"{column} {'DESC' if descending else 'ASC'}" for column, descending, _ in levels)
        if after is not None:
            self._after(levels, after)

    def _window(self, where: RunFilter) -> None:
        if where.time is RunTime.QUEUED:
            # A run's id starts with the moment it was scheduled: the window is a range of the primary key.
            self.add("r.id >= ?", _first_id(where.since))
            if where.until is not None:
                self.add("r.id <= ?", _last_id(where.until))
            return
        self.add(f"r.{where.time} >= ?", where.since)
        if where.until is not None:
            self.add(f"r.{where.time} <= ?", where.until)

    def _after(self, levels: list[tuple[str, bool, RunTime | None]], after: RunPosition) -> None:
        """Lexicographic: equal on the first levels, strictly behind on one."""
        ways: list[str] = []
        parameters: list[Parameter] = []
        equal: list[tuple[str, Parameter]] = []
        for column, descending, time in levels:
            value = after.id if time is None else after.times.get(time, 0)
            ways.append(
                " AND ".join([*(f"{known} = ?" for known, _ in equal), f"{column} {'<' if descending else '>'} ?"])
            )
            parameters += [*(known for _, known in equal), value]
            equal.append((column, value))
        self.add(f"({' OR '.join(f'({way})' for way in ways)})", *parameters)


class EventList(_Conditions):
    """A list of events, newest first: `condition` and its parameters."""

    def __init__(self, where: EventFilter, before: str = "") -> None:
        super().__init__()
        if before:
            self.add("e.id < ?", before)
        self.add("e.received_at >= ?", where.since)
        if where.until is not None:
            self.add("e.received_at <= ?", where.until)
        self.add_choice("e.name", where.names)
        if not where.internal:
            self.add("substr(e.name, 1, 8) <> 'inngest/'")
        if where.search:
            search = event_condition(where.search)
            self.add(search.text, *search.parameters)


def _levels(order: Sequence[RunOrder]) -> Iterable[tuple[str, bool, RunTime | None]]:
    for level in order:
        if level.time is RunTime.QUEUED:
            # Ids rise with the time of scheduling and are unique: nothing below this level can matter.
            yield "r.id", level.descending, None
            return
        yield f"ifnull(r.{level.time}, 0)", level.descending, level.time
    yield "r.id", False, None


def _first_id(ms: int) -> str:
    return ulid(min(max(ms, 0), MAX_ULID_MS), 0)


def _last_id(ms: int) -> str:
    return ulid(min(ms, MAX_ULID_MS), _MAX_ENTROPY) if ms >= 0 else ""
