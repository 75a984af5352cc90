"""What changed, for pages that are open: runs, events and apps, folded, and only while somebody follows them.

The partition calls `turn` after each commit as long as there are followers, and not at all otherwise. A turn only
notes which runs it touched; rows are made when a push leaves, at most `ROWS` of them every `FOLD_S` seconds for all
pages together. What is beyond that is counted: pages ask again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast.protocol.errors import error_line
from holdfast.protocol.events import Event
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.run import Run
from holdfast.server.model.status import RunStatus
from holdfast.server.realtime.broadcaster import Broadcaster, Subscription
from holdfast.server.realtime.topics import Topic
from holdfast.server.runtime.partition import Partition

#: Seconds between two pushes; longer after one that was full, as then much more happens than a page can show.
FOLD_S: Final = 0.1
FULL_FOLD_S: Final = 0.5
#: Rows of a push. What is noted between two pushes is bounded, too.
ROWS: Final = 100
_NOTED: Final = 1_000
#: The largest output of a failed run whose error is read for its row.
_MOST_OUTPUT: Final = 64 * 1024

#: A channel that no token can be for: those of clients name runs, or none.
_CHANNEL: Final = "\0live"
_KIND: Final = "live"


class Doing(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a live run is doing: the first of its reasons, in short. Times in ms since the epoch."""

    kind: str
    step: str | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None
    attempt: int | None = None
    value: str | None = None
    limit: int | None = None


class Row(msgspec.Struct, omit_defaults=True, frozen=True):
    """A run as lists show it."""

    id: str
    function: str
    app: str
    status: str  # name of a RunStatus
    queued: int
    started: int | None = None
    ended: int | None = None
    event: str = ""
    cron: str = ""
    batch: bool = False
    deferred: bool = False
    doing: Doing | None = None
    error: str = ""


class Arrived(msgspec.Struct, frozen=True):
    """An event as lists show it."""

    id: str
    name: str
    received: int


class Push(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a page gets. `more` counts what changed and isn't listed."""

    topic: str
    runs: list[Row] = []
    events: list[Arrived] = []
    more: int = 0


def topic_of(name: str) -> Topic:
    """Return the broadcaster's topic of a name: `runs`, `events`, `apps`, or `run:` and an id."""
    return Topic(_CHANNEL, name, _KIND)


_encode: Final = msgspec.json.Encoder().encode
_RUN: Final = "run:"


class Live:
    """Notes what turns change and publishes it. Everything runs on the event loop's thread."""

    def __init__(self, partition: Partition, broadcaster: Broadcaster) -> None:
        self._partition = partition
        self._broadcaster = broadcaster
        self._loop = asyncio.get_running_loop()
        self._followed: Counter[str] = Counter()
        self._runs: dict[str, Run] = {}
        self._events: list[Event] = []
        self._touched: set[str] = set()  # runs of pages that show one
        self._more: Counter[str] = Counter()
        self._next = 0.0  # when the next push may leave, in the loop's time
        self._timer: asyncio.TimerHandle | None = None

    # --- followers --------------------------------------------------------------------------------------------------

    def subscribe(self) -> Subscription:
        """Return the subscription of a new page, which follows nothing yet. Raises RefusedError."""
        return self._broadcaster.subscribe(())

    def follow(self, subscription: Subscription, names: Iterable[str]) -> None:
        """Have a page follow these topics and no others. Raises RefusedError."""
        wanted = {topic_of(name) for name in names}
        gone = subscription.topics - wanted
        new = wanted - subscription.topics
        self._broadcaster.add(subscription, new)
        self._broadcaster.remove(subscription, gone)
        self._count(new, 1)
        self._count(gone, -1)

    def leave(self, subscription: Subscription) -> None:
        """The page is gone."""
        self._count(set(subscription.topics), -1)
        self._broadcaster.leave(subscription)

    def _count(self, topics: Iterable[Topic], by: int) -> None:
        for topic in topics:
            self._followed[topic.name] += by
            if self._followed[topic.name] <= 0:
                del self._followed[topic.name]
        self._partition.on_turn = self.turn if self._followed else None

    # --- what happens -----------------------------------------------------------------------------------------------

    def apps_changed(self) -> None:
        """An app or a function was added, changed or removed."""
        if self._followed["apps"]:
            self._publish(Push("apps", more=1))

    def turn(self, changes: Changes) -> None:
        """Note what a committed turn changed."""
        if self._followed["runs"]:
            self._note_runs(changes)
        if changes.events and self._followed["events"]:
            self._note_events(changes.events)
        self._note_touched(changes)
        if self._runs or self._events or self._touched:
            self._soon()

    def _note_runs(self, changes: Changes) -> None:
        noted, view = self._runs, self._partition.view
        noted.update(changes.new_runs)
        noted.update(changes.runs)
        for run_id, _ in (*changes.jobs, *changes.pauses):
            if run_id not in noted and (run := view.run(run_id)) is not None:
                noted[run_id] = run
        while len(noted) > _NOTED:
            noted.pop(next(iter(noted)))
            self._more["runs"] += 1

    def _note_events(self, events: list[Event]) -> None:
        self._events.extend(events)
        if len(self._events) > _NOTED:
            self._more["events"] += len(self._events) - ROWS
            self._events = self._events[-ROWS:]

    def _note_touched(self, changes: Changes) -> None:
        """Note the runs that pages of one run show."""
        wanted = self._followed.keys() - {"runs", "events", "apps"}
        if not wanted:
            return
        touched = {key[0] for rows in (changes.jobs, changes.pauses) for key in rows}
        touched.update(changes.new_runs, changes.runs)
        touched.update(step[0] for step in changes.steps)
        touched.update(span[0] for span in changes.spans)
        self._touched.update(run_id for run_id in touched if _RUN + run_id in wanted)

    # --- pushes -----------------------------------------------------------------------------------------------------

    def _soon(self) -> None:
        """Push now, if the last push was long enough ago and memory is what was committed; else a little later."""
        wait = self._next - self._loop.time()
        if wait <= 0 and self._partition.settled:
            self._push()
        elif self._timer is None:
            self._timer = self._loop.call_later(max(wait, 0.005), self._due)

    def _due(self) -> None:
        self._timer = None
        self._soon()

    def _push(self) -> None:
        full = len(self._runs) > ROWS or len(self._events) > ROWS
        self._next = self._loop.time() + (FULL_FOLD_S if full else FOLD_S)
        if self._runs:
            runs, self._runs = [run for run in self._runs.values() if _listed(run)], {}
            more = self._more.pop("runs", 0) + max(len(runs) - ROWS, 0)
            self._publish(Push("runs", runs=[self._row(run) for run in runs[-ROWS:]], more=more))
        if self._events:
            events, self._events = self._events, []
            more = self._more.pop("events", 0) + max(len(events) - ROWS, 0)
            shown = [Arrived(event.id, event.name, event.received_at) for event in events[-ROWS:]]
            self._publish(Push("events", events=shown, more=more))
        touched, self._touched = self._touched, set()
        for run_id in touched:
            self._publish(Push(_RUN + run_id))

    def _publish(self, push: Push) -> None:
        self._broadcaster.publish(topic_of(push.topic), _encode(push))

    def _row(self, run: Run) -> Row:
        failed = run.status is RunStatus.FAILED
        output = run.output if run.output is not None and len(run.output) <= _MOST_OUTPUT else None
        return Row(
            run.id, run.function_id, run.app_id, run.status.name, run.scheduled_at, run.started_at, run.ended_at,
            run.event_name, run.cron, bool(run.batch_id), bool(run.detail.deferred_from),
            None if run.status.ended else self._doing(run), error_line(output, run.detail.error) if failed else "",
        )  # fmt: skip

    def _doing(self, run: Run) -> Doing | None:
        view = self._partition.look()
        reason = view.glance(run.id, self._partition.now()) if view is not None else None
        if reason is None:
            return None
        return Doing(
            reason.kind, reason.step, reason.key, reason.since, reason.until, reason.attempt, reason.value, reason.limit
        )


def _listed(run: Run) -> bool:
    """Return whether lists show a run at all."""
    return run.status is not RunStatus.SKIPPED and not run.detail.debug_run_id
