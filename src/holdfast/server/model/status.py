"""Run and span statuses, with the stable numbers that rows and APIs use (`protocol/flow-control.md` §2.5)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RunStatus(IntEnum):
    """Where a run stands. Terminal stays terminal."""

    RUNNING = 0
    COMPLETED = 1
    FAILED = 2
    CANCELLED = 3
    SCHEDULED = 5
    SKIPPED = 7

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to a run in this status."""
        return self in ENDED


ENDED: Final = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED})


class SpanStatus(IntEnum):
    """What a recorded piece of work came to."""

    RUNNING = 2
    WAITING = 3
    SLEEPING = 4
    INVOKING = 5
    COMPLETED = 6
    FAILED = 7
    ERRORED = 8  # a failed attempt that will be tried again
    CANCELLED = 9
    TIMED_OUT = 10
