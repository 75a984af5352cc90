"""Calls to workers: leases, acknowledgements, replies. The second implementation of the driver protocol.

A worker holds a call by a lease that it renews. While the lease lives nobody else gets the call; a worker that let it
lapse has lost it. A reply is acknowledged once what follows from it is committed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from holdfast.protocol.errors import server_error
from holdfast.protocol.limits import CALL_TIMEOUT_S
from holdfast.protocol.responses import Outcome
from holdfast.server.connect.roster import Roster, Worker
from holdfast.server.drivers.deadlines import Deadlines
from holdfast.server.drivers.driver import Done, Late, Request, Work

log = structlog.get_logger(__name__)

#: Seconds that a worker's lease lasts; it renews it four times as often.
LEASE_S: Final = 120
#: Seconds that a reply may come late.
GRACE_S: Final = 5
#: Seconds after which a call fails whose function no connected worker has.
UNSERVED_S: Final = 10

STOPPED: Final = ("connect_worker_stopped_responding", "The worker stopped responding to the request.")
UNSERVED: Final = ("connect_no_healthy_connection", "No connected worker has this function.")
TOO_LONG: Final = ("request_duration_too_long", "The worker did not reply within two hours.")


class Call:
    """One call on its way. `worker` is who has it; None while it waits for one."""

    __slots__ = ("accepted", "done", "former_lease", "id", "lease", "request", "worker")

    def __init__(self, request: Request, done: Done | None) -> None:
        self.id = request.context.request_id
        self.request = request
        self.done = done  # None: the engine was reloaded, and has not asked for this call again yet
        self.worker: Worker | None = None
        self.accepted = False  # by its worker: nobody else may have it while the lease lives
        self.lease = ""
        self.former_lease = ""


class ConnectDriver:
    """Sends calls to workers and takes their replies.

    Args:
        roster: Who is connected.
        new_id: Makes a ULID for a time in ms since the epoch.
        late: Takes replies to calls of before.
        lease_s: Seconds that a lease lasts.

    """

    def __init__(
        self, roster: Roster, new_id: Callable[[int], str], clock: Callable[[], int],
        late: Callable[[Late], None] = lambda _: None, *, lease_s: int = LEASE_S, grace_s: float = GRACE_S,
    ) -> None:  # fmt: skip
        self._roster = roster
        self._new_id = new_id
        self._clock = clock
        self.late = late
        self.lease_s = lease_s
        self._loop = asyncio.get_running_loop()
        self._calls: dict[str, Call] = {}
        self._runs: dict[str, dict[str, Call]] = {}
        self._waiting: dict[str, dict[str, Call]] = {}  # for a free worker, by app
        self._orphans: dict[Work, Call] = {}
        self._leases: Deadlines[Call] = Deadlines(lease_s + grace_s, self._lapsed)
        self._ends: Deadlines[Call] = Deadlines(CALL_TIMEOUT_S, self._too_long)
        self.counts: Counter[str] = Counter()
        """What happened: `sent`, `replied`, `late`, `lost` (leases), `moved` (to another worker)."""
        roster.on_free = self.freed

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """How many calls wait for a free worker."""
        return sum(map(len, self._waiting.values()))

    # --- the driver protocol ------------------------------------------------------------------------------------------

    def call(self, request: Request, done: Done) -> None:
        """Give a call to a worker, or let it wait for a free one."""
        call = Call(request, done)
        if self._orphans and (orphan := self._orphans.pop(call.request.work, None)) is not None:
            orphan.done = done  # a worker is still at it: the reload did not reach that far
            return
        self._calls[call.id] = call
        self._runs.setdefault(request.context.run_id, {})[call.id] = call
        self._ends.add(call)
        self._route(call)

    def abandon(self, run_id: str) -> None:
        """Take the leases of a run's calls away: workers that can stop them do."""
        for call in list(self._runs.get(run_id, {}).values()):
            worker = call.worker
            self._drop(call)
            if worker is not None:
                worker.peer.lost(call)
            if call.done is not None:
                self._loop.call_soon(call.done, None)

    def forget(self) -> None:
        """Drop what waits; what workers are at is found again when the engine asks for it."""
        for call in list(self._calls.values()):
            if call.done is not None:
                self._loop.call_soon(call.done, None)
                call.done = None
            if call.worker is None:
                self._drop(call)
            else:
                self._orphans[call.request.work] = call

    async def close(self) -> None:
        """Drop all calls."""
        for call in list(self._calls.values()):
            self._drop(call)
        self._leases.drain()
        self._ends.drain()

    # --- routing ------------------------------------------------------------------------------------------------------

    def _route(self, call: Call) -> None:
        request = call.request
        worker = self._roster.pick(request.app_id, request.slug)
        if worker is not None:
            self._send(call, worker)
        elif self._roster.units(request.app_id) == 0:
            self._settle(call, None)  # the engine knows that there is no worker, and keeps it
        else:
            self._waiting.setdefault(request.app_id, {})[call.id] = call
            if not self._roster.serves(request.app_id, request.slug):
                self._loop.call_later(UNSERVED_S, self._unserved, call)

    def _send(self, call: Call, worker: Worker) -> None:
        call.worker, call.accepted = worker, False
        self._renew(call)
        self._roster.hold(worker, call)
        self.counts["sent"] += 1
        worker.peer.request(call)

    def _renew(self, call: Call) -> None:
        call.former_lease, call.lease = call.lease, self._new_id(self._clock() + self.lease_s * 1_000)
        self._leases.discard(call)
        self._leases.add(call)

    def freed(self, app_ids: Iterable[str]) -> None:
        """A worker of these apps can take calls: those that wait the longest get theirs."""
        for app_id in app_ids:
            waiting = self._waiting.get(app_id)
            while waiting:
                call = next((c for c in waiting.values() if self._roster.serves(app_id, c.request.slug)), None)
                worker = self._roster.pick(app_id, call.request.slug) if call is not None else None
                if call is None or worker is None:
                    break
                del waiting[call.id]
                self._send(call, worker)
            if not waiting:
                self._waiting.pop(app_id, None)

    def _unserved(self, call: Call) -> None:
        if self._waits(call) and not self._roster.serves(call.request.app_id, call.request.slug):
            self._settle(call, _failure(*UNSERVED))

    def _waits(self, call: Call) -> bool:
        return call.id in self._waiting.get(call.request.app_id, {})

    def emptied(self, app_id: str) -> None:
        """No worker of an app takes calls any more: what waits for one goes back to the engine."""
        for call in list(self._waiting.get(app_id, {}).values()):
            self._settle(call, None)

    # --- what workers say ---------------------------------------------------------------------------------------------

    def accepted(self, worker: Worker, request_id: str) -> None:
        """A worker has got a call, and will work on it."""
        call = self._calls.get(request_id)
        if call is not None and call.worker is worker:
            call.accepted = True

    def extend(self, worker: Worker, request_id: str, lease: str) -> str:
        """Renew a lease. Return the lease that the worker has now; empty if it has lost the call."""
        call = self._calls.get(request_id)
        if call is None or call.worker is None or call.worker.instance is not worker.instance:
            return ""
        if lease != call.lease:
            return call.lease if lease == call.former_lease else ""  # the answer to it got lost
        call.accepted = True
        if call.worker is not worker:  # it has a new connection
            self._roster.release(call.worker, call)
            call.worker = worker
            self._roster.hold(worker, call)
        self._renew(call)
        return call.lease

    def reply(self, worker: Worker | None, request_id: str, work: Work | None, outcome: Outcome) -> bool:
        """Take a reply; `worker` is None for one that came over HTTP. False if it is for an app of somebody else."""
        call = self._calls.get(request_id) or self._same(work)
        app_ids = frozenset(worker.groups) if worker is not None else None
        if call is not None and app_ids is not None and call.request.app_id not in app_ids:
            return False
        if call is None or call.done is None:
            if call is not None:
                work = call.request.work
                self._drop(call)
            self.counts["late"] += 1
            if work is not None:
                self.late(Late(work, app_ids, outcome))
            return True
        self.counts["replied"] += 1
        done = call.done
        if call.id != request_id and call.worker is not None:
            call.worker.peer.lost(call)  # it need not do what is done
        self._drop(call)
        done(outcome)
        return True

    def _same(self, work: Work | None) -> Call | None:
        """Return the call that was made again after a restart, for the reply to the earlier one."""
        calls = self._runs.get(work.run_id, {}).values() if work is not None else ()
        return next((call for call in calls if call.request.work == work), None)

    def unaccepted(self, worker: Worker) -> None:
        """A worker takes no more calls: those that it has not accepted go to others."""
        for call in [call for call in worker.calls.values() if not call.accepted]:
            self._take_back(call)

    def _take_back(self, call: Call) -> None:
        assert call.worker is not None
        self.counts["moved"] += 1
        self._leases.discard(call)
        self._roster.release(call.worker, call)
        call.worker = None
        if call.done is None:
            self._drop(call)
        else:
            self._route(call)

    # --- clocks -------------------------------------------------------------------------------------------------------

    def _lapsed(self, call: Call) -> None:
        worker = call.worker
        if worker is None:
            return
        worker.peer.lost(call)
        if not call.accepted:
            self._take_back(call)
            return
        self.counts["lost"] += 1
        log.warning(
            "a worker's lease on a call expired: it neither replied nor renewed it", worker=worker.instance.id,
            run=call.request.context.run_id, function=call.request.slug,
        )  # fmt: skip
        self._settle(call, _failure(*STOPPED))

    def _too_long(self, call: Call) -> None:
        if call.worker is not None:
            call.worker.peer.lost(call)
        self._settle(call, _failure(*TOO_LONG))

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _settle(self, call: Call, outcome: Outcome | None) -> None:
        """End a call, not before the next turn: whoever made it may not have returned yet."""
        self._drop(call)
        if call.done is not None:
            self._loop.call_soon(call.done, outcome)

    def _drop(self, call: Call) -> None:
        if self._calls.pop(call.id, None) is None:
            return
        run_id, app_id = call.request.context.run_id, call.request.app_id
        of_run = self._runs[run_id]
        del of_run[call.id]
        if not of_run:
            del self._runs[run_id]
        if call.worker is not None:
            self._roster.release(call.worker, call)
            self._leases.discard(call)
        elif (waiting := self._waiting.get(app_id)) is not None:
            waiting.pop(call.id, None)
            if not waiting:
                del self._waiting[app_id]
        if self._orphans:
            self._orphans.pop(call.request.work, None)
        self._ends.discard(call)


def _failure(code: str, text: str) -> Outcome:
    return Outcome(0, output=server_error(code, text, text), error=text)
