"""Throttles: flow-control.md §4.2."""

from __future__ import annotations

import pytest

from engine.replies import throws
from engine.world import HOUR, MINUTE, SECOND, T0
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus, SpanStatus

from .conftest import Make
from .world import FlowWorld, register


def starts(w: FlowWorld, until: int) -> list[tuple[int, object]]:
    """Completes each run as it is called; when each was first called, s from now, and its `n`."""
    began, found = w.now, []
    end = w.now + until
    while True:
        found += [((w.now - began) / SECOND, n) for n in w.finish_all()]
        due = w.engine.next_due()
        if due is None or due > end:
            w.advance_to(end)
            return found
        w.advance_to(due)


@pytest.mark.parametrize(
    ("throttle", "events", "at"),
    [
        pytest.param({"limit": 1, "period": "5s"}, 3, [0, 5, 10], id="row 49"),
        pytest.param({"limit": 2, "period": "10s", "burst": 1}, 5, [0, 0, 0, 5, 10], id="row 50"),
        pytest.param({"limit": 1, "period": "5s"}, 5, [0, 5, 10, 15, 20], id="worked example"),
        pytest.param({"limit": 3, "period": "10s"}, 5, [0, 0, 0, 3.334, 6.667], id="uneven emission"),
        pytest.param({"limit": 1, "period": "3s", "burst": 1}, 3, [0, 0, 3], id="python's burst of one"),
        pytest.param({"limit": 0, "period": "5s"}, 2, [0, 5], id="no limit counts as one"),
    ],
)
def test_starts_are_spread_and_none_is_dropped(
    world_of: Make, throttle: dict[str, object], events: int, at: list[float]
) -> None:  # fmt: skip
    w = world_of(register(throttle=throttle))
    w.burst("go", [{"n": n} for n in range(events)])
    assert starts(w, HOUR) == list(zip(at, range(events), strict=True))
    w.check_idle()


def test_a_restart_goes_on_in_the_rhythm(world_of: Make) -> None:  # row 150
    w = world_of(register(throttle={"limit": 1, "period": "5s"}))
    w.burst("go", [{"n": n} for n in range(4)])
    w.finish(0)
    w.advance(7 * SECOND)
    assert w.at_work == [1]
    w.middle()
    assert w.at_work == [1]
    w.finish(1)
    assert starts(w, HOUR) == [(3, 2), (8, 3)]
    w.check_idle()


def test_each_key_has_its_own_rhythm(world_of: Make) -> None:  # row 51
    w = world_of(register(throttle={"limit": 1, "period": "5s", "key": "event.data.k"}))
    w.burst("go", [{"n": "a1", "k": "a"}, {"n": "a2", "k": "a"}, {"n": "b1", "k": "b"}, {"n": "b2", "k": "b"}])
    assert w.at_work == ["a1", "b1"]
    w.finish("a1", "b1")
    w.middle()
    w.advance(5 * SECOND - 1)
    assert w.at_work == []
    w.advance(1)
    assert sorted(w.at_work) == ["a2", "b2"]


def test_missing_keys_share_a_rhythm(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "5s", "key": "event.data.k"}))
    w.burst("go", [{"n": 1}, {"n": 2}])
    assert w.at_work == [1]


def test_the_steps_of_a_throttled_run_are_not_delayed(world_of: Make) -> None:  # row 52
    w = world_of(register(throttle={"limit": 1, "period": "1h"}))
    w.event(n=1)
    for step in "abcde":
        w.step(1, step)
        w.middle()
    w.finish(1)
    assert w.now == T0
    assert w.outcome(1) is RunStatus.COMPLETED


def test_a_retry_of_the_first_call_does_not_pay_again(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1h"}))
    w.event(n=1)
    w.reply_to(1, throws(retry_after="2"))
    w.middle()
    w.advance(2 * SECOND)
    assert w.at_work == [1]


def test_a_waiting_run_is_queued_without_an_attempt_and_can_be_cancelled(world_of: Make) -> None:  # row 53
    w = world_of(register(throttle={"limit": 1, "period": "1m"}))
    w.burst("go", [{"n": n} for n in range(4)])
    w.finish(0)
    w.middle()
    assert w.outcome(1) is RunStatus.SCHEDULED
    assert w.history(w.live(1)) == []
    w.cancel(w.live(1))
    assert w.outcome(1) is RunStatus.CANCELLED
    assert starts(w, HOUR) == [(60, 2), (120, 3)]  # what was cancelled took nobody's turn
    w.check_idle()


def test_what_waits_keeps_its_order_and_priority_its_effect(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1m"}, priority={"run": "event.data.p"}))
    for n, p in ((0, 0), (1, 0), (2, 0), (3, 100)):
        w.event(n=n, p=p)
        w.advance(SECOND)
    w.finish(0)
    w.middle()
    assert [n for _, n in starts(w, HOUR)] == [3, 1, 2]


def test_a_pause_of_the_stream_gives_the_burst_back(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 2, "period": "10s", "burst": 1}))
    w.burst("go", [{"n": n} for n in range(5)])
    starts(w, 10 * SECOND)
    w.advance(15 * SECOND)
    w.middle()
    w.burst("go", [{"n": n} for n in range(4)])
    assert [at for at, _ in starts(w, HOUR)] == [0, 0, 0, 5]


def test_a_raised_limit_reaches_what_waits(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1h"}))
    w.burst("go", [{"n": n} for n in range(4)])
    w.finish(0)
    w.advance(10 * MINUTE)
    w.configure(register(version=2, throttle={"limit": 1, "period": "1m"}))
    w.middle()
    assert [n for _, n in starts(w, 2 * HOUR)] == [1, 2, 3]
    w.check_idle()


def test_a_lowered_limit_reaches_what_waits(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1m"}))
    w.burst("go", [{"n": n} for n in range(3)])
    w.finish(0)
    w.configure(register(version=2, throttle={"limit": 1, "period": "10m"}))
    w.middle()
    assert [n for _, n in starts(w, MINUTE - 1)] == []
    gaps = starts(w, 2 * HOUR)
    assert [n for _, n in gaps] == [1, 2]
    assert gaps[1][0] - gaps[0][0] == 600


def test_without_its_throttle_all_that_waits_starts(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1h"}))
    w.burst("go", [{"n": n} for n in range(4)])
    w.configure(register(version=2))
    w.middle()
    assert w.at_work == [0, 1, 2, 3]


def test_what_was_keyed_by_another_expression_passes_freely(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1h", "key": "event.data.k"}))
    w.burst("go", [{"n": n, "k": "x"} for n in range(3)])
    assert w.at_work == [0]
    w.configure(register(version=2, throttle={"limit": 1, "period": "1h", "key": "event.data.other"}))
    w.middle()
    assert sorted(w.at_work) == [0, 1, 2]


def test_a_slow_stream_is_never_delayed(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "5s"}))
    for n in range(5):
        w.event(n=n)
        w.finish(n)
        w.middle()
        w.advance(5 * SECOND)
    assert w.outcomes(RunStatus.COMPLETED) == [0, 1, 2, 3, 4]


def test_nothing_is_kept_of_throttles_at_rest(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "1s", "key": "event.data.n"}))
    for n in range(40):
        w.event(n=n)
    w.middle()
    w.advance(MINUTE)
    for n in range(40, 80):
        w.event(n=n)
    w.finish_all()
    assert len(w.engine._core.throttles.clocks) <= 41
    assert len(w.engine._core.queue.timers) <= 80
    w.check_idle()


def test_the_first_call_shows_when_it_was_due(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "5s"}))
    w.burst("go", [{"n": 0}, {"n": 1}])
    w.finish(0)
    w.middle()
    w.advance(5 * SECOND)
    w.finish(1)
    (span,) = [s for s in w.history_of(1) if s.status is SpanStatus.COMPLETED]
    assert span.attempt == 0
    assert w.rows.runs[w.id_of(1)].started_at == T0 + 5 * SECOND


def test_a_run_that_had_its_turn_and_waits_for_a_worker_does_not_pay_again(world_of: Make) -> None:
    w = world_of(
        register(throttle={"limit": 1, "period": "1h"}), register("app-other", "other"), settings=Settings(workers=1)
    )  # fmt: skip
    w.event("other", n="busy")
    w.event(n=1)
    w.configure(register(version=2, throttle={"limit": 1, "period": "2h"}), register("app-other", "other"))
    w.middle()
    w.finish("busy")
    assert w.at_work == [1]
    w.finish(1)
    w.check_idle()
