"""Poison inputs: failed after the first crash of the engine, quarantined after the second."""

from __future__ import annotations

from holdfast.server.engine.engine import Suspect


class Quarantine:
    """Counts crashes of the engine by the job, pause or schedule that was being handled.

    Only that item pays: after the first crash its call counts as failed, after the second it is quarantined.
    """

    def __init__(self) -> None:
        self._suspects: set[Suspect] = set()
        self.held: set[Suspect] = set()
        """Jobs, pauses and schedules that stay untouched until the next start."""

    def add(self, suspect: Suspect) -> None:
        """Record that the engine crashed while it handled an item."""
        if suspect in self._suspects:
            self.held.add(suspect)
        self._suspects.add(suspect)

    def suspects(self, item: Suspect) -> bool:
        """Return whether the engine has crashed while it handled this item."""
        return item in self._suspects
