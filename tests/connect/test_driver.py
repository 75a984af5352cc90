"""Leases, routing and limits, with peers that only take notes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.protocol.calls import CallContext
from holdfast.protocol.ids import UlidSource, ulid
from holdfast.protocol.responses import Outcome
from holdfast.server.connect import driver as driver_module
from holdfast.server.connect.driver import Call, ConnectDriver
from holdfast.server.connect.roster import About, Group, Roster, Status, Worker
from holdfast.server.drivers.driver import Late, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest


class Notes:
    """A worker's end that writes down what it is sent."""

    def __init__(self) -> None:
        self.stalled = False
        self.calls: list[Call] = []
        self.losses: list[str] = []

    def request(self, call: Call) -> None:
        self.calls.append(call)

    def lost(self, call: Call) -> None:
        self.losses.append(call.id)

    def acknowledge(self, request_id: str) -> None:
        raise AssertionError("the driver acknowledges nothing")


class Bench:
    """A driver and its roster."""

    def __init__(self, *, lease_s: int = 60, grace_s: float = 5) -> None:
        self.roster = Roster()
        self.capacity: dict[str, int | None] = {}
        self.late: list[Late] = []
        self.now = 1_000
        self.groups: dict[tuple[str, str], Group] = {}
        self.outcomes: dict[str, Outcome | None] = {}
        self._ids = UlidSource(lambda _bits: 7)
        serial = iter(range(1, 1_000_000))
        self.driver = ConnectDriver(
            self.roster, lambda ms: ulid(ms, next(serial)), lambda: self.now, self.late.append, lease_s=lease_s,
            grace_s=grace_s,
        )  # fmt: skip
        self.roster.on_capacity = self._set_capacity

    def _set_capacity(self, app_id: str, units: int | None) -> None:
        self.capacity[app_id] = units
        if units == 0:
            self.driver.emptied(app_id)

    def worker(
        self, id: str, *apps: str, limit: int = 0, instance: str = "", version: str = "1", slugs: str = "f"
    ) -> Worker:
        groups = [self._group(app, version, slugs) for app in apps or ("app",)]
        worker = Worker(
            id, self.roster.instance(instance or id), Notes(), groups, limit=limit, about=About(), address="",
            now=self.now,
        )  # fmt: skip
        self.roster.add(worker)
        self.roster.ready(worker)
        return worker

    def _group(self, app: str, version: str, slugs: str) -> Group:
        known = self.roster.group(app, version)
        return known or Group(app, app, version, version, frozenset(f"{app}-{s}" for s in slugs), self.now)

    def call(self, app: str = "app", slug: str = "f", run: str = "run", job: str = "job") -> str:
        request_id = self._ids.next(self.now)
        context = CallContext(run, "function", job, f"item-{job}", request_id, 1, 0, 1)
        request = Request(context, app, f"{app}-{slug}", f"wss://connect?fnId={app}-{slug}", b"{}")
        self.driver.call(request, lambda outcome: self.outcomes.__setitem__(request_id, outcome))
        return request_id

    def drop(self, worker: Worker) -> None:
        self.roster.remove(worker, "UNEXPECTED", self.now)
        self.driver.unaccepted(worker)


def notes(worker: Worker) -> list[str]:
    assert isinstance(worker.peer, Notes)
    return [call.id for call in worker.peer.calls]


def lost(worker: Worker) -> list[str]:
    assert isinstance(worker.peer, Notes)
    return worker.peer.losses


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


DONE = Outcome(200, output=b"1")


def test_workers_of_one_version_take_turns() -> None:
    async def scene() -> None:
        bench = Bench()
        workers = [bench.worker(name) for name in "abc"]
        calls = [bench.call() for _ in range(6)]
        assert [notes(worker) for worker in workers] == [calls[0::3], calls[1::3], calls[2::3]]

    run(scene)


def test_the_newest_version_goes_first_and_the_old_one_helps_out() -> None:
    async def scene() -> None:
        bench = Bench()
        old = bench.worker("old", version="1")
        bench.now += 1
        new = bench.worker("new", version="2", limit=1)
        first, second = bench.call(), bench.call()
        assert (notes(new), notes(old)) == ([first], [second])

    run(scene)


def test_a_call_goes_to_a_version_that_has_its_function() -> None:
    async def scene() -> None:
        bench = Bench()
        old = bench.worker("old", version="1", slugs="fg")
        bench.now += 1
        bench.worker("new", version="2", slugs="f")
        call = bench.call(slug="g")
        assert notes(old) == [call]

    run(scene)


def test_capacity_follows_the_workers() -> None:
    async def scene() -> None:
        bench = Bench()
        one = bench.worker("one", "a", "b", limit=2)
        two = bench.worker("two", "a", limit=3)
        assert bench.capacity == {"a": 5, "b": 2}
        three = bench.worker("three", "a")
        assert bench.capacity["a"] is None
        bench.drop(three)
        bench.roster.leaving(two, Status.DRAINING)
        assert bench.capacity == {"a": 2, "b": 2}
        bench.drop(one)
        assert bench.capacity == {"a": 0, "b": 0}
        assert bench.roster.gone_since == {"b": 1_000}

    run(scene)


def test_a_limit_counts_all_apps_of_a_worker_and_what_is_too_much_waits() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w", "a", "b", limit=1)
        first, second = bench.call("a"), bench.call("b", run="other")
        assert (notes(worker), bench.driver.waiting) == ([first], 1)
        assert bench.driver.reply(worker, first, None, DONE)
        assert (notes(worker), bench.driver.waiting) == ([first, second], 0)
        assert bench.outcomes == {first: DONE}

    run(scene)


def test_a_worker_that_connects_again_has_no_more_room_for_it() -> None:
    async def scene() -> None:
        bench = Bench()
        before = bench.worker("before", instance="w", limit=1)
        first = bench.call()
        bench.driver.accepted(before, first)
        bench.drop(before)
        after = bench.worker("after", instance="w", limit=1)
        bench.call(run="other")
        assert notes(after) == []
        assert bench.driver.extend(after, first, before.calls[first].lease)
        assert bench.driver.reply(after, first, None, DONE)
        assert len(notes(after)) == 1

    run(scene)


def test_two_processes_of_one_name_have_a_limit_each() -> None:
    async def scene() -> None:
        bench = Bench()
        workers = [bench.worker(id, instance="host", limit=1) for id in ("one", "two")]
        for number in range(3):
            bench.call(run=f"run{number}")
        assert [len(notes(worker)) for worker in workers] == [1, 1]
        assert bench.driver.waiting == 1

    run(scene)


def test_what_nobody_accepted_moves_on_and_what_somebody_did_stays() -> None:
    async def scene() -> None:
        bench = Bench()
        one = bench.worker("one")
        kept, moved = bench.call(), bench.call(run="other")
        bench.driver.accepted(one, kept)
        two = bench.worker("two")
        bench.roster.leaving(one, Status.DRAINING)
        bench.driver.unaccepted(one)
        assert notes(two) == [moved]
        bench.drop(one)
        assert notes(two) == [moved]
        assert bench.outcomes == {}

    run(scene)


def test_with_the_last_worker_calls_go_back() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w", limit=1)
        sent, waiting = bench.call(), bench.call(run="other")
        bench.drop(worker)
        await asyncio.sleep(0)
        assert bench.outcomes == {sent: None, waiting: None}
        assert len(bench.driver) == 0

    run(scene)


def test_a_lease_is_renewed_by_its_worker_alone() -> None:
    async def scene() -> None:
        bench = Bench()
        one, two = bench.worker("one"), bench.worker("two")
        call = bench.call()
        lease = one.calls[call].lease
        assert bench.driver.extend(two, call, lease) == ""
        assert bench.driver.extend(one, call, "01M7Y8W75WQG6YCXHQJJ81TM6G") == ""
        renewed = bench.driver.extend(one, call, lease)
        assert renewed not in {"", lease}
        assert bench.driver.extend(one, call, lease) == renewed, "the answer was lost"
        assert bench.driver.extend(one, "other", lease) == ""

    run(scene)


def test_a_lapsed_lease_fails_what_was_accepted_and_moves_what_was_not() -> None:
    async def scene() -> None:
        bench = Bench(lease_s=0, grace_s=0.1)
        one = bench.worker("one")
        accepted, silent = bench.call(), bench.call(run="other")
        bench.driver.accepted(one, accepted)
        bench.roster.silent(one)
        two = bench.worker("two")
        await asyncio.sleep(0.2)
        outcome = bench.outcomes[accepted]
        assert outcome is not None
        assert outcome.error == driver_module.STOPPED[1]
        assert b"connect_worker_stopped_responding" in (outcome.output or b"")
        assert silent in notes(two)
        assert lost(one) == [accepted, silent]
        assert bench.driver.counts["lost"] == 1

    run(scene)


def test_a_call_that_no_worker_has_a_function_for_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "UNSERVED_S", 0.05)

    async def scene() -> None:
        bench = Bench()
        bench.worker("one")
        never, soon = bench.call(slug="g"), bench.call(slug="h", run="other")
        two = bench.worker("two", version="2", slugs="h")
        await asyncio.sleep(0.1)
        outcome = bench.outcomes[never]
        assert outcome is not None
        assert b"connect_no_healthy_connection" in (outcome.output or b"")
        assert notes(two) == [soon]

    run(scene)


def test_a_run_that_ended_takes_its_calls_back() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        call = bench.call()
        bench.driver.abandon("run")
        await asyncio.sleep(0)
        assert lost(worker) == [call]
        assert bench.outcomes == {call: None}
        assert worker.calls == {}

    run(scene)


def test_after_a_reload_a_worker_goes_on_with_its_call() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        before = bench.call()
        bench.driver.accepted(worker, before)
        bench.driver.forget()
        await asyncio.sleep(0)
        assert bench.outcomes == {before: None}
        after = bench.call()
        assert notes(worker) == [before], "it is not sent a second time"
        assert bench.driver.reply(worker, before, None, DONE)
        assert bench.outcomes[after] is DONE

    run(scene)


def test_a_reply_between_a_reload_and_the_next_call_is_late_and_known() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        call = bench.call()
        bench.driver.forget()
        assert bench.driver.reply(worker, call, None, DONE)
        (late,) = bench.late
        assert (late.work.job_id, late.app_ids, late.outcome) == ("job", frozenset({"app"}), DONE)
        assert len(bench.driver) == 0

    run(scene)


def test_a_slow_reader_gets_nothing_more_until_it_has_caught_up() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        assert isinstance(worker.peer, Notes)
        worker.peer.stalled = True
        bench.roster.refresh(worker)
        call = bench.call()
        assert notes(worker) == []
        worker.peer.stalled = False
        bench.roster.refresh(worker)
        assert notes(worker) == [call]

    run(scene)


def test_who_is_not_heard_of_gets_nothing_until_it_is() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        bench.roster.silent(worker)
        assert bench.capacity["app"] == 0
        bench.roster.heard(worker, 2_000)
        assert bench.capacity["app"] is None
        call = bench.call()
        assert notes(worker) == [call]

    run(scene)


def test_a_reply_of_before_a_restart_ends_the_call_that_was_made_again() -> None:
    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        call = bench.call()
        bench.driver.accepted(worker, call)
        assert bench.driver.reply(None, "an earlier call", worker.calls[call].request.work, DONE)
        assert bench.outcomes == {call: DONE}
        assert lost(worker) == [call], "the worker need not do what is done"
        assert (len(bench.driver), bench.late, worker.calls) == (0, [], {})

    run(scene)


def test_two_hours_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "CALL_TIMEOUT_S", 0.05)

    async def scene() -> None:
        bench = Bench()
        worker = bench.worker("w")
        call = bench.call()
        await asyncio.sleep(0.1)
        outcome = bench.outcomes[call]
        assert outcome is not None
        assert b"request_duration_too_long" in (outcome.output or b"")
        assert lost(worker) == [call]

    run(scene)
