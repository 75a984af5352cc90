"""How the features meet: flow-control.md §2.1."""

from __future__ import annotations

import pytest

from engine.replies import returns
from engine.world import HOUR, MINUTE, SECOND
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register

ONE_AN_HOUR = {"limit": 1, "period": "1h"}


def test_a_rate_limited_event_cancels_no_singleton(world_of: Make) -> None:
    w = world_of(register(rateLimit=ONE_AN_HOUR, singleton={"mode": "cancel"}))
    w.event(n=1)
    w.middle()
    w.event(n=2)
    assert w.outcome(1) is RunStatus.RUNNING
    assert w.labels == [1]


def test_a_skipped_event_has_used_its_rate_limit_up(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 10, "period": "60s"}, singleton={"mode": "skip"}))
    for n in (1, 2, 3):  # two at once
        w.event(n=n)
        w.middle()
    assert [w.rows.runs[id].status.name for id in w.rows.runs] == ["RUNNING", "SKIPPED"]
    w.finish(1)
    w.event(n=4)
    assert w.labels == [1, 2]


def test_a_debounced_event_pays_its_rate_limit_at_receipt_and_not_again(world_of: Make) -> None:
    w = world_of(register(rateLimit=ONE_AN_HOUR, debounce={"period": "5s"}))
    w.event(n=1)
    w.event(n=2)  # over the limit: does not even reach the debounce
    w.middle()
    w.advance(5 * SECOND)
    assert w.labels == [1]


def test_a_debounce_that_ends_meets_the_singleton(world_of: Make) -> None:
    w = world_of(register(debounce={"period": "5s"}, singleton={"mode": "skip"}))
    w.event(n=1)
    w.advance(5 * SECOND)
    w.event(n=2)
    w.middle()
    w.advance(5 * SECOND)
    assert w.outcome(2) is RunStatus.SKIPPED
    w.finish(1)
    w.check_idle()


def test_a_debounced_run_is_throttled_and_limited(world_of: Make) -> None:
    w = world_of(
        register(debounce={"period": "1s", "key": "event.data.n"}, throttle={"limit": 1, "period": "1m"}, concurrency=1)
    )
    for n in range(3):
        w.event(n=n)
    w.advance(SECOND)
    w.middle()
    assert w.at_work == [0]
    w.advance(MINUTE)
    assert w.at_work == [0]  # its turn has come, but the place is taken
    w.finish(0)
    assert w.at_work == [1]
    w.finish(1)
    w.advance(MINUTE)
    assert w.at_work == [2]


def test_a_batch_has_no_rate_limit_and_no_cancel_events(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m"}, rateLimit=ONE_AN_HOUR))
    for n in range(4):
        w.event(n=n)
        w.middle()
    assert w.labels == [[0, 1], [2, 3]]


def test_what_a_batch_leaves_out_meets_the_rate_limit(world_of: Make) -> None:
    w = world_of(
        register(batchEvents={"maxSize": 2, "timeout": "1m", "if": "event.data.n > 9"}, rateLimit=ONE_AN_HOUR)
    )  # fmt: skip
    for n in range(3):
        w.event(n=n)
    assert w.labels == [0]


def test_batches_are_throttled_and_limited(world_of: Make) -> None:
    w = world_of(
        register(
            batchEvents={"maxSize": 2, "timeout": "1m"},
            throttle={"limit": 1, "period": "10s"},
            concurrency={"fn": [{"limit": 1}]},
        )
    )
    w.burst("go", [{"n": n} for n in range(6)])
    assert w.at_work == [[0, 1]]
    w.sleep([0, 1], "1m")
    w.middle()
    w.advance(MINUTE)
    w.finish([0, 1])
    assert w.at_work == [[2, 3]]
    w.finish([2, 3])
    assert w.at_work == []
    w.advance(10 * SECOND)
    assert w.at_work == [[4, 5]]


def test_a_throttled_run_holds_no_place_meanwhile(world_of: Make) -> None:
    shared = {"limit": 1, "key": "'all'", "scope": "env"}
    w = world_of(
        register("app-a", "a", throttle=ONE_AN_HOUR, concurrency=[shared]), register("app-b", "b", concurrency=[shared])
    )  # fmt: skip
    w.event("a", n="a1")
    w.event("a", n="a2")
    w.finish("a1")
    w.middle()
    assert w.at_work == []  # a2 waits for its hour
    w.event("b", n="b1")
    assert w.at_work == ["b1"]
    w.advance(HOUR)
    assert w.at_work == ["b1"]
    w.finish("b1")
    assert w.at_work == ["a2"]


def test_a_run_that_waits_for_a_place_pays_its_throttle_at_the_start(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "10s"}, concurrency=1))
    for n in range(3):
        w.event(n=n)
    w.middle()
    w.advance(25 * SECOND)
    w.finish(0)
    assert w.at_work == [1]
    w.finish(1)
    assert w.at_work == []  # ten seconds from 1's start
    w.advance(10 * SECOND - 1)
    assert w.at_work == []
    w.advance(1)
    assert w.at_work == [2]


def test_a_skipped_or_limited_run_costs_no_throttle(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "10s"}, singleton={"mode": "skip", "key": "event.data.k"}))
    w.event(n=1, k="x")
    w.event(n=2, k="x")
    w.middle()
    w.finish(1)
    w.advance(10 * SECOND)
    w.event(n=3, k="y")
    assert w.at_work == [3]


def test_two_throttles_of_time_and_place_let_everyone_through(world_of: Make) -> None:
    w = world_of(
        register(
            throttle={"limit": 2, "period": "10s", "key": "event.data.k"},
            concurrency=[{"limit": 1, "key": "event.data.k"}, {"limit": 2}],
            priority={"run": "event.data.p"},
        )
    )
    for n in range(30):
        w.event(n=n, k=n % 3, p=n % 5)
    done: list[object] = []
    for step in range(300):
        done += w.finish_all()
        if step == 5:
            w.middle()
        w.advance(SECOND)
    assert sorted(map(str, done)) == sorted(str(n) for n in range(30))
    w.check_idle()


def test_a_paused_function_still_counts_and_gathers(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 10, "period": "60s"}))
    w.pause("app-fn")
    for n in range(3):
        w.event(n=n)
    w.middle()
    assert w.at_work == []
    w.resume("app-fn")
    assert w.at_work == [0, 1]


@pytest.mark.parametrize("mode", list(Mode))
def test_pausing_a_batched_function(world_of: Make, mode: Mode) -> None:
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m"}))
    w.event(n=0)
    w.pause("app-fn", mode)
    w.middle()
    w.event(n=1)
    if mode is Mode.SKIP:
        assert w.rows.runs[w.id_of([0, 1])].details.skip_reason == "FunctionPaused"
    w.resume("app-fn")
    assert w.at_work == ([[0, 1]] if mode is Mode.QUEUE else [])


def test_what_is_paused_waits_behind_its_limits_again(world_of: Make) -> None:
    w = world_of(register(concurrency=1, throttle={"limit": 1, "period": "1m"}))
    for n in range(3):
        w.event(n=n)
    w.pause("app-fn")
    w.middle()
    w.finish(0)
    w.advance(HOUR)
    assert w.at_work == []
    w.resume("app-fn")
    assert w.at_work == [1]
    w.finish(1)
    w.advance(MINUTE)
    assert w.at_work == [2]
    w.finish(2)
    w.check_idle()


def test_a_paused_function_runs_on_what_runs(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 1}]}))
    w.event(n=0)
    w.event(n=1)
    w.pause("app-fn")
    w.sleep(0, "1m")
    w.middle()
    w.advance(MINUTE)
    w.step(0)
    w.finish(0)
    assert w.outcome(0) is RunStatus.COMPLETED
    assert w.at_work == []
    w.resume("app-fn")
    w.reply_to(1, returns())
    w.check_idle()


def test_skipped_while_paused(world_of: Make) -> None:
    w = world_of(register())
    w.pause("app-fn", Mode.SKIP)
    w.event(n=0)
    w.middle()
    w.event(n=1)
    w.resume("app-fn")
    w.event(n=2)
    assert w.outcomes(RunStatus.SKIPPED) == [0, 1]
    assert w.rows.runs[w.id_of(0)].details.skip_reason == "FunctionPaused"
    assert w.at_work == [2]


def test_a_changed_limit_while_paused(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    for n in range(4):
        w.event(n=n)
    w.pause("app-fn")
    w.configure(register(version=2, concurrency=3))
    assert w.at_work == [0]
    w.middle()
    w.resume("app-fn")
    assert w.at_work == [0, 1, 2]
    w.finish_all()
    w.check_idle()
