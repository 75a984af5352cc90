"""Limits that change while runs wait: flow-control.md §4.1. What runs goes on; what waits follows the new limits."""

from __future__ import annotations

import pytest

from engine.replies import ops, sleep
from engine.world import HOUR, MINUTE, SECOND
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register


def waiting(w: FlowWorld) -> int:
    return w.engine._core.queue.keys.waiting()


def test_a_raised_limit_starts_what_waits(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.burst("go", [{"n": n} for n in range(5)])
    w.configure(register(version=2, concurrency=3))
    assert w.at_work == [0, 1, 2]
    w.middle()
    assert w.finish_all() == [0, 1, 2, 3, 4]
    w.check_idle()


def test_a_lowered_limit_lets_run_what_runs_and_holds_the_rest(world_of: Make) -> None:
    w = world_of(register(concurrency=3))
    w.burst("go", [{"n": n} for n in range(6)])
    w.configure(register(version=2, concurrency=1))
    assert w.at_work == [0, 1, 2]
    w.finish(0)
    assert w.at_work == [1, 2]
    w.finish(1)
    assert w.at_work == [2]
    w.middle()
    w.finish(2)
    assert w.at_work == [3]
    assert w.finish_all() == [3, 4, 5]
    w.check_idle()


def test_the_steps_of_what_runs_follow_a_lowered_limit(world_of: Make) -> None:
    w = world_of(register(concurrency=3))
    w.burst("go", [{"n": n} for n in range(3)])
    w.configure(register(version=2, concurrency=1))
    for n in range(3):
        w.step(n)
    assert w.at_work == [0]
    w.middle()
    assert w.at_work == [0]


def test_without_its_limit_all_starts(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.burst("go", [{"n": n} for n in range(5)])
    w.configure(register(version=2))
    w.middle()
    assert sorted(w.at_work) == [0, 1, 2, 3, 4]
    assert waiting(w) == 0


def test_a_limit_that_is_new_counts_what_runs(world_of: Make) -> None:
    w = world_of(register())
    w.burst("go", [{"n": n} for n in range(3)])
    w.configure(register(version=2, concurrency=2))
    w.event(n=3)
    assert w.at_work == [0, 1, 2]
    w.finish(0)
    assert w.at_work == [1, 2]
    w.finish(1)
    assert w.at_work == [2, 3]
    w.middle()
    w.finish_all()
    w.check_idle()


def test_a_whole_run_limit_that_is_new_counts_what_sleeps(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    w.sleep(0)
    w.configure(register(version=2, concurrency={"fn": [{"limit": 1}]}))
    w.event(n=1)
    w.middle()
    assert w.at_work == []
    w.advance(HOUR)
    w.finish(0)
    assert w.at_work == [1]
    w.configure(register(version=3))
    w.event(n=2)
    assert w.at_work == [1, 2]
    w.middle()
    w.finish_all()
    w.check_idle()


def test_a_changed_key_expression_frees_what_was_keyed_by_the_old_one(world_of: Make) -> None:
    w = world_of(register(concurrency={"limit": 1, "key": "event.data.k"}))
    w.burst("go", [{"n": n, "k": "x", "j": "x"} for n in range(3)])
    assert w.at_work == [0]
    w.configure(register(version=2, concurrency={"limit": 1, "key": "event.data.j"}))
    w.middle()
    assert sorted(w.at_work) == [0, 1, 2]
    w.burst("go", [{"n": n, "k": "x", "j": "x"} for n in (3, 4)])
    assert sorted(w.at_work) == [0, 1, 2, 3]
    w.finish_all()
    w.check_idle()


def test_a_keyed_limit_that_changes_reaches_all_keys(world_of: Make) -> None:
    w = world_of(register(concurrency={"limit": 1, "key": "event.data.k"}))
    w.burst("go", [{"n": n, "k": n % 2} for n in range(6)])
    w.configure(register(version=2, concurrency={"limit": 2, "key": "event.data.k"}))
    w.middle()
    assert sorted(w.at_work) == [0, 1, 2, 3]


def test_a_shared_key_keeps_the_other_functions_limit(world_of: Make) -> None:
    def shared(limit: int) -> list[dict[str, object]]:
        return [{"limit": limit, "key": "'all'", "scope": "env"}]

    one = register("app-one", "one", concurrency=shared(1))
    w = world_of(one, register("app-two", "two", concurrency=shared(1)))
    w.event("one", n="a")
    w.event("two", n="b")
    w.event("two", n="c")
    w.configure(one, register("app-two", "two", version=2, concurrency=shared(2)))
    assert w.at_work == ["a", "b"]
    w.event("one", n="d")
    w.middle()
    w.finish("a", "b")
    assert w.at_work == ["c"]
    w.finish("c")
    assert w.at_work == ["d"]


def test_whole_run_limits_change_as_well(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 1}]}))
    w.burst("go", [{"n": n} for n in range(4)])
    w.sleep(0)
    assert w.at_work == []
    w.configure(register(version=2, concurrency={"fn": [{"limit": 2}]}))
    assert w.at_work == [1]
    w.middle()
    w.configure(register(version=3, concurrency={"fn": [{"limit": 1}]}))
    w.finish(1)
    assert w.at_work == []
    w.configure(register(version=4))
    assert w.at_work == [2, 3]
    w.finish(2, 3)
    w.advance(HOUR)
    w.finish(0)
    w.check_idle()


def test_the_order_of_what_waits_is_kept(world_of: Make) -> None:
    w = world_of(register(concurrency=1, priority={"run": "event.data.p"}))
    for n, p in enumerate((0, 0, 5, 0, 9)):
        w.event(n=n, p=p)
    w.configure(register(version=2, concurrency={"limit": 1, "key": "'one'"}, priority={"run": "event.data.p"}))
    w.configure(register(version=3, concurrency=1, priority={"run": "event.data.p"}))
    w.middle()
    assert w.finish_all() == [0, 4, 2, 1, 3]


def test_what_waits_for_a_worker_follows_new_limits(world_of: Make) -> None:
    other = register("app-other", "other")
    w = world_of(register(concurrency=5), other, settings=Settings(workers=1))
    w.event("other", n="first")
    w.burst("go", [{"n": n} for n in range(4)])
    w.configure(register(version=2, concurrency={"fn": [{"limit": 1}]}), other)
    w.middle()
    w.finish("first")
    assert w.at_work == [0]
    w.reply_to(0, ops(sleep("nap", "1m")))
    assert w.at_work == []
    w.advance(MINUTE)
    w.finish_all()
    w.check_idle()


def test_cancelled_runs_are_left_out(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.burst("go", [{"n": n} for n in range(4)])
    w.cancel(w.live(1))
    w.configure(register(version=2, concurrency=2))
    assert w.at_work == [0, 2]
    w.middle()
    w.finish_all()
    w.check_idle()


def test_an_unchanged_function_is_left_alone(world_of: Make) -> None:
    w = world_of(register(concurrency=1, throttle={"limit": 1, "period": "1h"}))
    w.burst("go", [{"n": n} for n in range(3)])
    w.configure(register(version=2, concurrency=1, throttle={"limit": 1, "period": "1h"}))
    w.middle()
    assert w.at_work == [0]


@pytest.mark.parametrize(("before", "after"), [("10s", "3s"), (None, "3s")])
def test_a_shorter_timeout_reaches_what_sleeps(world_of: Make, before: str | None, after: str) -> None:
    w = world_of(register(**({"timeouts": {"finish": before}} if before else {})))
    w.event(n=1)
    w.sleep(1)
    w.configure(register(version=2, timeouts={"finish": after}))
    w.middle()
    w.advance(3 * SECOND - 1)
    assert w.outcome(1) is RunStatus.RUNNING
    w.advance(1)
    assert w.outcome(1) is RunStatus.CANCELLED
    w.check_idle()
