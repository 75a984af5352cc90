"""Bulk cancellations (`protocol/flow-control.md` §5.6): all runs of a function that were scheduled in a window.

A large set is swept in slices, so that nobody waits for it; a sweep that a restart cut off begins again. A window that
ends in the (near) future takes new runs as well, until it is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run
from holdfast.server.expressions import Activation, ExpressionError, compile
from holdfast.server.model.cancellation import BulkCancellation

KIND = "cancellation"

#: How many runs one turn looks at, and how many it cancels.
LOOK = 20_000
SLICE = 50
_PREFIX = "cancellation:"


class BulkCancellations:
    """All that are listed, and how far each sweep has come."""

    __slots__ = ("_open", "_sweeps", "records")

    def __init__(self) -> None:
        self.records: dict[str, BulkCancellation] = {}
        self._open: list[BulkCancellation] = []  # windows that may not be over yet
        self._sweeps: dict[str, Iterator[str] | None] = {}

    @property
    def sweeping(self) -> bool:
        """Whether there are runs yet to be looked at."""
        return bool(self._sweeps)

    @property
    def open(self) -> bool:
        """Whether a window may still take new runs."""
        return bool(self._open)

    def add(self, record: BulkCancellation, changes: Changes, now: int) -> None:
        """Begin a cancellation."""
        changes.flow[KIND, record.id] = record
        self.restore(record, now)

    def restore(self, record: BulkCancellation, now: int) -> None:
        """Take a cancellation, new or from the store."""
        self.records[record.id] = record
        if not record.swept:
            self._sweeps[record.id] = None
        if record.before >= now:
            self._open.append(record)

    def remove(self, id: str, changes: Changes) -> bool:
        """Remove a cancellation: what it has not cancelled yet goes on. False if there is none."""
        record = self.records.pop(id, None)
        if record is None:
            return False
        self._sweeps.pop(id, None)
        self._open = [one for one in self._open if one is not record]
        changes.flow[KIND, id] = None
        return True

    def meeting(self, run: Run, now: int) -> list[str]:
        """Return the causes that cancel a new run."""
        self._open = [record for record in self._open if record.before >= now]
        return [_PREFIX + record.id for record in self._open if record.covers(run.function_id, run.scheduled_at)]

    def take(self, runs: Mapping[str, Run], changes: Changes) -> list[tuple[str, str]]:
        """Return the next slice: runs that are covered, each with its cause; `allows` tells whether they end."""
        found: list[tuple[str, str]] = []
        for id in list(self._sweeps):
            record = self.records[id]
            sweep = self._sweeps[id] or iter(list(runs))
            self._sweeps[id] = sweep
            looked_at = 0
            for run_id in islice(sweep, LOOK):
                looked_at += 1
                run = runs.get(run_id)
                if run is not None and record.covers(run.function_id, run.scheduled_at):
                    found.append((run_id, _PREFIX + id))
                    if len(found) >= SLICE:
                        return found
            if looked_at < LOOK:
                self._end(record, changes)
            else:
                break
        return found

    def allows(self, run: Run, cause: str, now: int) -> bool:
        """Return whether a run, whose body is loaded, ends for this cause; always, if that is no bulk cancellation."""
        if not cause.startswith(_PREFIX):
            return True
        record = self.records.get(cause.removeprefix(_PREFIX))
        if record is None:
            return False
        if not record.condition:
            return True
        assert run.body is not None
        try:
            return compile(record.condition).is_true(Activation(run.body.events[0], None, now_ms=now))
        except ExpressionError:
            return False

    def _end(self, record: BulkCancellation, changes: Changes) -> None:
        del self._sweeps[record.id]
        swept = msgspec.structs.replace(record, swept=True)
        self.records[record.id] = swept
        self._open = [swept if one is record else one for one in self._open]
        changes.flow[KIND, record.id] = swept
