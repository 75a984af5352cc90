"""The pauses of all runs, found by what ends them: an event, a signal, an invoked function."""

from __future__ import annotations

from holdfast.server.expressions import Activation, EqualityIndex
from holdfast.server.model.job import Pause, PauseKind

Ref = tuple[str, int]
"""run id, number of the pause"""


class Waits:
    """Indexes over pauses. An event of a name that nobody waits for costs one dictionary look-up."""

    __slots__ = ("_by_event", "correlations", "pauses", "signals")

    def __init__(self) -> None:
        self.pauses: dict[Ref, Pause] = {}
        self.signals: dict[str, Pause] = {}
        self.correlations: dict[str, Pause] = {}
        self._by_event: dict[str, EqualityIndex[Ref]] = {}

    def add(self, pause: Pause) -> None:
        """Indexes a pause by its kind."""
        if pause.kind is PauseKind.SIGNAL:
            if pause.key:  # else another wait took its signal
                self.signals[pause.key] = pause
        elif pause.kind is PauseKind.INVOKE:
            self.correlations[pause.key] = pause
        else:
            ref = (pause.run_id, pause.no)
            index = self._by_event.get(pause.event)
            if index is None:
                index = self._by_event[pause.event] = EqualityIndex()
            self.pauses[ref] = pause
            index.add(ref, pause.expression or None)

    def remove(self, pause: Pause) -> None:
        """Forgets a pause."""
        if pause.kind is PauseKind.SIGNAL:
            self.signals.pop(pause.key, None)
        elif pause.kind is PauseKind.INVOKE:
            self.correlations.pop(pause.key, None)
        else:
            self._remove_from_event(pause)

    def listens(self, event: str) -> bool:
        """Whether any pause waits for events of this name."""
        return event in self._by_event

    def matching(self, event: str, activation: Activation) -> list[Pause]:
        """The pauses that an event ends, in the order in which they were made."""
        index = self._by_event.get(event)
        return [self.pauses[ref] for ref in index.matching(activation)] if index is not None else []

    def _remove_from_event(self, pause: Pause) -> None:
        ref = (pause.run_id, pause.no)
        if self.pauses.pop(ref, None) is None:
            return
        index = self._by_event[pause.event]
        index.remove(ref)
        if not index:
            del self._by_event[pause.event]
