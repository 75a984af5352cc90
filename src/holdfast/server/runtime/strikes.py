"""What broke the engine, so that a reload doesn't meet it for ever: a defect costs its run, never the others."""

from __future__ import annotations

from holdfast.server.engine.engine import Suspect


class Strikes:
    """Counts defects by what was being handled: at the first its call counts as failed, at the second it is let be."""

    def __init__(self) -> None:
        self._struck: set[Suspect] = set()
        self.shelved: set[Suspect] = set()
        """Jobs, pauses and crons that are not taken up again before the next start."""

    def add(self, suspect: Suspect) -> None:
        """Something broke the engine."""
        if suspect in self._struck:
            self.shelved.add(suspect)
        self._struck.add(suspect)

    def __contains__(self, suspect: Suspect) -> bool:
        return suspect in self._struck
