"""What an event ends and starts, worked off in slices: one that many wait for must not hold up everybody else.

Nearly all events are done in the slice in which they came. What is left of another is recorded with the rows of its
slices, so that a restart goes on where it was: the event is stored, and nobody sends it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.limits import EXPRESSION_WORK
from holdfast.server.engine import admission, resume
from holdfast.server.engine.registry import Listener
from holdfast.server.engine.run import Run
from holdfast.server.model.job import Pause, PauseKind

if TYPE_CHECKING:
    from holdfast.server.engine.core import Core

KIND = "fanout"

#: The work of one slice, in the units of expressions (about 0.1 µs).
SLICE = 50_000
#: What is counted, besides its expression, for looking at a wait or a trigger, ending a wait, cancelling a run (whose
#: body is loaded for that) and starting one.
_LOOK, _END, _CANCEL, _START = 10, 300, 1_000, 400


class Rest(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is left of an event: its waits (those that were open at `at`, ms) and these functions."""

    event_id: str
    at: int
    waits: bool
    function_ids: list[str]


class Fanout:
    """One event on its way to those who wait for it and listen to it."""

    __slots__ = ("_activation", "_at", "_listeners", "_waits", "event")

    def __init__(
        self, core: Core, event: Event, listeners: tuple[Listener, ...], *, waited_for: bool, since: int = 0
    ) -> None:
        self.event = event
        self._at = since or core.now
        self._activation = core.activation(event.json, event.json)
        self._listeners = listeners
        self._waits: Iterator[Pause | None] | None = None
        if waited_for:
            found = core.waits.tested(event.name, self._activation)
            # After a restart there may be waits that were made since the event.
            self._waits = (pause for pause in found if pause is None or pause.created_at <= since) if since else found

    def rest(self) -> Rest:
        """Return what is left, to be stored."""
        ids = [listener.function.id for listener in self._listeners]
        return Rest(self.event.id, self._at, self._waits is not None, ids)

    def work(self, core: Core, started: list[Run]) -> bool:
        """Do a slice; `started` takes the runs. Tells whether nothing is left."""
        left = self._end_waits(core, SLICE)
        if left > 0 and self._listeners:
            left = self._start_runs(core, started, left)
        return self._waits is None and not self._listeners

    def _end_waits(self, core: Core, left: int) -> int:
        waits, activation = self._waits, self._activation
        if waits is None:
            return left
        activation.left = EXPRESSION_WORK
        for pause in waits:
            left -= _LOOK + EXPRESSION_WORK - activation.left
            activation.left = EXPRESSION_WORK
            if pause is not None:
                left -= _CANCEL if pause.kind is PauseKind.CANCEL else _END
                resume.by_event(core, self.event, pause)
            if left <= 0:
                return left
        self._waits = None
        return left

    def _start_runs(self, core: Core, started: list[Run], left: int) -> int:
        activation = self._activation
        for place, listener in enumerate(self._listeners, start=1):
            activation.left = EXPRESSION_WORK
            run = admission.listen(core, self.event, listener, activation)
            left -= _LOOK + EXPRESSION_WORK - activation.left
            if run is not None:
                started.append(run)
                left -= _START
            if left <= 0:
                self._listeners = self._listeners[place:]
                return left
        self._listeners = ()
        return left


def restored(core: Core, rest: Rest, event: Event) -> Fanout:
    """Take what was left of an event before a restart; its runs have been put back."""
    listeners = tuple(one for one in core.registry.listeners(event.name) if one.function.id in rest.function_ids)
    return Fanout(core, event, listeners, waited_for=rest.waits, since=rest.at)
