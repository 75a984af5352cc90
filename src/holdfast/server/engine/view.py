"""What may be asked of an engine: questions that change nothing, in the words of the model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from holdfast.server.engine import why
from holdfast.server.engine.backlog import backlog
from holdfast.server.engine.census import Census
from holdfast.server.engine.core import Core
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.registry import Function
from holdfast.server.engine.run import Run
from holdfast.server.engine.why_event import Asked, why_event
from holdfast.server.model.backlog import Backlog
from holdfast.server.model.cancellation import BulkCancellation
from holdfast.server.model.job import Job
from holdfast.server.model.reason import Reason


class View:
    """Reads an engine's state. What it returns belongs to the engine: look at it, and change nothing.

    Valid until the next `await`: a reload replaces the engine.
    """

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- runs and functions -----------------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """How many runs are alive."""
        return len(self._core.runs)

    def unfinished(self, event_id: str) -> bool:
        """Return whether something is left to do of an event."""
        return event_id in self._core.fanouts

    def alive(self, run_id: str) -> bool:
        """Return whether a run is alive."""
        return run_id in self._core.runs

    def run(self, run_id: str) -> Run | None:
        """Return a live run, whose body may be parked."""
        return self._core.runs.get(run_id)

    def runs(self) -> list[Run]:
        """Return all live runs."""
        return list(self._core.runs.values())

    @property
    def functions(self) -> Mapping[str, Function]:
        """The functions that can run, by id."""
        return self._core.registry.functions

    def listeners(self, event: str) -> tuple[str, ...]:
        """The slugs of the functions that an event of this name may start."""
        return tuple(item.function.slug for item in self._core.registry.listeners(event))

    def awaited(self, event: str) -> bool:
        """Return whether a run waits for events of this name, or would be cancelled by one."""
        return self._core.waits.listens(event)

    def capacity(self, app_id: str) -> int | None:
        """Return how many calls at once the workers of an app take; None for an app without that limit."""
        return self._core.capacities.get(app_id)

    def started_before(self, key: str, now: int) -> bool:
        """Return whether an idempotency key was used within its period."""
        return self._core.seen.holds(key, now)

    def open_jobs(self, function_id: str) -> int:
        """Return how many jobs of a function's runs are open."""
        runs = self._core.runs.values()
        return sum(isinstance(item, Job) for run in runs if run.function_id == function_id for item in run.open)

    def rerun_events(self) -> set[str]:
        """Events that runs of this turn are about to be stored with."""
        return {event_id for event_id, _ in self._core.changes.event_runs}

    # --- operations -------------------------------------------------------------------------------------------------

    def paused(self, function_id: str) -> tuple[Mode, int] | None:
        """Return how a function is paused, and how many runs wait for its resumption; None if it is not paused."""
        pausing = self._core.pausing
        mode = pausing.modes.get(function_id)
        return (mode, len(pausing.held.get(function_id, ()))) if mode is not None else None

    def cancellations(self) -> Sequence[BulkCancellation]:
        """Return all bulk cancellations, newest first."""
        records = self._core.bulk.records
        return [records[id] for id in sorted(records, reverse=True)]

    # --- why --------------------------------------------------------------------------------------------------------

    def why(self, run_ids: Iterable[str], now: int) -> dict[str, list[Reason]]:
        """Return what each of these runs is doing or waiting for; those that are not alive are left out."""
        runs = self._core.runs
        return why.explain(self._core, [runs[id] for id in run_ids if id in runs], now)

    def glance(self, run_id: str, now: int) -> Reason | None:
        """Return what a live run does, or waits for first, at the cost of this run alone; None if it is not alive."""
        run = self._core.runs.get(run_id)
        return why.glance(self._core, run, now) if run is not None else None

    def why_event(self, event: Asked, started: Collection[str], now: int) -> list[Reason]:
        """What holds an event back, and why listeners that are not among `started` (function ids) have not started."""
        return why_event(self._core, event, started, now)

    def backlog(self, function_id: str, now: int) -> Backlog | None:
        """Return what waits of a function, and how far its limits are used up; None if it is not registered."""
        function = self._core.registry.functions.get(function_id)
        return backlog(self._core, function, now) if function is not None else None

    # --- figures ----------------------------------------------------------------------------------------------------

    def count(self, census: Census, runs: Iterable[Run]) -> None:
        """Add some runs to a census."""
        census.count(self._core.queue.leases, runs)

    def gauges(self) -> Gauges:
        """Plain numbers of the queue, the waits and flow control."""
        core = self._core
        return Gauges(
            functions=len(core.registry.functions), timers=len(core.queue.timers),
            next_due=core.queue.timers.next_due(), workers=core.settings.workers, free=core.queue.slots.free,
            waiting=len(core.queue.slots), leases=len(core.queue.leases), debounces=len(core.debounces.pending),
            batches=len(core.batches.filling), cancellations=len(core.bulk.records),
            held_by_pauses=sum(map(len, core.pausing.held.values())), held_by_keys=core.queue.keys.waiting(),
            paused={id: mode.value for id, mode in core.pausing.modes.items()}, capacities=dict(core.capacities),
        )  # fmt: skip

    def held_keys(self) -> list[tuple[int, str]]:
        """Concurrency keys with how many hold each, most first."""
        return sorted(((n, key) for key, n in self._core.queue.keys.held.items()), reverse=True)

    def blocked_keys(self) -> list[tuple[int, str]]:
        """Concurrency keys with how many entries wait for each, most first."""
        return sorted(((len(entries), key) for key, entries in self._core.queue.keys.blocked()), reverse=True)


class Gauges(msgspec.Struct, frozen=True):
    """The engine in numbers: `next_due` in ms since the epoch, `free` idle workers, `waiting` entries in line."""

    functions: int
    timers: int
    next_due: int | None
    workers: int
    free: int
    waiting: int
    leases: int
    debounces: int
    batches: int
    cancellations: int
    held_by_pauses: int
    held_by_keys: int
    paused: dict[str, str]
    capacities: dict[str, int]
