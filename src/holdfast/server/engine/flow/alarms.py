"""Deadlines of flow-control records that move: however often one does, a key has one timer."""

from __future__ import annotations

from holdfast.server.engine.queue import Deadline, Timers


class Alarms:
    """When each key of a feature is looked at next.

    A record that is put off keeps its alarm, which then finds that nothing is due and is set again.
    """

    __slots__ = ("_at", "_kind")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._at: dict[str, int] = {}

    def set(self, key: str, due: int, timers: Timers) -> None:
        """Have a key looked at by `due` (ms)."""
        known = self._at.get(key)
        if known is None or due < known:
            self._at[key] = due
            timers.add(due, Deadline(self._kind, key, due))

    def clear(self, key: str, timers: Timers) -> None:
        """A key needs no look any more."""
        if self._at.pop(key, None) is not None:
            timers.ended()

    def counts(self, item: Deadline) -> bool:
        """Return whether a deadline is its key's alarm, not one that was superseded."""
        return self._at.get(item.key) == item.at

    def rings(self, item: Deadline) -> bool:
        """Return whether a deadline that is due is its key's alarm, which is over then."""
        if not self.counts(item):
            return False
        del self._at[item.key]
        return True
