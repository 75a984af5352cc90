"""Retention: runs that ended long ago, and what belongs to nothing else, are deleted while the server runs.

What is to go is found beside the writer (`store.retention`); the loop deletes it in slices of about two milliseconds
with pauses in between: short ones while nothing else happens, long ones on a busy server, so that hardly a step waits.
A slice is one transaction: a kill at any point leaves whole runs, and the next sweep goes on. Nothing that is alive is
touched: a run without an end is no victim, and neither is an event that a kept run was started by, or that a debounce
or a batch holds back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
import structlog

from holdfast.protocol.ids import ulid
from holdfast.server.config.ages import parse_age
from holdfast.server.model.status import ENDED
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.retention import Arrival, Ended, Expiry, Group
from holdfast.server.store.store import settled

log = structlog.get_logger(__name__)

#: A sweep begins once a minute, or more often if something lives for minutes only (seconds).
INTERVAL_S = 60.0
#: The first one begins this long after the start (seconds).
FIRST_S = 10.0
#: Events that were passed over once are looked at again after this time (ms).
RESCAN_MS = 24 * 3_600_000
#: How long a slice may hold the loop (seconds), and how many times longer the pause after it is. A server is busy that
#: committed something within the last `QUIET_S`.
SLICE_S = 0.002
REST_IDLE, REST_BUSY = 1, 20
QUIET_S = 0.25
#: A sweep that lasts longer than this (seconds) might fall behind: the longer it lasts, the shorter its pauses, down to
#: `REST_BEHIND`.
LONG_S = 60.0
REST_BEHIND = 4
#: How many runs or rows are looked for at once.
FOUND = 400
#: How many events are looked at, at once, for those that started nothing.
LOOKED_AT = 2_000


class Policy(msgspec.Struct, frozen=True):
    """What is kept: ages in ms since the end of a run, numbers of ended runs; None keeps everything."""

    age: int | None = None
    runs: int | None = None  # of each function
    functions: dict[str, int | None] = {}  # ages by slug, in place of `age`
    audit: int | None = None

    @classmethod
    def of(cls, texts: Iterable[str], runs: int, audit_s: float) -> Policy:
        """Reads what the options say: `30d`, `off`, `<slug>=7d`; no number, or none of seconds, is 0."""
        age: int | None = None
        functions: dict[str, int | None] = {}
        for text in texts:
            slug, equals, span = text.rpartition("=")
            if equals:
                functions[slug] = parse_age(span)
            else:
                age = parse_age(span)
        return cls(age, runs or None, functions, int(audit_s * 1_000) or None)

    @property
    def active(self) -> bool:
        """Whether anything is ever deleted."""
        return bool(self.age or self.runs or self.audit or any(self.functions.values()))

    @property
    def interval_s(self) -> float:
        """The time between two sweeps."""
        ages = [age for age in (self.age, self.audit, *self.functions.values()) if age]
        return min([INTERVAL_S, *(max(0.5, age / 20_000) for age in ages)])


class Figures(msgspec.Struct):
    """What retention did since the start: plain numbers for metrics."""

    sweeps: int = 0
    failures: int = 0
    runs: int = 0
    events: int = 0
    bytes: int = 0  # of steps, spans and events; what the file lost is less or more
    last_at: int = 0  # ms since the epoch
    last_s: float = 0.0
    longest_slice_s: float = 0.0


class Retention:
    """Sweeps by a policy, from `start` to `close`."""

    def __init__(
        self, partition: Partition, expiry: Expiry, policy: Policy, clock: Callable[[], int] | None = None
    ) -> None:
        self._partition = partition
        self._expiry = expiry
        self._now = clock or partition.now
        self.policy = policy
        self.figures = Figures()
        self._budget = SLICE_S / 2
        self._commits, self._committed = 0, 0.0  # as last seen: how many, and when (seconds, monotonic) they changed
        self._began = 0.0  # when the sweep did (seconds, perf_counter)
        self._passed: Arrival = ("", 0)  # events up to here were looked at
        self._rescanned = self._now()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, if the policy ever deletes anything."""
        if self.policy.active:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="retention")

    async def close(self) -> None:
        """Stops after the slice that is being deleted."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pause = min(FIRST_S, self.policy.interval_s)
        while True:
            await asyncio.sleep(pause)
            pause = self.policy.interval_s
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next sweep may do better
                self.figures.failures += 1
                log.warning("retention did not finish; it continues later", error=str(error))

    async def sweep(self) -> Figures:
        """Deletes all that the policy does not keep; tells what that was. Raises StoreError."""
        self._began, before = time.perf_counter(), msgspec.structs.replace(self.figures)
        await self._sweep_runs()
        await self._shrink()  # before more becomes free: the longer the list of free pages, the longer it takes
        await self._sweep_events()
        await self._sweep_rest()
        await self._shrink()
        figures = self.figures
        figures.sweeps, figures.last_at = before.sweeps + 1, self._now()
        figures.last_s = time.perf_counter() - self._began
        did = Figures(1, 0, figures.runs - before.runs, figures.events - before.events, figures.bytes - before.bytes)
        if did.runs or did.events:
            log.info(
                "retention sweep", runs=did.runs, events=did.events, bytes=did.bytes,
                took_s=round(figures.last_s, 2), longest_slice_ms=round(figures.longest_slice_s * 1e3, 1),
            )  # fmt: skip
        return did

    # --- runs -------------------------------------------------------------------------------------------------------

    async def _sweep_runs(self) -> None:
        functions = await self._expiry.functions()
        own = [id for id, slug in functions if slug in self.policy.functions]
        if self.policy.age is not None:
            await self._sweep_older(self.policy.age, excepted=own)
        for id, slug in functions:
            age = self.policy.functions.get(slug)
            if age is not None:
                await self._sweep_older(age, function=id)
            if self.policy.runs is not None:
                newest = await self._expiry.newest(id, self.policy.runs)
                if newest is not None:
                    await self._sweep_ended(end=f"{newest} ", before=self._now() + 1, function=id)

    async def _sweep_older(self, age: int, function: str = "", excepted: Sequence[str] = ()) -> None:
        before = self._now() - age
        await self._sweep_ended(ulid(before, 0), before, function, excepted)

    async def _sweep_ended(self, end: str, before: int, function: str, excepted: Sequence[str] = ()) -> None:
        """Deletes runs that ended before a time (ms), with ids less than `end`."""
        for status in sorted(ENDED):
            where = Ended(status, end, before, function, excepted)
            after: str | None = ""
            while after is not None:
                found = await self._expiry.ended(where, after, FOUND)
                self.figures.bytes += found.bytes
                await self._erase(found.groups, found.events)
                after = found.last

    # --- events and the rest ----------------------------------------------------------------------------------------

    async def _sweep_events(self) -> None:
        """Deletes events that started nothing; those of runs go with them."""
        if self.policy.age is None:
            return
        if self._now() - self._rescanned > RESCAN_MS:  # those that a debounce held when they were passed
            self._passed, self._rescanned = ("", 0), self._now()
        before = self._now() - self.policy.age
        while True:
            found = await self._expiry.idle_events(self._passed, before, LOOKED_AT)
            self.figures.bytes += found.bytes
            await self._erase(found.groups, found.events)
            if found.last is None:
                break
            self._passed = found.last
        self._passed = (ulid(before, 0), 0)

    async def _sweep_rest(self) -> None:
        now, expiry = self._now(), self._expiry
        await self._erase(await expiry.expired_keys(now, FOUND))
        await self._erase(await expiry.empty_totals())
        if self.policy.age is not None:
            await self._erase(await expiry.idle_functions(now - self.policy.age))
            await self._erase(await expiry.idle_apps(now - self.policy.age))
        if self.policy.audit is not None:
            await self._erase(await expiry.old_audit(now - self.policy.audit, FOUND))

    async def _shrink(self) -> None:
        """Gives free pages back, then has the log cut the file."""
        partition = self._partition
        while partition.trouble is None:
            if await self._checkpointed():
                began = time.perf_counter()
                if not await settled(self._expiry.shrink(self._budget)):
                    break
                await self._sliced(time.perf_counter() - began)
        self._expiry.settle()

    # --- slices -----------------------------------------------------------------------------------------------------

    async def _erase(self, groups: Sequence[Group], events: Collection[str] = ()) -> None:
        """Deletes groups of rows, slice by slice. `events` are those that may be among them."""
        partition, going = self._partition, frozenset(events)
        while groups:
            if not going.isdisjoint(partition.view.rerun_events()):
                await asyncio.sleep(SLICE_S)  # a rerun is about to be stored: it keeps its events
                continue
            if not await self._checkpointed():
                continue
            erased = await settled(self._expiry.erase(groups, self._budget))
            groups = groups[erased.groups :]
            self.figures.runs += erased.runs
            self.figures.events += erased.events
            await self._sliced(erased.took_s)

    async def _checkpointed(self) -> bool:
        """Whether the store's log is at rest. The end of a move waits for a turn: the less is written, the better."""
        if self._expiry.settled:
            return True
        await asyncio.sleep(SLICE_S)
        self._partition.changed()
        return self._expiry.settled

    async def _sliced(self, took_s: float) -> None:
        """After a slice. Its commit takes as long as what was changed: the budget is what leads to the right length."""
        self.figures.longest_slice_s = max(self.figures.longest_slice_s, took_s)
        factor = 0.8 if took_s > SLICE_S else 1.1
        self._budget = min(SLICE_S, max(SLICE_S / 10, self._budget * factor))
        self._expiry.settle()
        await self._rest(took_s)

    async def _rest(self, took_s: float) -> None:
        """Leaves the loop to others for a while. A slice that others on this machine held up counts as a full one."""
        took_s = min(took_s, SLICE_S)
        await asyncio.sleep(took_s * REST_IDLE)
        if self._busy():
            rest = max(REST_BEHIND, REST_BUSY / (1 + (time.perf_counter() - self._began) / LONG_S))
            await asyncio.sleep(took_s * (rest - REST_IDLE))

    def _busy(self) -> bool:
        commits, now = self._partition.commits, time.monotonic()
        if commits != self._commits:
            self._commits, self._committed = commits, now
        return now - self._committed < QUIET_S
