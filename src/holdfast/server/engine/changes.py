"""What one turn of the loop writes, and what it does once that is durable."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.protocol.events import Event
from holdfast.protocol.opcodes import Op
from holdfast.server.engine.run import Run
from holdfast.server.model.experiment import Noted
from holdfast.server.model.job import Job, Pause
from holdfast.server.model.span import Span
from holdfast.server.model.totals import RunTotal


class Dispatch(msgspec.Struct, frozen=True, gc=False):
    """Call user code for a leased job."""

    run: Run
    job: Job


class Perform(msgspec.Struct, frozen=True, gc=False):
    """Make the HTTP exchange of a gateway step within its leased job."""

    run: Run
    job: Job
    op: Op


Effect = Dispatch | Perform

StepRow = tuple[str, int, str, bytes, Span]
"""run, seq, hashed step id, output, span"""
SpanRow = tuple[str, int, bytes | None, Span]
"""run, seq, output, span"""


FlowRecord = msgspec.Struct | int | str
"""A flow-control record as JSON: each feature has its own shape."""


class Changes:
    """The rows of a turn, by table, and its effects.

    Runs, jobs and pauses are held by reference and rendered at the commit, so that several transitions of one turn
    write a row once. None stands for a deleted row.
    """

    __slots__ = (
        "batched", "crons", "debug_runs", "deferred_runs", "effects", "ended", "event_runs", "events", "flow",
        "forgotten", "idempotency", "jobs", "new_runs", "noted", "pauses", "run_totals", "runs", "sessions", "spans",
        "steps", "unbatched",
    )  # fmt: skip

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.event_runs: list[tuple[str, str]] = []
        self.new_runs: dict[str, Run] = {}
        self.runs: dict[str, Run] = {}
        self.ended: list[Run] = []  # in this turn; their rows are among the others
        self.steps: list[StepRow] = []
        self.spans: list[SpanRow] = []
        self.jobs: dict[tuple[str, int], Job | None] = {}
        self.pauses: dict[tuple[str, int], Pause | None] = {}
        self.idempotency: list[tuple[str, str, int]] = []
        self.forgotten: list[tuple[str]] = []  # idempotency keys whose time is over
        self.crons: dict[tuple[str, str], int] = {}
        self.flow: dict[tuple[str, str], FlowRecord | None] = {}
        self.batched: list[tuple[str, int, str]] = []  # batch id, place, event id
        self.unbatched: list[tuple[str]] = []  # batches whose runs have started
        self.effects: list[Effect] = []
        # What follows from the rows above (`derive`):
        self.sessions: Sequence[tuple[str, str, str]] = ()  # key, id, run id
        self.noted: Sequence[Noted] = ()  # of experiments and scores, in order
        self.run_totals: Sequence[RunTotal] = ()
        self.deferred_runs: Sequence[tuple[str, str]] = ()  # run id, parent's id
        self.debug_runs: Sequence[tuple[str, str]] = ()  # run id, function id

    def touch(self, run: Run) -> None:
        """Writes the run's own row at the commit."""
        if run.id not in self.new_runs:
            self.runs[run.id] = run

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write (there may be effects)."""
        return not (
            self.events or self.new_runs or self.runs or self.steps or self.spans or self.jobs or self.pauses
            or self.idempotency or self.forgotten or self.crons or self.flow or self.batched
        )  # fmt: skip
