"""The queue: timers, concurrency keys with their FIFOs of blocked jobs, and the worker slots.

A job that is due first needs a place under each of its concurrency keys, then a worker slot. What it can't get it
waits for in exactly one place, ordered by score (older runs first, priority moves a run ahead): releasing a key or a
slot wakes exactly one waiter, in O(log n), and nothing is ever scanned. Entries of jobs that were cancelled meanwhile
are skipped when they come up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

import msgspec

from holdfast.server.model.job import Job, Pause


class Tick(msgspec.Struct, frozen=True, gc=False):
    """A cron schedule's next moment."""

    function_id: str
    cron: str
    at: int  # the tick itself, ms
    version: int  # of the function: a newer registration makes the old loop stop


class Timers:
    """What is due later: jobs, expiring pauses, cron ticks."""

    __slots__ = ("_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job | Pause | Tick]] = []
        self._order = 0

    def add(self, due: int, item: Job | Pause | Tick) -> None:
        """Puts an item in for `due` (ms). Equal times keep their order."""
        self._order += 1
        heappush(self._heap, (due, self._order, item))

    def next_due(self) -> int | None:
        """When the next item is due, if there is any."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: int) -> Job | Pause | Tick | None:
        """Takes one item that is due at `now`."""
        if self._heap and self._heap[0][0] <= now:
            return heappop(self._heap)[2]
        return None

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


class Slots:
    """The worker slots, handed out in turn between functions and by score within one."""

    __slots__ = ("_backlog", "_order", "_rotation", "free")

    def __init__(self, workers: int) -> None:
        self.free = workers
        self._backlog: dict[str, list[tuple[int, int, Entry]]] = {}
        self._rotation: deque[str] = deque()
        self._order = 0

    @property
    def contended(self) -> bool:
        """Whether anyone waits for a slot."""
        return bool(self._rotation)

    def wait(self, entry: Entry) -> None:
        """Lets an entry wait for a slot."""
        self._order += 1
        backlog = self._backlog.get(entry.function_id)
        if backlog is None:
            backlog = self._backlog[entry.function_id] = []
            self._rotation.append(entry.function_id)
        heappush(backlog, (entry.score, self._order, entry))

    def take(self) -> Entry | None:
        """The entry that goes next, of the function whose turn it is."""
        if not self._rotation:
            return None
        function_id = self._rotation.popleft()
        backlog = self._backlog[function_id]
        entry = heappop(backlog)[2]
        if backlog:
            self._rotation.append(function_id)
        else:
            del self._backlog[function_id]
        return entry

    def __len__(self) -> int:
        return sum(map(len, self._backlog.values()))


class Keys:
    """Concurrency keys: how many hold each, and who waits for it."""

    __slots__ = ("_blocked", "_order", "held")

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self._blocked: dict[str, list[tuple[int, int, Entry]]] = {}
        self._order = 0

    def acquire(self, entry: Entry) -> bool:
        """Takes all keys of the entry, or none and lets it wait for the first that is full."""
        held = self.held
        for limit in entry.limits:
            if held.get(limit.key, 0) >= limit.limit:
                self.block(limit.key, entry)
                return False
        for limit in entry.limits:
            held[limit.key] = held.get(limit.key, 0) + 1
        return True

    def block(self, key: str, entry: Entry) -> None:
        """Lets an entry wait for a key."""
        self._order += 1
        heappush(self._blocked.setdefault(key, []), (entry.score, self._order, entry))

    def release(self, entry: Entry) -> None:
        """Gives the entry's keys back; `unblock` then tells who can go on."""
        held = self.held
        for limit in entry.limits:
            left = held[limit.key] - 1
            if left:
                held[limit.key] = left
            else:
                del held[limit.key]

    def unblock(self, key: str) -> Entry | None:
        """Takes the first that waits for a key."""
        waiting = self._blocked.get(key)
        if not waiting:
            return None
        entry = heappop(waiting)[2]
        if not waiting:
            del self._blocked[key]
        return entry

    def waiting(self) -> int:
        """How many entries wait for a key."""
        return sum(map(len, self._blocked.values()))


class Queue:
    """Leases due jobs as keys and slots allow.

    `current(job)` tells whether a job still stands; `lease(entry)` is called for each job that may run now.
    """

    __slots__ = ("_current", "_lease", "keys", "leases", "slots", "timers")

    def __init__(self, workers: int, current: Callable[[Job], bool], lease: Callable[[Entry], None]) -> None:
        self.timers = Timers()
        self.slots = Slots(workers)
        self.keys = Keys()
        self.leases: dict[tuple[str, int], Entry] = {}
        self._current = current
        self._lease = lease

    def push(self, entry: Entry) -> None:
        """A job is due: leases it now, or lets it wait."""
        if not entry.limits or self.keys.acquire(entry):
            self._slot(entry)

    def release(self, job: Job) -> None:
        """A leased job is done with: its keys and slot go to who waits for them."""
        entry = self.leases.pop((job.run_id, job.no), None)
        if entry is None:
            return
        self.slots.free += 1
        if entry.limits:
            self.keys.release(entry)
            for limit in entry.limits:
                self._wake(limit)
        self._fill()

    def chain(self, job: Job, successor: Job) -> bool:
        """Hands a lease without keys over to the run's next job: no trip through the queue between two steps."""
        entry = self.leases.get((job.run_id, job.no))
        if entry is None or entry.limits or self.slots.contended:  # others wait: take turns
            return False
        del self.leases[job.run_id, job.no]
        self._grant(Entry(successor, entry.function_id, entry.score))
        return True

    def _slot(self, entry: Entry) -> None:
        if self.slots.free > 0:
            self.slots.free -= 1
            self._grant(entry)
        else:
            self.slots.wait(entry)

    def _grant(self, entry: Entry) -> None:
        self.leases[entry.job.run_id, entry.job.no] = entry
        self._lease(entry)

    def _wake(self, limit: Limit) -> None:
        while self.keys.held.get(limit.key, 0) < limit.limit:
            entry = self.keys.unblock(limit.key)
            if entry is None:
                return
            if self._current(entry.job):
                self.push(entry)

    def _fill(self) -> None:
        while self.slots.free > 0:
            entry = self.slots.take()
            if entry is None:
                return
            if self._current(entry.job):
                self.slots.free -= 1
                self._grant(entry)
            elif entry.limits:
                self._forfeit(entry)

    def _forfeit(self, entry: Entry) -> None:
        """Its job was cancelled while it held keys and waited for a slot."""
        self.keys.release(entry)
        for limit in entry.limits:
            self._wake(limit)
