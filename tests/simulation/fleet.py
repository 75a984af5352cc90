"""Workers around the real Connect driver and roster, in the simulation's virtual time.

Processes run calls, renew leases, keep replies until they are acknowledged, and connect again; their sockets break, go
silent, or are half-open, and they die and drain. What a lease and an acknowledgement promise is checked at each call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from holdfast.protocol.ids import ulid
from holdfast.protocol.responses import read_response
from holdfast.server.connect.driver import Call, ConnectDriver
from holdfast.server.connect.roster import About, Group, Roster, Status, Worker
from holdfast.server.drivers.driver import Done, Late, Request, Work
from holdfast.server.model.job import Job
from holdfast.server.store.store import StoreError

from . import sdk
from .app import bad_reply, play, read
from .program import Program

if TYPE_CHECKING:
    from .world import World

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
LEASE_S = 120
APP = "id-app"

#: What a call asks for: its work, how many answers without news came before it, how many steps are saved.
Question: TypeAlias = tuple[Work, int, int]


class VirtualLoop:
    """As much of an event loop as the driver asks for. One that is dead calls nobody back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False

    def time(self) -> float:
        return self.world.time / 1_000

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Timer:
        return self.call_later(0, callback, *args)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer:
        return self.call_later(max(0, when - self.time()), callback, *args)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer()

        def due() -> None:
            if not self.dead and not timer.cancelled:
                callback(*args)

        self.world.later(-int(-delay * 1_000 // 1), "", due)
        return timer


class Timer:
    """A callback that may be cancelled."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Task:
    """A call that a process is at. `until`: when its lease ends."""

    request_id: str
    work: Work
    job: Job
    memo: int  # steps that it was told
    lease: str
    until: int
    accepted: bool = False  # the server was told, and knows it in this life


@dataclass
class Kept:
    """A reply that is not acknowledged yet."""

    task: Task
    answer: Callable[[], sdk.Reply | None]
    reply: sdk.Reply | None = None
    flushing: bool = False


class Line:
    """One socket. Once it is cut nothing gets through, whoever knows that."""

    stalled = False

    def __init__(self, process: Process) -> None:
        self.process = process
        self.worker: Worker | None = None
        self.cut = False
        self._arrival = 0  # of the last frame: they don't overtake each other

    def request(self, call: Call) -> None:
        self.process.fleet.check_sent(self, call)
        lease, until = call.lease, self.process.fleet.leases[call.lease]
        self._deliver("request", lambda: self.process.receive(self, call, lease, until))

    def lost(self, call: Call) -> None:
        if (task := self.process.tasks.get(call.id)) is not None:
            task.until = 0  # it is taken away now, though the process hears of it later
        self._deliver("lease lost", lambda: self.process.refused(call.id))

    def acknowledge(self, request_id: str) -> None:
        self._deliver("acknowledgement", lambda: self.process.replies.pop(request_id, None))

    def _deliver(self, label: str, action: Callable[[], object]) -> None:
        world = self.process.fleet.world
        self._arrival = max(self._arrival, world.time + world.random.choice((0, 1, 5)))
        world.later(self._arrival - world.time, f"{self.process.name}: {label}", lambda: self.cut or action())


@dataclass(eq=False)
class Process:
    """A worker process."""

    fleet: Fleet
    name: str
    version: str
    limit: int
    stops: bool  # a call whose lease it lost, as the Python SDK does
    line: Line | None = None
    dead: bool = False
    leaving: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)
    replies: dict[str, Kept] = field(default_factory=dict)

    # --- its socket ---------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        if self.dead:
            return
        if self.line is not None:
            self.line.cut = True  # it thinks so; the server may notice later
        self.line = self.fleet.open(self)
        if self.leaving:
            self.fleet.roster.leaving(self.worker, Status.DRAINING)

    @property
    def worker(self) -> Worker:
        assert self.line is not None
        assert self.line.worker is not None
        return self.line.worker

    @property
    def online(self) -> bool:
        return self.line is not None and not self.line.cut

    # --- calls --------------------------------------------------------------------------------------------------------

    def receive(self, line: Line, call: Call, lease: str, until: int) -> None:
        world, fleet = self.fleet.world, self.fleet
        if self.dead or self.leaving or line is not self.line or world.random.random() < 0.03:
            return  # it says nothing, and runs nothing
        known = fleet.known.get(call.id)
        if known is None:
            return  # of a life before
        program, job, asked = known
        task = Task(call.id, call.request.work, job, len(asked.memo), lease, until)
        fleet.check_start(self, task)
        self.tasks[call.id] = task
        fleet.accept(line, task)
        world.later(LEASE_S * 250, "", lambda: self.renew(task))
        if fleet.spare(task) and world.random.random() < world.faults:
            bad = bad_reply(world.random)
            delay, answer = world.latency(), lambda: bad
        else:
            delay, answer = play(world, program, call.request.context.item, asked)
        if world.random.random() < 0.1:
            delay += world.random.choice((MINUTE, 10 * MINUTE))  # longer than a lease
        world.later(delay, f"{self.name} is done with {call.id[-4:]}", lambda: self.finish(task, answer))

    def renew(self, task: Task) -> None:
        if self.tasks.get(task.request_id) is not task:
            return
        if self.online:
            lease = self.fleet.driver.extend(self.worker, task.request_id, task.lease)
            if not lease:
                self.refused(task.request_id)
            else:
                task.lease, task.until, task.accepted = lease, self.fleet.leases[lease], True
        self.fleet.world.later(LEASE_S * 250, "", lambda: self.renew(task))

    def refused(self, request_id: str) -> None:
        task = self.tasks.get(request_id)
        if task is not None:
            task.until = 0
            if self.stops:
                del self.tasks[request_id]

    def finish(self, task: Task, answer: Callable[[], sdk.Reply | None]) -> None:
        if self.dead or self.tasks.pop(task.request_id, None) is not task:
            return
        self.replies[task.request_id] = kept = Kept(task, answer)
        for _ in range(2 if self.fleet.world.random.random() < 0.1 else 1):
            self.fleet.world.later(self.fleet.world.latency(), f"{self.name} replies", lambda: self.hand_in(kept))
        self.rest()

    def hand_in(self, kept: Kept) -> None:
        """Reply over the socket; over HTTP if that is gone, or if it was not acknowledged in time."""
        if self.dead or self.replies.get(kept.task.request_id) is not kept:
            return
        kept.reply = kept.reply or kept.answer()
        if kept.reply is None:
            del self.replies[kept.task.request_id]
            self.die()
            return
        over_http = not self.online or kept.flushing
        kept.flushing = True
        forget = (lambda: self.replies.pop(kept.task.request_id, None)) if over_http else None
        self.fleet.reply(None if over_http else self.line, kept.task, kept.reply, forget)
        self.fleet.world.later(5 * SECOND, f"{self.name} replies again", lambda: self.hand_in(kept))

    # --- its ends -----------------------------------------------------------------------------------------------------

    def die(self) -> None:
        """Be killed, unless a run would fail of that for good: the program knows nothing of such ends."""
        at_risk = [*self.tasks.values(), *(kept.task for kept in self.replies.values())]
        if self.dead or not all(self.fleet.spare(task) for task in at_risk):
            if not self.dead:  # it gets away with a broken socket, and its call was for nothing
                self.tear()
            return
        self.dead = True
        self.tasks.clear()
        self.replies.clear()
        if self.line is not None:
            self.fleet.lose(self.line)
        self.fleet.hire_soon(self)

    def tear(self) -> None:
        """Lose the socket; both sides notice."""
        if self.line is not None and not self.dead:
            self.fleet.lose(self.line)
            delay = self.fleet.world.random.choice((10, SECOND, 20 * SECOND))
            self.fleet.world.later(delay, f"{self.name} connects again", self.connect)

    def vanish(self) -> None:
        """The network drops everything, and tells nobody: the socket is half-open."""
        line, world = self.line, self.fleet.world
        if line is None or line.cut or self.dead:
            return
        line.cut = True
        world.later(20 * SECOND, f"{self.name} is silent", lambda: self.fleet.silent(line))
        world.later(50 * SECOND, f"{self.name} counts as dead", lambda: self.fleet.lose(line))
        world.later(world.random.choice((15, 35, 55)) * SECOND, f"{self.name} connects again", self.connect)

    def leave(self) -> None:
        """Drain."""
        if self.dead or self.leaving:
            return
        self.leaving = True
        if self.online:
            self.fleet.roster.leaving(self.worker, Status.DRAINING)
            self.fleet.driver.unaccepted(self.worker)
        self.rest()

    def rest(self) -> None:
        """End, if it leaves and has nothing left to do."""
        if self.leaving and not self.tasks and not self.dead:
            if self.replies:
                self.fleet.world.later(SECOND, "", self.rest)
                return
            self.dead = True
            if self.line is not None:
                self.fleet.lose(self.line)
            self.fleet.hire_soon(self)


class Fleet:
    """All processes, and the server's side of their sockets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[str, tuple[Program, Job, sdk.Asked]] = {}
        self.leases: dict[str, int] = {}  # when they end, in the time of the world
        self.acknowledged: set[Question] = set()
        self.since: dict[str, int] = {}  # of each version; the store has them
        self.processes: list[Process] = []
        self.calls = 0
        self._serial = 0
        self._started = False
        self._found()

    # --- lives of the server ------------------------------------------------------------------------------------------

    def _found(self) -> None:
        """A server begins, without a worker."""
        self.loop = VirtualLoop(self.world)
        self.roster = Roster()
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(cast("asyncio.AbstractEventLoop", self.loop))
        try:
            self.driver = ConnectDriver(
                self.roster, self._lease, lambda: self.world.time, self._late, lease_s=LEASE_S, grace_s=5
            )
        finally:
            asyncio._set_running_loop(running)
        self.roster.on_capacity = self._capacity

    def crashed(self) -> None:
        """The server died: its sockets break, and it comes back knowing of nothing."""
        self.loop.dead = True
        self.known.clear()
        self._found()
        for process in self.processes:
            for task in process.tasks.values():
                task.accepted = False
            if not process.dead and process.line is not None:
                process.line.cut = True
                self.world.later(self.world.random.choice((10, 5 * SECOND)), "back after a crash", process.connect)

    def _lease(self, ends: int) -> str:
        self._serial += 1
        lease = ulid(ends, self._serial)
        self.leases[lease] = ends
        return lease

    def _capacity(self, app_id: str, units: int | None) -> None:
        with contextlib.suppress(StoreError):  # a reload asks the roster
            self.world.partition.give(lambda engine, now: engine.set_capacity(app_id, units, now))
        if units == 0:
            self.driver.emptied(app_id)

    # --- processes ----------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Hire, and plan what happens to whom."""
        world, random = self.world, self.world.random
        for _ in range(random.randint(1, 3)):
            self.hire("1")
        for _ in range(random.randint(0, 8)):
            what = random.choice(("die", "tear", "tear", "vanish", "leave"))
            world.later(world.sometime(), f"a worker: {what}", partial(self._befall, what))
        if random.random() < 0.5:
            world.later(random.randrange(HOUR), "version 2", lambda: self.hire("2"))

    def hire(self, version: str) -> None:
        self._serial += 1
        random = self.world.random
        process = Process(
            self, f"w{self._serial}", version, random.choice((0, 0, 1, 2)), random.random() < 0.5,
        )  # fmt: skip
        self.processes.append(process)
        process.connect()

    def hire_soon(self, after: Process) -> None:
        self.processes.remove(after)
        self.world.later(
            self.world.random.choice((SECOND, MINUTE, HOUR)), "a new worker", partial(self.hire, after.version)
        )

    def _befall(self, what: str) -> None:
        if self.processes:
            process = self.world.random.choice(self.processes)
            self.world.log(f"{'':>12}  {process.name}: {what}")
            getattr(process, what)()

    # --- sockets ------------------------------------------------------------------------------------------------------

    def open(self, process: Process) -> Line:
        line = Line(process)
        hash = f"hash-{process.version}"
        group = self.roster.group(APP, hash)
        if group is None:
            slugs = frozenset(program.slug for program in self.world.programs.values())
            group = Group(APP, "app", process.version, hash, slugs, self.since.setdefault(hash, self.world.time))
        self._serial += 1
        line.worker = Worker(
            f"conn-{self._serial}", self.roster.instance(process.name), line, [group], limit=process.limit,
            about=About(), address="", now=self.world.time,
        )  # fmt: skip
        process.line = line
        self.roster.add(line.worker)
        self.roster.ready(line.worker)
        return line

    def silent(self, line: Line) -> None:
        if line.worker is not None and line.worker.id in self.roster.workers and line.worker.status is Status.READY:
            self.roster.silent(line.worker)

    def lose(self, line: Line) -> None:
        line.cut = True
        if line.worker is not None and line.worker.id in self.roster.workers:
            self.roster.remove(line.worker, "UNEXPECTED", self.world.time)
            self.driver.unaccepted(line.worker)

    # --- calls --------------------------------------------------------------------------------------------------------

    def call(self, request: Request, done: Done) -> None:
        """Send a call: the driver protocol, as are the next three."""
        program, job, asked = read(self.world, request)
        self.calls += 1
        self.known[request.context.request_id] = (program, job, asked)
        assert (request.work, job.idle, len(asked.memo)) not in self.acknowledged, (
            f"{request.work} is made again, though its reply was acknowledged"
        )
        self.driver.call(request, done)

    def abandon(self, run_id: str) -> None:
        self.driver.abandon(run_id)

    def forget(self) -> None:
        self.driver.forget()

    async def close(self) -> None:
        await self.driver.close()

    def _late(self, late: Late) -> None:
        self.world.dispatcher.answer_late(late)

    def accept(self, line: Line, task: Task) -> None:
        """A process says that it has a call."""

        def arrives() -> None:
            if line.cut or line.worker is None:
                return
            self.driver.accepted(line.worker, task.request_id)
            call = self.driver._calls.get(task.request_id)
            task.accepted = call is not None and call.worker is line.worker

        self.world.later(self.world.random.choice((0, 1, 20)), "accepted", arrives)

    def reply(self, line: Line | None, task: Task, reply: sdk.Reply, forget: Callable[[], object] | None) -> None:
        """A reply comes in. It is acknowledged with the commit; over HTTP that is the answer."""
        outcome = read_response(reply.status, reply.headers, reply.body, self.world.now)
        worker = line.worker if line is not None else None
        assert self.driver.reply(worker, task.request_id, task.work, outcome)

        def committed(error: StoreError | None) -> None:
            if error is not None:
                return
            if not task.job.op:  # a gateway step is not kept before it is performed: it is asked for again
                self.acknowledged.add((task.work, task.job.idle, task.memo))
            if line is not None:
                line.acknowledge(task.request_id)
            elif forget is not None:
                forget()

        self.world.partition.on_commit(committed)

    # --- promises -----------------------------------------------------------------------------------------------------

    def spare(self, task: Task) -> bool:
        """Whether an attempt may fail of something that its program does not know."""
        return task.job.attempt + 1 < task.job.max_attempts

    def check_sent(self, line: Line, call: Call) -> None:
        """A worker gets no more than it takes, and an old version only what no newer one is free for."""
        worker = line.worker
        assert worker is not None
        assert worker.routable
        assert not worker.limit or len(worker.calls) <= worker.limit, f"{worker.id} has too many calls"
        _, job, asked = self.known[call.id]
        question = (call.request.work, job.idle, len(asked.memo))
        assert question not in self.acknowledged, "a call is sent whose reply was acknowledged"
        since = worker.groups[APP].since
        better = [other.id for other in self.roster.workers.values() if other.groups[APP].since > since and other.free]
        assert not better, f"{call.id} went to an old version, though {better} are free"

    def check_start(self, process: Process, task: Task) -> None:
        """Nobody else is at this call with a lease that lives, and that the server knows to be taken."""
        for other in self.processes:
            for known in other.tasks.values():
                if known.work == task.work and known.accepted and known.until > self.world.time:
                    raise AssertionError(f"{process.name} and {other.name} have the same call")

    def at_rest(self) -> None:
        """Nothing is left."""
        assert len(self.driver) == self.driver.waiting == 0
        assert not self.driver._orphans
        assert not self.driver._runs
        assert not len(self.driver._leases)
        assert not len(self.driver._ends)
        assert all(not worker.calls for worker in self.roster.workers.values())
        assert all(not instance.held for instance in self.roster._instances.values())
        assert all(not process.tasks and not process.replies for process in self.processes)
