"""Counting what is alive, for who asks: a slice of runs at a time, so that the loop is never held up for long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from holdfast.server.engine.core import Core
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, PauseKind


class Census:
    """Open jobs by state, pauses by kind, runs by status; and the oldest job that is due and not running."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: Counter[str] = Counter(scheduled=0, ready=0, running=0)
        self.pauses: Counter[str] = Counter(dict.fromkeys(map(str, PauseKind), 0))
        self.runs: Counter[str] = Counter(scheduled=0, running=0)
        self.oldest = now  # ms: when the job that waits longest was due

    def count(self, core: Core, runs: Iterable[Run]) -> None:
        """Adds some runs; those that have ended meanwhile have nothing open."""
        leases, now = core.queue.leases, self.now
        for run in runs:
            if run.ended_at is not None:
                continue
            self.runs[run.status.name.lower()] += 1
            for item in run.open:
                if not isinstance(item, Job):
                    self.pauses[item.kind] += 1
                elif (item.run_id, item.no) in leases:
                    self.jobs["running"] += 1
                elif item.due > now:
                    self.jobs["scheduled"] += 1
                else:
                    self.jobs["ready"] += 1
                    self.oldest = min(self.oldest, item.due)
