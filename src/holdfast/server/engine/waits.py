"""The pauses of all runs, found by what ends them: an event, a signal, an invoked function."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.server.expressions import Activation, EqualityIndex
from holdfast.server.model.job import Pause, PauseKind


class Waits:
    """Indexes over pauses. An event of a name that nobody waits for costs one dictionary look-up."""

    __slots__ = ("_by_event", "correlations", "signals")

    def __init__(self) -> None:
        self.signals: dict[str, Pause] = {}
        self.correlations: dict[str, Pause] = {}
        self._by_event: dict[str, EqualityIndex[Pause]] = {}

    def add(self, pause: Pause) -> None:
        """Index a pause by its kind."""
        if pause.kind is PauseKind.SIGNAL:
            if pause.key:  # else another wait took its signal
                self.signals[pause.key] = pause
        elif pause.kind is PauseKind.INVOKE:
            self.correlations[pause.key] = pause
        else:
            index = self._by_event.get(pause.event)
            if index is None:
                index = self._by_event[pause.event] = EqualityIndex()
            index.add(pause, pause.expression or None)

    def remove(self, pause: Pause) -> None:
        """Forget a pause."""
        if pause.kind is PauseKind.SIGNAL:
            self.signals.pop(pause.key, None)
        elif pause.kind is PauseKind.INVOKE:
            self.correlations.pop(pause.key, None)
        else:
            self._remove_from_event(pause)

    def listens(self, event: str) -> bool:
        """Return whether any pause waits for events of this name."""
        return event in self._by_event

    def tested(self, event: str, activation: Activation) -> Iterator[Pause | None]:
        """Yield the pauses that an event ends, in the order in which they were made; None for each that it does not.

        They are those of the moment at which the first is asked for. Each is tested when it is asked for.
        """
        index = self._by_event.get(event)
        if index is not None:
            yield from index.tested(activation)

    def __len__(self) -> int:
        return sum(map(len, self._by_event.values())) + len(self.signals) + len(self.correlations)

    def _remove_from_event(self, pause: Pause) -> None:
        index = self._by_event.get(pause.event)
        if index is not None:
            index.remove(pause)
            if not index:
                del self._by_event[pause.event]
