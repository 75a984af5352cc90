"""What an engine is given at its start: where ids come from, and what the command line decides."""

from __future__ import annotations

from typing import Protocol

import msgspec


class IdSource(Protocol):
    """Mints ULIDs: time and randomness come into the engine with it."""

    def next(self, ms: int) -> str:
        """Return a new id of that moment, greater than all before it."""
        ...


class Settings(msgspec.Struct):
    """What the command line decides of the engine."""

    workers: int = 100  # calls in flight at once
    retry_interval_ms: int = 0  # 0: the back-off table
    step_limits: dict[str, int] = {}  # overrides by function id (test hooks)
    state_limits: dict[str, int] = {}
    cron_catch_up: str = "latest"  # of schedules that don't say: none, latest or all
    cron_catch_ups: dict[str, str] = {}  # of the schedules of some functions, by slug
