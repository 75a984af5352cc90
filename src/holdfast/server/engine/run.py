"""A live run in memory: a small head that is always there, and a body that is dropped while the run is parked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holdfast.server.model.job import Job, Pause
from holdfast.server.model.run import RunDetail, RunState
from holdfast.server.model.status import RunStatus


class Body:
    """What a run's requests are made of: its events, and its memoised steps in the order in which they were saved."""

    __slots__ = ("event_ids", "events", "steps")

    def __init__(
        self, events: list[bytes], steps: dict[str, bytes] | None = None, event_ids: tuple[str, ...] = ()
    ) -> None:
        self.events = events
        self.event_ids = event_ids  # known while the run is new
        self.steps: dict[str, bytes] = steps if steps is not None else {}


class Items:
    """The open jobs and pauses of a run, in the order in which they were opened.

    A list while they are few, as those of nearly all runs, for a dictionary is dear. More are found by number and by
    step, so that a run with a thousand planned steps costs no more for each.
    """

    __slots__ = ("_few", "_many")

    #: As many are looked through.
    FEW = 12

    def __init__(self) -> None:
        self._few: list[Job | Pause] = []
        self._many: _Many | None = None

    def get(self, no: int) -> Job | Pause | None:
        """Return the item of a number."""
        if self._many is not None:
            return self._many.numbers.get(no)
        for item in self._few:
            if item.no == no:
                return item
        return None

    def of_step(self, step: str) -> Job | Pause | None:
        """Return the item of a step."""
        if self._many is not None:
            return self._many.steps.get(step)
        for item in self._few:
            if item.step == step:
                return item
        return None

    def put(self, item: Job | Pause) -> None:
        """Add an item, in place of one of the same number."""
        if self._many is not None:
            self._many.put(item)
            return
        for place, known in enumerate(self._few):
            if known.no == item.no:
                self._few[place] = item
                return
        self._few.append(item)
        if len(self._few) > self.FEW:
            self._many = _Many(self._few)
            self._few = []

    def drop(self, item: Job | Pause) -> None:
        """Take an item out."""
        if self._many is not None:
            self._many.drop(item)
            return
        for place, known in enumerate(self._few):
            if known is item:
                del self._few[place]
                return

    def __iter__(self) -> Iterator[Job | Pause]:
        return iter(self._few if self._many is None else self._many.numbers.values())

    def __len__(self) -> int:
        return len(self._few if self._many is None else self._many.numbers)


class _Many:
    """Many items, by number and by step."""

    __slots__ = ("numbers", "steps")

    def __init__(self, items: Iterable[Job | Pause]) -> None:
        self.numbers: dict[int, Job | Pause] = {}
        self.steps: dict[str, Job | Pause] = {}
        for item in items:
            self.put(item)

    def put(self, item: Job | Pause) -> None:
        known = self.numbers.get(item.no)
        if known is not None and self.steps.get(known.step) is known:
            del self.steps[known.step]
        self.numbers[item.no] = item
        if item.step:
            self.steps.setdefault(item.step, item)

    def drop(self, item: Job | Pause) -> None:
        if self.numbers.get(item.no) is item:
            del self.numbers[item.no]
        if self.steps.get(item.step) is item:
            del self.steps[item.step]


class Run:
    """One live run. Times are ms since the epoch.

    `open` holds its jobs and pauses by number. A run whose `open` is empty has ended. `body` is None while the run is
    parked: the shell loads it before it asks the engine for anything that needs it.
    """

    __slots__ = (
        "app_id", "batch_id", "body", "cron", "detail", "ended_at", "event_name",
        "function_id", "id", "leased", "next_no", "open", "original_run_id", "output", "pending", "scheduled_at", "seq",
        "started_at", "state", "state_size", "status", "step_count",
    )  # fmt: skip

    def __init__(self, id: str, function_id: str, app_id: str, scheduled_at: int) -> None:
        self.id = id
        self.function_id = function_id
        self.app_id = app_id
        self.scheduled_at = scheduled_at
        self.status = RunStatus.SCHEDULED
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.event_name = ""
        self.cron = ""
        self.batch_id = ""
        self.original_run_id = ""
        self.output: bytes | None = None
        self.detail = RunDetail()
        self.state = RunState()
        self.open = Items()
        self.pending: set[str] | None = None
        self.seq = 0
        self.next_no = 0
        self.step_count = 0
        self.state_size = 0
        self.leased = 0
        self.body: Body | None = None

    @property
    def parked(self) -> bool:
        """Whether nothing of it is being executed or waits for a free slot."""
        return self.leased == 0

    def number(self) -> int:
        """Return a new number for a job or pause."""
        self.next_no += 1
        return self.next_no

    def sequence(self) -> int:
        """Return the place of the next record in the run's history."""
        self.seq += 1
        return self.seq

    def holds(self, item: Job | Pause) -> bool:
        """Return whether `item` is still current: not done, not replaced, not cancelled."""
        return self.open.get(item.no) is item

    def opened(self, step: str) -> Job | Pause | None:
        """Return what is open for a step: its planned job, its sleep or its wait."""
        return self.open.of_step(step)
