"""Start and finish timeouts: flow-control.md §4.10. They are exact, and they cancel."""

from __future__ import annotations

import pytest

from engine.replies import invoke, ops, ran, wait
from engine.world import DAY, HOUR, MINUTE, SECOND, T0
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register


def test_what_does_not_start_in_time_is_cancelled(world_of: Make) -> None:  # row 86
    w = world_of(register(timeouts={"start": "3s"}, concurrency=1))
    w.burst("go", [{"n": n} for n in range(3)])
    w.middle()
    w.advance(3 * SECOND - 1)
    assert w.outcomes(RunStatus.CANCELLED) == []
    w.advance(1)
    assert w.outcomes(RunStatus.CANCELLED) == [1, 2]
    w.advance(2 * SECOND)
    w.finish(0)
    assert w.outcome(0) is RunStatus.COMPLETED
    assert w.at_work == []
    assert len(w.events("inngest/function.cancelled")) == 2
    assert w.events("inngest/function.failed") == []
    w.check_idle()


def test_what_a_throttle_holds_too_long_is_cancelled(world_of: Make) -> None:  # row 87
    w = world_of(register(timeouts={"start": "5s"}, throttle={"limit": 1, "period": "2s"}))
    w.burst("go", [{"n": n} for n in range(10)])
    for _ in range(6):
        w.finish_all()
        w.advance(SECOND)
    w.middle()
    assert w.outcomes(RunStatus.COMPLETED) == [0, 1, 2]
    assert w.outcomes(RunStatus.CANCELLED) == [3, 4, 5, 6, 7, 8, 9]
    w.advance(HOUR)
    w.check_idle()


def test_what_does_not_finish_in_time_is_cancelled(world_of: Make) -> None:  # row 88
    w = world_of(register(timeouts={"finish": "3s"}))
    w.event(n=1)
    w.advance(2 * SECOND)
    w.step(1, "a")
    w.middle()
    w.advance(SECOND)
    assert w.outcome(1) is RunStatus.CANCELLED
    assert w.rows.runs[w.id_of(1)].ended_at == T0 + 3 * SECOND
    late = w.take_first()  # the app still works on its second step
    assert not w.answer(late, ops(ran("b")))
    assert w.at_work == []
    assert len(w.memo_of(1)) == 1


def test_what_sleeps_is_cancelled_in_time(world_of: Make) -> None:  # row 89
    w = world_of(register(timeouts={"finish": "3s"}))
    w.burst("go", [{"n": n} for n in range(10)])
    for n in range(10):
        w.sleep(n)
    w.middle()
    w.advance(3 * SECOND)
    assert len(w.outcomes(RunStatus.CANCELLED)) == 10
    w.check_idle()


@pytest.mark.parametrize("parked", ["wait", "invoke"])
def test_what_waits_is_cancelled_in_time(world_of: Make, parked: str) -> None:
    w = world_of(register(timeouts={"finish": "3s"}), register("app-child", "never"))
    w.event(n=1)
    asked = wait("w", "paid") if parked == "wait" else invoke("i", "app-child", {"n": "child"})
    w.reply_to(1, ops(asked))
    w.middle()
    w.advance(3 * SECOND)
    assert w.outcome(1) is RunStatus.CANCELLED
    if parked == "invoke":
        w.finish("child")  # row 101
        assert w.outcome("child") is RunStatus.COMPLETED


def test_who_is_in_time_completes_and_nothing_comes_later(world_of: Make) -> None:  # row 90
    w = world_of(register(timeouts={"start": "1s", "finish": "3s"}))
    w.event(n=1)
    w.advance(2 * SECOND)
    w.middle()
    w.finish(1)
    w.advance(HOUR)
    assert w.outcome(1) is RunStatus.COMPLETED
    assert w.events("inngest/function.cancelled") == []


def test_the_start_counts_from_the_scheduling_and_the_finish_from_the_first_call(world_of: Make) -> None:
    w = world_of(register(timeouts={"start": "10s", "finish": "3s"}, throttle={"limit": 1, "period": "5s"}))
    w.burst("go", [{"n": n} for n in range(2)])
    w.finish(0)
    w.advance(5 * SECOND)
    w.sleep(1)
    w.middle()
    w.advance(3 * SECOND - 1)
    assert w.outcome(1) is RunStatus.RUNNING
    w.advance(1)
    assert w.outcome(1) is RunStatus.CANCELLED


def test_a_far_start_time_does_not_stop_the_start_timeout(world_of: Make) -> None:  # §1.7
    w = world_of(register(timeouts={"start": "3s"}))
    w.send("go", {"n": 1}, ts=T0 + MINUTE)
    w.middle()
    w.advance(3 * SECOND)
    assert w.outcome(1) is RunStatus.CANCELLED


@pytest.mark.parametrize("kind", ["start", "finish"])
def test_a_longer_timeout_counts_for_those_under_way(world_of: Make, kind: str) -> None:
    w = world_of(register(timeouts={kind: "3s"}, concurrency=1))
    w.burst("go", [{"n": n} for n in range(2)])
    if kind == "finish":
        w.sleep(0)
        w.finish(1)
    w.configure(register(version=2, timeouts={kind: "1m"}, concurrency=1))
    w.middle()
    w.advance(MINUTE - 1)
    assert w.outcomes(RunStatus.CANCELLED) == []
    w.advance(1)
    assert w.outcomes(RunStatus.CANCELLED) == [1 if kind == "start" else 0]


def test_without_its_timeout_nothing_is_cancelled(world_of: Make) -> None:
    w = world_of(register(timeouts={"finish": "3s"}))
    w.event(n=1)
    w.sleep(1)
    w.configure(register(version=2))
    w.middle()
    w.advance(HOUR)
    assert w.at_work == [1]


def test_a_timeout_that_passed_while_no_server_ran_cancels_at_the_start(world_of: Make) -> None:
    w = world_of(register(timeouts={"finish": "1h"}))
    w.event(n=1)
    w.sleep(1, "100d")
    w.now += DAY
    w.restart()
    assert w.outcome(1) is RunStatus.CANCELLED
    w.check_idle()


def test_ended_runs_leave_no_timers(world_of: Make) -> None:
    w = world_of(register(timeouts={"start": "10d", "finish": "20d"}))
    for n in range(3_000):
        (run,) = w.engine.on_event(w.make("go", {"n": n}), w.now)
        w.engine.cancel(run, "test", w.now)
    w.turn()
    assert len(w.engine._core.queue.timers) <= 3_000
