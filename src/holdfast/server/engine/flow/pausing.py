"""Paused functions: what is running goes on, new runs wait in the queue or are skipped, by choice."""

from __future__ import annotations

from enum import StrEnum

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.queue import Entry

KIND = "paused"


class Mode(StrEnum):
    """What becomes of runs that would start while their function is paused."""

    QUEUE = "queue"
    SKIP = "skip"


class Pausing:
    """Paused functions, and the first jobs that wait for each to be resumed."""

    __slots__ = ("_held", "modes")

    def __init__(self) -> None:
        self.modes: dict[str, Mode] = {}
        self._held: dict[str, list[Entry]] = {}

    def pause(self, function_id: str, mode: Mode, changes: Changes) -> None:
        """Pauses a function, or changes what becomes of its new runs."""
        self.modes[function_id] = mode
        changes.flow[KIND, function_id] = mode.value

    def resume(self, function_id: str, changes: Changes) -> list[Entry]:
        """Resumes a function; returns what waited for that, in its order."""
        if self.modes.pop(function_id, None) is not None:
            changes.flow[KIND, function_id] = None
        return self._held.pop(function_id, [])

    def hold(self, entry: Entry) -> bool:
        """Keeps an entry back if its function is paused."""
        if entry.function_id not in self.modes:
            return False
        self._held.setdefault(entry.function_id, []).append(entry)
        return True
