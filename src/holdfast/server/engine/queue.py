"""The queue: timers, concurrency keys with their FIFOs of blocked jobs, and the worker slots.

A job that is due first needs a place under each of its concurrency keys, then a worker slot. What it can't get it
waits for in exactly one place, ordered by score (older runs first, priority moves a run ahead): releasing a key or a
slot wakes exactly one waiter, in O(log n), and nothing is ever scanned. Entries of jobs that were cancelled meanwhile
are skipped when they come up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush

import msgspec

from holdfast.server.engine.flow.gcra import Gate
from holdfast.server.model.job import Job, Pause


class Tick(msgspec.Struct, frozen=True, gc=False):
    """A cron schedule's next moment."""

    function_id: str
    cron: str
    at: int  # the tick itself, ms
    version: int  # of the function: a newer registration makes the old loop stop


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """A moment of a flow-control record. One that was moved since leaves its old deadline behind, to be ignored."""

    kind: str
    key: str
    at: int


Item = Job | Pause | Tick | Deadline


class Timers:
    """What is due later: jobs, expiring pauses, cron ticks, deadlines of flow control."""

    __slots__ = ("_awaited", "_heap", "_idle", "_order")

    #: Rebuild the heap once stale entries exceed this and outnumber live ones.
    LEFT_IN = 1_000

    def __init__(self, awaited: Callable[[Job | Pause | Deadline], bool]) -> None:
        self._heap: list[tuple[int, int, Item]] = []
        self._order = 0
        self._idle = 0
        self._awaited = awaited

    def add(self, due: int, item: Item) -> None:
        """Puts an item in for `due` (ms). Equal times keep their order."""
        self._order += 1
        heappush(self._heap, (due, self._order, item))

    def ended(self) -> None:
        """An item ended before its time: a wait of a year that ends at once must not be kept for a year."""
        self._idle += 1
        if self._idle > self.LEFT_IN and self._idle * 2 > len(self._heap):
            self._heap = [e for e in self._heap if isinstance(e[2], Tick) or self._awaited(e[2])]
            heapify(self._heap)
            self._idle = 0

    def next_due(self) -> int | None:
        """When the next item is due, if there is any."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: int) -> Item | None:
        """Takes one item that is due at `now`."""
        if self._heap and self._heap[0][0] <= now:
            return heappop(self._heap)[2]
        return None

    def items(self) -> list[Item]:
        """All that is due later, in no order."""
        return [item for _, _, item in self._heap]

    def __len__(self) -> int:
        return len(self._heap)


class Limit(msgspec.Struct, frozen=True, gc=False):
    """A concurrency key and how many may hold it at once."""

    key: str
    limit: int


class Entry(msgspec.Struct, gc=False):
    """A due job with what it needs."""

    job: Job
    function_id: str
    score: int  # ms; smaller goes first
    limits: tuple[Limit, ...] = ()
    order: int = 0  # among equal scores, first come, first served
    whole: tuple[Limit, ...] = ()  # keys that the run keeps until its end, once it has started
    gate: Gate | None = None  # the throttle that it has to pass yet
    since: int = 0  # when it was leased, ms
    turn: bool = False  # it came to the head of its throttle's queue

    @property
    def claims(self) -> tuple[Limit, ...]:
        """All keys that it needs."""
        return self.limits + self.whole if self.whole else self.limits


def _place(item: tuple[int, int, Entry]) -> tuple[int, int]:
    return item[:2]


def share(workers: int) -> int:
    """How many of the worker slots one function may hold: a tenth is left to the others, however slow its calls are."""
    return workers - workers // 10


class Slots:
    """The worker slots, handed out in turn between functions and by score within one."""

    __slots__ = ("_backlog", "_held", "_rotation", "_sated", "_share", "free")

    def __init__(self, workers: int) -> None:
        self.free = workers
        self._share = share(workers)
        self._held: dict[str, int] = {}
        self._backlog: dict[str, list[tuple[int, int, Entry]]] = {}
        self._rotation: deque[str] = deque()
        self._sated: set[str] = set()  # functions with a backlog that hold their share

    def contended(self, function_id: str) -> bool:
        """Whether anyone waits for a slot that a function holds or wants."""
        return bool(self._rotation) or function_id in self._sated

    def sated(self, function_id: str) -> bool:
        """Whether a function waits for slots while others may have some: it holds its share, for who asks."""
        return function_id in self._sated

    def admits(self, function_id: str) -> bool:
        """Whether a function may have a slot at once."""
        return self.free > 0 and not self._rotation and self._held.get(function_id, 0) < self._share

    def give(self, function_id: str) -> None:
        """A function takes a slot."""
        self.free -= 1
        self._held[function_id] = self._held.get(function_id, 0) + 1

    def take_back(self, function_id: str) -> None:
        """A function is done with a slot."""
        self.free += 1
        left = self._held[function_id] - 1
        if left:
            self._held[function_id] = left
        else:
            del self._held[function_id]
        if function_id in self._sated:
            self._sated.remove(function_id)
            self._rotation.append(function_id)

    def wait(self, entry: Entry) -> None:
        """Lets an entry wait for a slot."""
        backlog = self._backlog.get(entry.function_id)
        if backlog is None:
            backlog = self._backlog[entry.function_id] = []
            self._line_up(entry.function_id)
        heappush(backlog, (entry.score, entry.order, entry))

    def take(self) -> Entry | None:
        """The entry that goes next, of the function whose turn it is."""
        while self._rotation:
            function_id = self._rotation.popleft()
            if self._held.get(function_id, 0) >= self._share:
                self._sated.add(function_id)
                continue
            backlog = self._backlog[function_id]
            entry = heappop(backlog)[2]
            if backlog:
                self._rotation.append(function_id)
            else:
                del self._backlog[function_id]
            return entry
        return None

    def backlogs(self) -> Iterator[list[Entry]]:
        """Who waits for a slot, by function and in order, for who asks."""
        return ([entry for _, _, entry in sorted(waiting, key=_place)] for waiting in self._backlog.values())

    def waiting(self, function_id: str) -> int:
        """Return how many of a function wait for a slot."""
        return len(self._backlog.get(function_id, ()))

    def withdraw(self, function_id: str) -> list[Entry]:
        """Takes out what waits of a function."""
        backlog = self._backlog.pop(function_id, None)
        if backlog is None:
            return []
        if function_id in self._sated:
            self._sated.remove(function_id)
        else:
            self._rotation.remove(function_id)
        return [entry for _, _, entry in backlog]

    def __len__(self) -> int:
        return sum(map(len, self._backlog.values()))

    def _line_up(self, function_id: str) -> None:
        if self.free and self._held.get(function_id, 0) >= self._share:
            self._sated.add(function_id)
        else:
            self._rotation.append(function_id)


class Keys:
    """Concurrency keys: how many hold each, and who waits for it.

    Functions that share a key may each have another limit for it: those who wait are kept apart by limit.
    """

    __slots__ = ("_blocked", "held")

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self._blocked: dict[str, dict[int, list[tuple[int, int, Entry]]]] = {}

    def acquire(self, entry: Entry) -> bool:
        """Takes all keys of the entry, or none and lets it wait for the first that is full."""
        held, claims = self.held, entry.claims
        for limit in claims:
            if held.get(limit.key, 0) >= limit.limit:
                self.block(limit, entry)
                return False
        for limit in claims:
            held[limit.key] = held.get(limit.key, 0) + 1
        return True

    def calm(self, limits: Iterable[Limit]) -> bool:
        """Whether nobody waits for one of these keys, and none is held by more than it may be."""
        held, blocked = self.held, self._blocked
        return not any(limit.key in blocked or held[limit.key] > limit.limit for limit in limits)

    def block(self, limit: Limit, entry: Entry) -> None:
        """Lets an entry wait for a key."""
        waiting = self._blocked.setdefault(limit.key, {}).setdefault(limit.limit, [])
        heappush(waiting, (entry.score, entry.order, entry))

    def release(self, entry: Entry) -> None:
        """Gives the entry's keys back; `unblock` then tells who may go on."""
        for limit in entry.claims:
            self.drop(limit.key)

    def hold(self, key: str) -> None:
        """Counts a key that a run holds from before."""
        self.held[key] = self.held.get(key, 0) + 1

    def drop(self, key: str) -> None:
        """Gives one place under a key back."""
        left = self.held[key] - 1
        if left:
            self.held[key] = left
        else:
            del self.held[key]

    def unblock(self, *keys: str) -> Entry | None:
        """Takes the first of those that wait for one of the keys and may have it now."""
        best: tuple[int, int, Entry] | None = None
        place = ("", 0)
        for key in keys:
            held = self.held.get(key, 0)
            for limit, waiting in self._blocked.get(key, {}).items():
                if limit > held and (best is None or waiting[0][:2] < best[:2]):
                    best, place = waiting[0], (key, limit)
        if best is None:
            return None
        self._pop(*place)
        return best[2]

    def _pop(self, key: str, limit: int) -> None:
        groups = self._blocked[key]
        heappop(groups[limit])
        if not groups[limit]:
            del groups[limit]
        if not groups:
            del self._blocked[key]

    def withdraw(self, function_id: str) -> list[Entry]:
        """Takes out what waits of a function. Other functions' entries stay, which may share a key."""
        taken: list[Entry] = []
        for key, groups in list(self._blocked.items()):
            for limit, waiting in list(groups.items()):
                kept = [item for item in waiting if item[2].function_id != function_id]
                if len(kept) == len(waiting):
                    continue
                taken += [entry for _, _, entry in waiting if entry.function_id == function_id]
                heapify(kept)
                groups[limit] = kept
                if not kept:
                    del groups[limit]
            if not groups:
                del self._blocked[key]
        return taken

    def blocked(self) -> Iterator[tuple[str, list[Entry]]]:
        """Who waits for each key, in order, for who asks."""
        for key, groups in self._blocked.items():
            waiting = [item for group in groups.values() for item in group]
            yield key, [entry for _, _, entry in sorted(waiting, key=_place)]

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Yield what waits, each with its key, in no order."""
        for key, groups in self._blocked.items():
            for waiting in groups.values():
                for _, _, entry in waiting:
                    yield key, entry

    def waiting(self) -> int:
        """How many entries wait for a key."""
        return sum(len(waiting) for groups in self._blocked.values() for waiting in groups.values())


class Queue:
    """Leases due jobs as keys and slots allow.

    `awaited(item)` tells whether a timer still has something to do; `ready(entry)` whether one that waited may go on
    (else it is not the queue's any more); `admit(entry)` whether one with a gate may pass it (else it waits there);
    `lease(entry)` is called for each job that may run now.
    """

    __slots__ = ("_admit", "_lease", "_order", "_ready", "keys", "leases", "slots", "timers")

    def __init__(
        self, workers: int, awaited: Callable[[Job | Pause | Deadline], bool], ready: Callable[[Entry], bool],
        admit: Callable[[Entry], bool], lease: Callable[[Entry], None],
    ) -> None:  # fmt: skip
        self.timers = Timers(awaited)
        self.slots = Slots(workers)
        self.keys = Keys()
        self.leases: dict[tuple[str, int], Entry] = {}
        self._ready = ready
        self._admit = admit
        self._lease = lease
        self._order = 0

    def push(self, entry: Entry) -> None:
        """A job is due: leases it now, or lets it wait."""
        self._number(entry)
        self._enter(entry)

    def drop(self, key: str) -> None:
        """A run ended that held a key as a whole: its place goes to who waits for it."""
        self.keys.drop(key)
        self.wake(key)

    def release(self, job: Job) -> None:
        """A leased job is done with: its keys and slot go to who waits for them."""
        entry = self.leases.pop((job.run_id, job.no), None)
        if entry is not None:
            self._free(entry)

    def succeed(self, job: Job, successor: Entry) -> None:
        """A leased job is done with. Its `successor` competes, by its score, for the place that this frees."""
        entry = self.leases.pop((job.run_id, job.no))
        successor.order = entry.order  # runs of one moment keep their order
        if successor.limits:
            self.keys.block(successor.limits[0], successor)
        else:
            self.slots.wait(successor)
        self._free(entry)
        for limit in successor.limits[:1]:
            self.wake(limit.key)
        self._fill()

    def chain(self, entry: Entry, successor: Job) -> bool:
        """Hand a lease and its keys over to the run's next job, which needs the same: no trip through the queue.

        Returns whether that was done. It is not while others wait for a slot or for one of the keys.
        """
        if self.slots.contended(entry.function_id) or (entry.limits and not self.keys.calm(entry.limits)):
            return False
        del self.leases[entry.job.run_id, entry.job.no]
        self._grant(Entry(successor, entry.function_id, entry.score, entry.limits, entry.order))
        return True

    def _enter(self, entry: Entry) -> None:
        if not entry.claims or self.keys.acquire(entry):
            self._pass(entry)

    def _pass(self, entry: Entry) -> None:
        """It has its keys. One that must wait at its gate holds none meanwhile."""
        if entry.gate is not None and not self._admit(entry):
            self.keys.release(entry)
        else:
            self._slot(entry)

    def _number(self, entry: Entry) -> None:
        """Gives an entry its place among equals; one that comes back keeps its own."""
        if not entry.order:
            self._order += 1
            entry.order = self._order

    def _free(self, entry: Entry) -> None:
        self.slots.take_back(entry.function_id)
        self._forfeit(entry)
        self._fill()

    def _slot(self, entry: Entry) -> None:
        if self.slots.admits(entry.function_id):
            self.slots.give(entry.function_id)
            self._grant(entry)
        else:
            self.slots.wait(entry)

    def _grant(self, entry: Entry) -> None:
        self.leases[entry.job.run_id, entry.job.no] = entry
        self._lease(entry)

    def wake(self, *keys: str) -> None:
        """Lets those go on who wait for one of the keys, in their order, as far as it is free."""
        while (entry := self.keys.unblock(*keys)) is not None:
            if self._ready(entry):
                self._enter(entry)

    def _fill(self) -> None:
        while self.slots.free > 0:
            entry = self.slots.take()
            if entry is None:
                return
            if self._ready(entry):
                self.slots.give(entry.function_id)
                self._grant(entry)
            else:
                self._forfeit(entry)

    def _forfeit(self, entry: Entry) -> None:
        """Gives keys up: their job is done with, or was cancelled while it waited for a slot."""
        claims = entry.claims
        self.keys.release(entry)
        if claims:
            self.wake(*(limit.key for limit in claims))
