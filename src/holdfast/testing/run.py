"""A run as a test looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from holdfast.server.model.reason import Reason
from holdfast.server.model.status import RunStatus, SpanStatus
from holdfast.server.store.history import RunTrace, StoredRun, TraceRow
from holdfast.testing.errors import NoStepError, NotEndedError, RunFailedError

_ENDS = {SpanStatus.COMPLETED: "completed", SpanStatus.FAILED: "failed"}


class Source(Protocol):
    """Where runs are read from, without waiting."""

    def trace(self, run_id: str) -> RunTrace:
        """Return a run's rows."""
        ...

    def output(self, run_id: str) -> bytes:
        """Return the JSON of an ended run's output."""
        ...

    def why(self, run: StoredRun) -> list[Reason]:
        """Return what a run waits for."""
        ...

    def function_of(self, run: StoredRun) -> str:
        """Return the slug of its function."""
        ...


class StepError(msgspec.Struct, frozen=True):
    """The error of a step or run as it was reported."""

    name: str = ""
    message: str = ""
    stack: str | None = None


class Step:
    """A step of a run, from the rows that it has left: its failed attempts, and its end."""

    def __init__(self, rows: list[TraceRow]) -> None:
        self._rows = rows
        self._last = rows[-1]

    @property
    def id(self) -> str:
        """The step's id as the code writes it."""
        return self._last.span.name

    @property
    def op(self) -> str:
        """What it is: `StepRun`, `Sleep`, `WaitForEvent`, `InvokeFunction` or another opcode."""
        return self._last.span.op or "StepRun"

    @property
    def status(self) -> str:
        """`completed`, `failed`, or `retrying` between two attempts."""
        return "retrying" if self._last.span.kind == "attempt" else _ENDS.get(self._last.span.status, "running")

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return len(self._rows)

    @property
    def output(self) -> Any:
        """What it returned, from JSON. Raises RunFailedError if it failed."""
        if self.error is not None:
            raise RunFailedError(f"step {self.id!r} failed: {_shown(self.error)}")
        document = _members(self._last.output)
        return document["data"] if "data" in document else _document(self._last.output)

    @property
    def error(self) -> StepError | None:
        """The error of its last attempt; None if that went well."""
        told = _members(self._last.output).get("error")
        if isinstance(told, dict):
            return msgspec.convert(told, StepError)
        if self._last.span.kind == "attempt":
            return StepError(message=self._last.span.error)
        return None

    def __repr__(self) -> str:
        """Show what became of it."""
        return f"<Step {self.id} {self.op} {self.status}, attempts: {self.attempts}>"


class Steps(Mapping[str, Step]):
    """The steps of a run by id. The second step of an id is `"id:1"`, as the protocol counts; `in_order` has all."""

    def __init__(self, rows: list[TraceRow], told: Callable[[], str]) -> None:
        grouped: dict[str, list[TraceRow]] = {}
        for row in rows:
            if row.span.kind in {"step", "attempt"}:
                grouped.setdefault(row.span.step_id, []).append(row)
        self.in_order = [Step(rows) for rows in grouped.values()]
        self._by_id: dict[str, Step] = {}
        self._told = told
        seen: dict[str, int] = {}
        for step in self.in_order:
            count = seen[step.id] = seen.get(step.id, -1) + 1
            self._by_id[f"{step.id}:{count}" if count else step.id] = step

    def __getitem__(self, id: str) -> Step:
        """Return a step. Raises NoStepError, with the steps that there are and what the run waits for."""
        if id not in self._by_id:
            names = ", ".join(repr(name) for name in self._by_id) or "none"
            raise NoStepError(f"no step {id!r} in this run; its finished steps: {names}. The run {self._told()}")
        return self._by_id[id]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids, in the order of their ends."""
        return iter(self._by_id)

    def __len__(self) -> int:
        """Return how many steps have left a row."""
        return len(self._by_id)


class Run:
    """A run, read when it is asked: what it says is always of this moment."""

    def __init__(self, id: str, source: Source) -> None:
        self.id = id
        self._source = source

    @property
    def function(self) -> str:
        """The function's slug: `<app>-<function>`."""
        return self._source.function_of(self._trace.run)

    @property
    def status(self) -> str:
        """`scheduled`, `running`, `completed`, `failed`, `cancelled` or `skipped`."""
        return self._trace.run.status.name.lower()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self._trace.run.status.ended

    @property
    def steps(self) -> Steps:
        """Its steps, by id."""
        return Steps(list(self._trace.rows), self.describe)

    @property
    def output(self) -> Any:
        """What the function returned, from JSON.

        Raises:
            NotEndedError: It has not ended; the text says what it waits for.
            RunFailedError: It failed, or was cancelled.

        """
        run = self._trace.run
        if not run.status.ended:
            raise NotEndedError(f"the run has no output yet: it {self.describe()}")
        if run.status is not RunStatus.COMPLETED:
            raise RunFailedError(f"the run {self.describe()}")
        return _document(self._source.output(self.id))

    @property
    def error(self) -> StepError | None:
        """What it failed of; None if it did not fail."""
        if self._trace.run.status is not RunStatus.FAILED:
            return None
        texts = {k: v for k, v in _members(self._source.output(self.id)).items() if isinstance(v, str)}
        return (
            msgspec.convert(texts, StepError) if "message" in texts else StepError(message=self._trace.run.detail.error)
        )

    @property
    def waits_for(self) -> list[str]:
        """What it waits for, in sentences; empty when it has ended."""
        run = self._trace.run
        return [] if run.status.ended else [reason.text for reason in self._source.why(run)]

    def describe(self) -> str:
        """Return a sentence's end: what it came to, or waits for."""
        error = self.error
        if error is not None:
            return f"failed: {_shown(error)}"
        if self.ended:
            return f"has ended: {self.status}"
        return "waits: " + ("; ".join(self.waits_for) or "for nothing that is known")

    def trace(self) -> str:
        """Return the run as text, without ids and times: for snapshots.

        One line for the run and one for each step: id, kind, status, attempts if more than one, output or error.
        """
        trace = self._trace
        lines = [f"{self._source.function_of(trace.run)}: {self.status}", *map(_line, self.steps.in_order)]
        if trace.run.status is RunStatus.COMPLETED:
            lines.append(f"  -> {_short(_document(self._source.output(self.id)))}")
        elif (error := self.error) is not None:
            lines.append(f"  -> {_shown(error)}")
        return "\n".join(lines) + "\n"

    @property
    def _trace(self) -> RunTrace:
        return self._source.trace(self.id)

    def __repr__(self) -> str:
        """Show what became of it."""
        return f"<Run {self.id} of {self.function}: {self.describe()}>"


def _document(raw: bytes | None) -> Any:
    return msgspec.json.decode(raw) if raw else None


def _members(raw: bytes | None) -> dict[str, object]:
    """Return an object's members; none of what is no object."""
    try:
        return msgspec.json.decode(raw or b"{}", type=dict[str, object])
    except msgspec.MsgspecError:
        return {}


def _shown(error: StepError) -> str:
    return f"{error.name}: {error.message}" if error.name else error.message


def _short(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _line(step: Step) -> str:
    times = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    error = step.error
    return f"  {step.id} ({step.op}) {step.status}{times}: {_shown(error) if error else _short(step.output)}"
