"""Singletons: flow-control.md §4.7."""

from __future__ import annotations

import pytest

from engine.replies import invoke, ops, throws, wait
from engine.world import HOUR, SECOND
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register

SKIP, CANCEL = {"mode": "skip"}, {"mode": "cancel"}


def drop_dead_calls(w: FlowWorld) -> None:
    """The app's answers to cancelled calls don't matter."""
    w.calls = [c for c in w.calls if c.run.id in w.engine._core.runs]


def test_while_one_runs_all_others_are_skipped(world_of: Make) -> None:  # rows 80, 159
    w = world_of(register(singleton=SKIP))
    w.event(n=0)
    w.middle()
    for n in range(1, 51):
        w.event(n=n)
    assert w.at_work == [0]
    w.finish(0)
    assert w.outcomes(RunStatus.COMPLETED) == [0]
    assert w.outcomes(RunStatus.SKIPPED) == list(range(1, 51))
    skipped = w.rows.runs[w.id_of(7)]
    assert skipped.details.skip_reason == "Singleton"
    assert skipped.details.skip_existing_run == w.id_of(0)
    assert w.history_of(7) == []
    assert skipped.started_at is None
    w.check_idle()


def test_of_a_burst_one_runs(world_of: Make) -> None:  # row 80
    w = world_of(register(singleton=SKIP))
    w.burst("go", [{"n": n} for n in range(50)])
    w.middle()
    assert w.finish_all() == [0]


def test_after_its_end_the_next_runs(world_of: Make) -> None:  # row 81
    w = world_of(register(singleton=SKIP))
    for n in range(3):
        w.event(n=n)
        w.middle()
        w.finish(n)
    assert w.outcomes(RunStatus.COMPLETED) == [0, 1, 2]


@pytest.mark.parametrize("key", ["event.data.missing", "event.data.n > 100", "event.data.n.startsWith('a')"])
@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_without_a_key_every_event_runs(world_of: Make, mode: str, key: str) -> None:  # row 82
    w = world_of(register(singleton={"mode": mode, "key": key}))
    for n in range(3):
        w.event(n=n)
    w.middle()
    assert w.at_work == [0, 1, 2]


def test_a_new_run_cancels_the_one_before(world_of: Make) -> None:  # row 83
    w = world_of(register(singleton=CANCEL))
    w.event(n=0)
    w.middle()
    w.advance(SECOND)
    w.event(n=1)
    drop_dead_calls(w)
    assert w.at_work == [1]
    w.finish(1)
    assert w.outcome(0) is RunStatus.CANCELLED
    assert w.outcome(1) is RunStatus.COMPLETED
    (event,) = w.events("inngest/function.cancelled")
    assert event["data"]["run_id"] == w.id_of(0)
    newer = next(e.id for e in w.rows.events if (e.name == "go" and b'"n": 1' in e.json) or b'"n":1' in e.json)
    assert w.rows.runs[w.id_of(0)].details.cancelled_by == newer
    w.check_idle()


@pytest.mark.parametrize("one_request", [True, False])
def test_of_a_burst_the_last_completes(world_of: Make, one_request: bool) -> None:  # §4.7: 50 events
    w = world_of(register(singleton=CANCEL))
    if one_request:
        w.burst("go", [{"n": n} for n in range(50)])
    else:
        for n in range(50):
            w.event(n=n)
    w.middle()
    drop_dead_calls(w)
    assert w.finish_all() == [49]
    assert w.outcomes(RunStatus.COMPLETED) == [49]
    assert w.outcomes(RunStatus.CANCELLED) == list(range(49))
    assert len(w.events("inngest/function.cancelled")) == 49
    w.check_idle()


@pytest.mark.parametrize("parked", ["sleep", "wait", "back-off"])
@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_it_is_held_while_the_run_is_parked(world_of: Make, mode: str, parked: str) -> None:  # row 84
    w = world_of(register(singleton={"mode": mode}))
    w.event(n=0)
    if parked == "sleep":
        w.sleep(0)
    elif parked == "wait":
        w.reply_to(0, ops(wait("w", "paid")))
    else:
        w.reply_to(0, throws())
    w.middle()
    w.event(n=1)
    if mode == "skip":
        assert w.outcome(1) is RunStatus.SKIPPED
        assert w.at_work == []
    else:
        assert w.outcome(0) is RunStatus.CANCELLED
        assert w.at_work == [1]


@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_it_is_held_while_the_run_waits_to_start(world_of: Make, mode: str) -> None:
    w = world_of(register(singleton={"mode": mode, "key": "event.data.k"}, throttle={"limit": 1, "period": "1m"}))
    w.event(n=0, k="other")
    w.event(n=1, k="x")
    w.middle()
    w.event(n=2, k="x")
    assert w.outcome(1) is (RunStatus.SCHEDULED if mode == "skip" else RunStatus.CANCELLED)
    w.finish(0)
    w.advance(HOUR)
    assert w.at_work == [1 if mode == "skip" else 2]


@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_each_key_for_itself(world_of: Make, mode: str) -> None:  # row 85
    w = world_of(register(singleton={"mode": mode, "key": "event.data.k"}))
    for n in range(3):
        w.event(n=n, k=n)
        w.middle()
    assert sorted(w.at_work) == [0, 1, 2]


@pytest.mark.parametrize("ending", ["fail", "cancel"])
def test_every_ending_releases_it(world_of: Make, ending: str) -> None:
    w = world_of(register(retries=0, singleton=SKIP))
    w.event(n=0)
    w.middle()
    if ending == "fail":
        w.reply_to(0, throws())
    else:
        w.cancel(w.live(0))
        drop_dead_calls(w)
    w.event(n=1)
    assert w.at_work == [1]
    w.finish(1)
    w.check_idle()


def test_the_one_that_was_cancelled_releases_nothing(world_of: Make) -> None:
    w = world_of(register(singleton=CANCEL))
    w.event(n=0)
    w.event(n=1)
    w.middle()
    w.event(n=2)
    assert w.engine._core.singletons.holders == {"id-app-fn": w.id_of(2)}
    drop_dead_calls(w)
    w.finish(2)
    w.check_idle()


def test_a_rerun_of_a_singleton_may_be_skipped(world_of: Make) -> None:
    w = world_of(register(singleton=SKIP))
    w.event(n=0)
    w.finish(0)
    w.event(n=1)
    w.middle()
    assert w.rerun(0).status is RunStatus.SKIPPED
    w.finish(1)
    assert w.rerun(0).status is RunStatus.RUNNING
    w.finish(0)
    w.check_idle()


def test_a_skipped_event_may_come_again(world_of: Make) -> None:
    w = world_of(register(singleton=SKIP))
    w.event(n=0)
    w.send("go", {"n": 1}, id="later")
    w.finish(0)
    w.middle()
    w.send("go", {"n": 1}, id="later")
    assert w.at_work == [1]


def test_a_cancelled_child_fails_its_invoker(world_of: Make) -> None:  # row 102
    w = world_of(register("app-parent"), register("app-child", "never", singleton=CANCEL))
    for n in (1, 2):
        w.event(n=n)
        w.reply_to(n, ops(invoke("i", "app-child", {"n": f"c{n}"})))
        w.middle()
    drop_dead_calls(w)
    assert sorted(map(str, w.at_work)) == ["1", "c2"]
    assert w.step_of(1, "i")["error"]["message"] == "invoked function was cancelled"
