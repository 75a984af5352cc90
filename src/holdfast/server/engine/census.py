"""Counting what is alive, for who asks: a slice of runs at a time, so that the loop is never held up for long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from holdfast.server.engine.run import Run
from holdfast.server.model.job import Job, PauseKind
from holdfast.server.model.status import RunStatus


class Census:
    """Open jobs by state, pauses by kind, runs by status; and the oldest job that is due and not running."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: Counter[str] = Counter(scheduled=0, ready=0, running=0)
        self.pauses: Counter[str] = Counter(dict.fromkeys(map(str, PauseKind), 0))
        self.runs: Counter[str] = Counter(scheduled=0, running=0)
        self.oldest = now  # ms: when the job that waits longest was due

    def count(self, leases: Container[tuple[str, int]], runs: Iterable[Run]) -> None:
        """Add some runs; those that have ended meanwhile have nothing open."""
        now = self.now
        live = running = jobs_later = jobs_running = 0
        for run in runs:
            if run.ended_at is not None:
                continue
            live += 1
            running += run.status is RunStatus.RUNNING
            for item in run.open:
                if not isinstance(item, Job):
                    self.pauses[item.kind] += 1
                elif (item.run_id, item.no) in leases:
                    jobs_running += 1
                elif item.due > now:
                    jobs_later += 1
                else:
                    self.jobs["ready"] += 1
                    self.oldest = min(self.oldest, item.due)
        self.runs.update(running=running, scheduled=live - running)
        self.jobs.update(running=jobs_running, scheduled=jobs_later)
