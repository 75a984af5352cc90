"""Paused functions: which runs wait, which go on, through restarts, for every way to be queued."""

from __future__ import annotations

import pytest

from engine.replies import throws
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000


def held(world: FlowWorld) -> int:
    return sum(map(len, world.engine._core.pausing.held.values()))


def test_new_runs_wait_in_their_order(world_of: Make) -> None:
    w = world_of(register(), register("app-other", "other"))
    w.pause("app-fn")
    for n in range(3):
        w.event(n=n)
    w.middle()
    w.event("other", n="other")
    assert (w.at_work, held(w)) == (["other"], 3)
    w.middle()
    w.finish("other")
    w.resume("app-fn")
    assert w.finish_all() == [0, 1, 2]
    w.middle()
    w.check_idle()
    assert not w.engine._core.pausing.modes


def test_runs_under_way_go_on(world_of: Make) -> None:
    w = world_of(register())
    w.event(n="called")
    w.event(n="asleep")
    w.sleep("asleep", "1m")
    w.event(n="to be tried again")
    w.pause("app-fn")
    w.middle()
    w.reply_to("to be tried again", throws())
    w.step("called")
    w.middle()
    w.advance(MINUTE)
    assert set(w.at_work) == {"called", "asleep", "to be tried again"}
    w.finish_all()
    assert len(w.outcomes(RunStatus.COMPLETED)) == 3


def test_skipped_by_choice(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    w.pause("app-fn", Mode.SKIP)
    w.middle()
    w.event(n=1)
    assert w.outcomes(RunStatus.SKIPPED) == [1]
    assert w.rows.runs[w.id_of(1)].details.skip_reason == "FunctionPaused"
    w.pause("app-fn", Mode.QUEUE)
    w.middle()
    w.event(n=2)
    assert held(w) == 1
    w.resume("app-fn")
    w.finish_all()
    assert w.outcomes(RunStatus.COMPLETED) == [0, 2]


@pytest.mark.parametrize(
    ("options", "workers"),
    [({"concurrency": 1}, 100), ({"concurrency": {"fn": [{"limit": 1}]}}, 100), ({}, 1)],
    ids=["key", "whole run", "slot"],
)
def test_queued_runs_wait_too(world_of: Make, options: dict[str, object], workers: int) -> None:
    w = world_of(register(**options), settings=Settings(workers=workers))
    for n in range(4):
        w.event(n=n)
    w.pause("app-fn")
    w.middle()
    w.finish(0)
    assert (w.at_work, held(w)) == ([], 3)
    w.resume("app-fn")
    assert w.at_work == [1]
    assert w.finish_all() == [1, 2, 3]
    w.check_idle()


def test_a_throttle_goes_on_counting(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "10s"}))
    start = w.now
    for n in range(3):
        w.event(n=n)
    w.finish(0)
    w.pause("app-fn")
    w.middle()
    w.advance(25 * SECOND)
    assert (w.at_work, held(w)) == ([], 2)
    w.resume("app-fn")
    assert w.at_work == [1]
    w.advance_to(start + 35 * SECOND - 1)
    assert w.at_work == [1]
    w.advance(1)
    assert w.at_work == [1, 2]


def test_a_delayed_start_that_becomes_due(world_of: Make) -> None:
    w = world_of(register())
    w.send("go", {"n": 0}, ts=w.now + MINUTE)
    w.pause("app-fn")
    w.middle()
    w.advance(2 * MINUTE)
    assert (w.at_work, held(w)) == ([], 1)
    w.resume("app-fn")
    assert w.at_work == [0]


def test_cron_ticks(world_of: Make) -> None:
    hour = {"cron": "0 * * * *"}
    w = world_of(register("app-queue", [hour]), register("app-skip", [hour]))
    w.pause("app-queue")
    w.pause("app-skip", Mode.SKIP)
    w.middle()
    w.advance(2 * HOUR)
    w.middle()
    statuses = [(row.function_id, row.status) for row in w.rows.runs.values()]
    assert sorted(statuses) == [("id-app-queue", RunStatus.SCHEDULED)] * 2 + [("id-app-skip", RunStatus.SKIPPED)] * 2
    assert (len(w.calls), held(w)) == (0, 2)
    w.resume("app-queue")
    assert len(w.calls) == 2


def test_debounces_and_batches(world_of: Make) -> None:
    w = world_of(
        register("app-deb", debounce={"period": "5s"}),
        register("app-bat", batchEvents={"maxSize": 2, "timeout": "5s"}),
    )
    w.pause("app-deb")
    w.pause("app-bat")
    w.event(n=0)
    w.event(n=1)
    w.middle()
    w.advance(5 * SECOND)
    assert (w.at_work, held(w)) == ([], 2)
    w.resume("app-deb")
    w.resume("app-bat")
    assert sorted(w.at_work, key=str) == [1, [0, 1]]


def test_a_cancelled_run_is_held_no_more(world_of: Make) -> None:
    w = world_of(register(cancel=[{"event": "stop"}]))
    w.pause("app-fn")
    w.event(n=0)
    w.middle()
    w.advance(1)
    w.event("stop")
    assert w.outcomes(RunStatus.CANCELLED) == [0]
    assert held(w) == 0
    w.resume("app-fn")
    assert w.at_work == []
    w.check_idle()


def test_a_start_timeout_goes_on_counting(world_of: Make) -> None:
    w = world_of(register(timeouts={"start": "10s"}))
    w.pause("app-fn")
    w.event(n=0)
    w.middle()
    w.advance(10 * SECOND)
    assert w.outcomes(RunStatus.CANCELLED) == [0]
    assert held(w) == 0


def test_resuming_what_is_not_paused(world_of: Make) -> None:
    w = world_of(register())
    w.resume("app-fn")
    w.event(n=0)
    assert w.at_work == [0]
