"""Paused functions: what is running goes on, new runs wait in the queue or are skipped, by choice."""

from __future__ import annotations

from enum import StrEnum

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.queue import Entry
from holdfast.server.model.job import Job

KIND = "paused"


class Mode(StrEnum):
    """What becomes of runs that would start while their function is paused."""

    QUEUE = "queue"
    SKIP = "skip"


class Pausing:
    """Paused functions, and the first jobs that wait for each to be resumed."""

    __slots__ = ("held", "modes")

    def __init__(self) -> None:
        self.modes: dict[str, Mode] = {}
        self.held: dict[str, dict[tuple[str, int], Entry]] = {}

    def pause(self, function_id: str, mode: Mode, changes: Changes) -> None:
        """Pause a function, or change what becomes of its new runs."""
        self.modes[function_id] = mode
        changes.flow[KIND, function_id] = mode.value

    def resume(self, function_id: str, changes: Changes) -> list[Entry]:
        """Resume a function; return what waited for that, in the order in which it goes."""
        if self.modes.pop(function_id, None) is not None:
            changes.flow[KIND, function_id] = None
        held = self.held.pop(function_id, {}).values()
        return sorted(held, key=lambda entry: (entry.score, not entry.order, entry.order))

    def hold(self, entry: Entry) -> None:
        """Keep an entry back until its function is resumed."""
        self.held.setdefault(entry.function_id, {})[entry.job.run_id, entry.job.no] = entry

    def forget(self, function_id: str, job: Job) -> None:
        """A job ended: nothing waits for a cancelled run."""
        waiting = self.held.get(function_id)
        if waiting is not None and waiting.pop((job.run_id, job.no), None) is not None and not waiting:
            del self.held[function_id]
