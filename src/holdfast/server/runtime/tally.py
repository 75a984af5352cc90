"""Counts of what happened, for `/metrics`: plain numbers, raised where the work is done, read when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

from holdfast.server.engine.changes import Changes, Dispatch
from holdfast.server.engine.run import Run
from holdfast.server.model.job import JobKind
from holdfast.server.model.status import RunStatus

#: Upper bounds of buckets, in seconds.
BOUNDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Times:
    """How long something took, in buckets."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class FunctionCounts:
    """Counts by function id: events that befell runs and calls, and how they ended."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()  # what, function id, status or ""

    def turn(self, changes: Changes) -> None:
        """Count a committed turn's runs and calls."""
        counts = self.counts
        for run in changes.new_runs.values():
            counts["run_scheduled", run.function_id, ""] += 1
        for effect in changes.effects:
            if isinstance(effect, Dispatch):
                job = effect.job
                counts["call_scheduled", effect.run.function_id, ""] += 1
                counts["call_started", effect.run.function_id, ""] += 1  # made in the same turn
                if job.kind is JobKind.START and job.attempt == 0:
                    counts["run_started", effect.run.function_id, ""] += 1


class Tally:
    """What one partition did since the process started."""

    def __init__(self) -> None:
        self.events = 0
        self.scheduled = 0
        self.ended: Counter[RunStatus] = Counter()
        self.calls: Counter[str] = Counter()  # answers by outcome: success, errored (tried again), failed
        self.turns = Times()  # from the decision that there is something to write until it is written
        self.commits = Times()  # the COMMIT alone: mostly the disk
        self.expressions_exceeded = 0  # evaluations that used their budget up
        self.functions: FunctionCounts | None = None  # only if asked for: it costs a little with each call

    def turn(self, changes: Changes, seconds: float, commit_s: float) -> None:
        """Count a committed turn."""
        self.turns.add(seconds)
        self.commits.add(commit_s)
        if changes.events:
            self.events += len(changes.events)
        if changes.new_runs:
            self.scheduled += len(changes.new_runs)
            self._ended(changes.new_runs.values())
        if changes.runs:
            self._ended(changes.runs.values())
        if self.functions is not None:
            self.functions.turn(changes)

    def _ended(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if run.ended_at is not None:
                self.ended[run.status] += 1
                if self.functions is not None:
                    self.functions.counts["run_ended", run.function_id, run.status.name.lower()] += 1

    def answer(self, outcome: str, function_id: str) -> None:
        """Count an app's answer."""
        self.calls[outcome] += 1
        if self.functions is not None:
            self.functions.counts["call_ended", function_id, outcome] += 1
