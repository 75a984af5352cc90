"""Who is connected, and who takes the next call of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from holdfast.server.connect.driver import Call


class Status(IntEnum):
    """Where a connection stands; the numbers are the protocol's."""

    CONNECTED = 0
    READY = 1
    DRAINING = 2
    DISCONNECTING = 3
    DISCONNECTED = 4


#: Where a connection that is open may stand.
OPEN: Final = (Status.CONNECTED, Status.READY, Status.DRAINING, Status.DISCONNECTING)


class Peer(Protocol):
    """The worker's end of a connection: what can be said to it."""

    @property
    def stalled(self) -> bool:
        """Whether it reads too slowly to be given more."""
        ...

    def request(self, call: Call) -> None:
        """Send a call."""
        ...

    def lost(self, call: Call) -> None:
        """Say that the worker has lost a call."""
        ...

    def acknowledge(self, request_id: str) -> None:
        """Say that a reply is durable."""
        ...


class Group(msgspec.Struct, eq=False):
    """All workers that run the same version of an app: same functions, SDK and app version."""

    app_id: str
    app_name: str
    app_version: str
    hash: str
    slugs: frozenset[str]
    since: int  # ms: when the first of them connected; a later group is a newer version
    sync_id: str = ""
    workers: dict[Worker, None] = {}
    free: dict[Worker, None] = {}  # who may take a call, in turn

    def take_turn(self) -> Worker | None:
        """Return the free worker whose turn it is, and put it last."""
        worker = next(iter(self.free), None)
        if worker is not None:
            del self.free[worker]
            self.free[worker] = None
        return worker


class Instance:
    """A worker process by the name that it gave itself. During a reconnect it has two connections.

    Processes that share a name (by default that of their host) have one connection each: what they may take together
    is counted by their ready connections.
    """

    __slots__ = ("held", "id", "ready", "workers")

    def __init__(self, id: str) -> None:
        self.id = id
        self.held = 0
        self.ready = 0
        self.workers: dict[Worker, None] = {}


class About(msgspec.Struct, frozen=True):
    """What a worker says about itself."""

    sdk_language: str = ""
    sdk_version: str = ""
    platform: str = ""
    cpu_cores: int = 0
    memory_bytes: int = 0
    os: str = ""


class Worker:
    """One connection of a worker, which runs one or more apps.

    `limit` is the most calls that it takes at once, 0 for any number. Times in ms since the epoch.
    """

    __slots__ = (
        "about", "address", "calls", "groups", "heartbeat_at", "id", "instance", "limit", "peer", "routable", "since",
        "status",
    )  # fmt: skip

    def __init__(
        self, id: str, instance: Instance, peer: Peer, groups: Iterable[Group], *, limit: int, about: About,
        address: str, now: int,
    ) -> None:  # fmt: skip
        self.id = id
        self.instance = instance
        self.peer = peer
        self.groups = {group.app_id: group for group in groups}
        self.limit = limit
        self.about = about
        self.address = address
        self.since = now
        self.heartbeat_at = now
        self.status = Status.CONNECTED
        self.routable = False  # ready, and heard of lately
        self.calls: dict[str, Call] = {}

    @property
    def free(self) -> bool:
        """Whether it may take one more call."""
        if not self.routable or self.peer.stalled:
            return False
        instance = self.instance
        return not self.limit or (len(self.calls) < self.limit and instance.held < self.limit * instance.ready)


class _Capacity:
    """What the routable workers of an app take together."""

    __slots__ = ("limited", "unlimited")

    def __init__(self) -> None:
        self.unlimited = 0  # workers without a limit
        self.limited = 0  # sum of the limits of the others

    def add(self, limit: int, sign: int) -> None:
        if limit:
            self.limited += sign * limit
        else:
            self.unlimited += sign

    @property
    def units(self) -> int | None:
        return None if self.unlimited else self.limited


class Roster:
    """All connections.

    `on_capacity(app, units)` hears how many calls at once an app's workers take (None: any number), `on_free(apps)`
    that a worker of these apps can take a call again; `on_opened`, `on_closed(worker, time, reason)` and
    `on_group_left` hear of connections, and of versions whose last worker left.
    """

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.on_capacity: Callable[[str, int | None], None] = lambda _app, _units: None
        self.on_free: Callable[[Iterable[str]], None] = lambda _apps: None
        self.on_opened: Callable[[Worker], None] = lambda _worker: None
        self.on_closed: Callable[[Worker, int, str], None] = lambda _worker, _at, _reason: None
        self.on_group_left: Callable[[Group], None] = lambda _group: None
        self.gone_since: dict[str, int] = {}
        """When the last worker of an app left, by app."""
        self._groups: dict[str, dict[str, Group]] = {}  # by app, newest first, and hash
        self._instances: dict[str, Instance] = {}
        self._capacities: dict[str, _Capacity] = {}

    # --- coming and going ---------------------------------------------------------------------------------------------

    def instance(self, id: str) -> Instance:
        """Return the instance of a name."""
        return self._instances.get(id) or self._instances.setdefault(id, Instance(id))

    def group(self, app_id: str, hash: str) -> Group | None:
        """Return a group that has connections."""
        return self._groups.get(app_id, {}).get(hash)

    def groups(self) -> Iterator[Group]:
        """Yield all groups that have connections."""
        return (group for groups in self._groups.values() for group in groups.values())

    def add(self, worker: Worker) -> None:
        """Take a connection in; it gets no calls before it is ready."""
        self.workers[worker.id] = worker
        worker.instance.workers[worker] = None
        for group in worker.groups.values():
            group.workers[worker] = None
            known = self._groups.setdefault(group.app_id, {})
            if group.hash not in known:
                known[group.hash] = group
                ordered = sorted(known.values(), key=lambda each: each.since, reverse=True)
                self._groups[group.app_id] = {each.hash: each for each in ordered}
        self.on_opened(worker)

    def ready(self, worker: Worker) -> None:
        """Let a connection have calls, unless it is leaving."""
        if worker.status is Status.CONNECTED:
            worker.status = Status.READY
            self._set_routable(worker, routable=True)

    def leaving(self, worker: Worker, status: Status) -> None:
        """Give a connection no more calls; those that it has go on."""
        worker.status = max(worker.status, status)
        self._set_routable(worker, routable=False)

    def heard(self, worker: Worker, now: int) -> None:
        """Note a heartbeat."""
        worker.heartbeat_at = now
        if worker.status is Status.READY and not worker.routable:
            self._set_routable(worker, routable=True)

    def silent(self, worker: Worker) -> None:
        """Give no calls to a connection that was not heard of, until it is."""
        self._set_routable(worker, routable=False)

    def remove(self, worker: Worker, reason: str, now: int) -> None:
        """Forget a connection that is closed."""
        if self.workers.pop(worker.id, None) is None:
            return
        self.leaving(worker, Status.DISCONNECTED)
        del worker.instance.workers[worker]
        if not worker.instance.workers and not worker.instance.held:
            self._instances.pop(worker.instance.id, None)
        for group in worker.groups.values():
            del group.workers[worker]
            if not group.workers:
                self._forget_group(group, now)
        self.on_closed(worker, now, reason)

    def _forget_group(self, group: Group, now: int) -> None:
        groups = self._groups[group.app_id]
        groups.pop(group.hash, None)
        self.on_group_left(group)
        if not groups:
            del self._groups[group.app_id]
            self.gone_since[group.app_id] = now

    # --- capacity -----------------------------------------------------------------------------------------------------

    def _set_routable(self, worker: Worker, *, routable: bool) -> None:
        if worker.routable == routable:
            return
        worker.routable = routable
        worker.instance.ready += 1 if routable else -1
        for app_id in worker.groups:
            self._count(app_id, worker.limit, 1 if routable else -1)
        self.refresh(worker)

    def refresh(self, worker: Worker) -> None:
        """Look anew at whether a connection, and others of its instance, can take calls."""
        for each in list(worker.instance.workers):
            free = each.free
            for group in each.groups.values():
                if free:
                    group.free.setdefault(each, None)
                else:
                    group.free.pop(each, None)
        if worker.free:
            self.on_free(worker.groups)

    def _count(self, app_id: str, limit: int, sign: int) -> None:
        capacity = self._capacities.setdefault(app_id, _Capacity())
        before = capacity.units
        capacity.add(limit, sign)
        if capacity.units != before:
            self.on_capacity(app_id, capacity.units)

    def units(self, app_id: str) -> int | None:
        """Return how many calls at once an app's workers take; None: any number."""
        capacity = self._capacities.get(app_id)
        return capacity.units if capacity is not None else 0

    # --- routing ------------------------------------------------------------------------------------------------------

    def pick(self, app_id: str, slug: str) -> Worker | None:
        """Return who takes the next call of a function: of the newest version that has it and is free, in turn."""
        for group in self._groups.get(app_id, {}).values():
            if slug in group.slugs:
                while (worker := group.take_turn()) is not None:
                    if worker.free:
                        return worker
                    del group.free[worker]
        return None

    def serves(self, app_id: str, slug: str) -> bool:
        """Return whether any worker that takes calls has a function."""
        groups = self._groups.get(app_id, {}).values()
        return any(slug in group.slugs and any(w.routable for w in group.workers) for group in groups)

    def hold(self, worker: Worker, call: Call) -> None:
        """Count a call as a worker's."""
        worker.calls[call.id] = call
        worker.instance.held += 1
        if worker.limit:
            self.refresh(worker)

    def release(self, worker: Worker, call: Call) -> None:
        """Count a call as ended."""
        if worker.calls.pop(call.id, None) is None:
            return
        instance = worker.instance
        instance.held -= 1
        if worker.limit:
            self.refresh(worker)
        if not instance.held and not instance.workers:
            self._instances.pop(instance.id, None)
