"""Debounces: flow-control.md §4.4. Ours fire exactly at last + period, and never after the maximum."""

from __future__ import annotations

import pytest

from engine.replies import invoke, ops
from engine.world import DAY, HOUR, MINUTE, SECOND, T0
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register

FIVE = {"period": "5s"}


def test_the_last_event_of_a_stream_starts_the_run(world_of: Make) -> None:  # row 54
    w = world_of(register(debounce=FIVE))
    for n in range(1, 6):
        w.event(n=n)
        w.middle()
        w.advance(400)
    last = w.now - 400
    w.advance_to(last + 5 * SECOND - 1)
    assert w.labels == []
    w.advance(1)
    assert w.at_work == w.labels == [5]
    w.finish(5)
    w.advance(HOUR)
    assert w.labels == [5]
    w.check_idle()


def test_the_time_line_of_the_docs(world_of: Make) -> None:
    w = world_of(register(debounce=FIVE))
    for n in (0, 2, 4):
        w.advance_to(T0 + n * SECOND)
        w.event(n=n)
    w.middle()
    w.advance_to(T0 + 9 * SECOND)
    assert w.at_work == [4]


def test_each_key_has_a_debounce_of_its_own(world_of: Make) -> None:  # row 55
    w = world_of(register(debounce={"period": "5s", "key": "event.data.k"}))
    for n in range(6):
        w.event(n=n, k=n % 2)
    w.middle()
    w.advance(5 * SECOND)
    assert sorted(w.at_work) == [4, 5]


def test_an_older_event_that_arrives_later_is_ignored(world_of: Make) -> None:  # row 56
    w = world_of(register(debounce=FIVE))
    w.send("go", {"n": "newer"}, ts=T0)
    w.advance(2 * SECOND)
    w.middle()
    w.send("go", {"n": "older"}, ts=T0 - 1)
    w.advance(3 * SECOND)
    assert w.at_work == ["newer"]


def test_an_event_of_the_same_time_counts_as_newer(world_of: Make) -> None:
    w = world_of(register(debounce=FIVE))
    w.send("go", {"n": 1}, ts=T0)
    w.send("go", {"n": 2}, ts=T0)
    w.advance(5 * SECOND)
    assert w.at_work == [2]


def test_the_maximum_delay_holds_and_the_stream_goes_on(world_of: Make) -> None:  # row 57
    w = world_of(register(debounce={"period": "5s", "timeout": "10s"}))
    for n in range(7):  # 0, 3, ... 18 s
        w.advance_to(T0 + n * 3 * SECOND)
        w.event(n=n)
        w.middle()
    started = {w._label(id): row.scheduled_at - T0 for id, row in w.rows.runs.items()}
    assert started == {3: 10 * SECOND}
    w.advance(HOUR)
    started = {w._label(id): row.scheduled_at - T0 for id, row in w.rows.runs.items()}
    assert started == {3: 10 * SECOND, 6: 22 * SECOND}  # the second's maximum: 12 + 10


def test_a_dense_stream_cannot_delay_past_the_maximum(world_of: Make) -> None:  # §12
    w = world_of(register(debounce={"period": "5s", "timeout": "4s"}))
    for n in range(30):
        w.advance_to(T0 + n * 500)
        w.event(n=n)
        if n == 10:
            w.middle()
    w.advance(HOUR)
    # An event at the very moment of the maximum opens the next debounce.
    assert [row.scheduled_at - T0 for row in w.rows.runs.values()] == [4_000, 8_000, 12_000, 16_000]
    assert w.labels == [7, 15, 23, 29]


def test_an_event_after_the_run_opens_a_new_debounce(world_of: Make) -> None:  # row 58
    w = world_of(register(debounce=FIVE))
    w.event(n=1)
    w.advance(5 * SECOND)
    w.finish(1)
    w.middle()
    w.event(n=2)
    w.advance(5 * SECOND)
    w.finish(2)
    assert w.outcomes(RunStatus.COMPLETED) == [1, 2]
    w.check_idle()


def test_an_event_just_before_the_end_puts_it_off(world_of: Make) -> None:  # §12: no edge window
    w = world_of(register(debounce=FIVE))
    w.event(n=1)
    w.advance(5 * SECOND - 1)
    w.middle()
    w.event(n=2)
    w.advance(5 * SECOND - 1)
    assert w.labels == []
    w.advance(1)
    assert w.at_work == [2]


def test_the_same_event_id_in_two_windows_runs_twice(world_of: Make) -> None:  # row 59
    w = world_of(register(debounce=FIVE))
    for _ in range(2):
        w.send("go", {"n": 1}, id="same")
        w.advance(5 * SECOND)
        w.finish(1)
        w.middle()
    assert w.labels == [1, 1]


def test_only_the_last_invoker_of_a_window_is_answered(world_of: Make) -> None:  # row 60
    w = world_of(register("app-parent"), register("app-child", "never", debounce=FIVE))
    for n in (1, 2):
        w.event(n=n)
        w.reply_to(n, ops(invoke("i", "app-child", {"n": f"from {n}"}, timeout="1h")))
    w.middle()
    w.advance(5 * SECOND)
    w.finish("from 2")
    assert w.at_work == [2]
    w.finish(2)
    w.advance(HOUR)
    assert w.at_work == [1]
    assert w.step_of(1, "i")["error"]["name"] == "InngestInvokeTimeoutError"
    assert w.ids_of("from 1") == []


def test_a_debounce_that_was_due_while_no_server_ran_fires_at_the_start(world_of: Make) -> None:  # row 150
    w = world_of(register(debounce=FIVE))
    w.event(n=1)
    w.now += DAY
    w.restart()
    assert w.at_work == [1]


def test_the_period_at_the_last_event_counts(world_of: Make) -> None:
    w = world_of(register(debounce={"period": "1h"}))
    w.event(n=1)
    w.configure(register(version=2, debounce=FIVE))
    w.middle()
    w.event(n=2)
    w.advance(5 * SECOND)
    assert w.at_work == [2]
    w.finish(2)
    w.advance(DAY)
    assert w.labels == [2]
    w.check_idle()


def test_a_function_that_is_not_debounced_any_more_still_gets_the_pending_event(world_of: Make) -> None:
    w = world_of(register(debounce=FIVE))
    w.event(n=1)
    w.configure(register(version=2))
    w.middle()
    w.event(n=2)
    assert w.at_work == [2]
    w.advance(5 * SECOND)
    assert w.at_work == [2, 1]


def test_a_removed_function_loses_its_debounce(world_of: Make) -> None:
    w = world_of(register(debounce=FIVE))
    w.event(n=1)
    w.configure()
    w.middle()
    w.advance(5 * SECOND)
    assert w.labels == []
    w.check_idle()


def test_a_future_time_does_not_delay_twice(world_of: Make) -> None:  # §1.7: at receipt, not at ts
    w = world_of(register(debounce=FIVE))
    w.send("go", {"n": 1}, ts=T0 + MINUTE)
    w.middle()
    w.advance(5 * SECOND)
    assert w.at_work == [1]


def test_a_cron_tick_can_be_debounced(world_of: Make) -> None:
    w = world_of(register(on={"cron": "* * * * *"}, debounce={"period": "5s"}))
    w.advance(MINUTE)
    w.middle()
    (run_id,) = w.rows.runs
    assert w.rows.runs[run_id].cron == "* * * * *"


@pytest.mark.parametrize("events", [1, 2, 1_000])
def test_a_long_stream_takes_one_timer(world_of: Make, events: int) -> None:
    w = world_of(register(debounce={"period": "7d"}))
    for n in range(events):
        w.event(n=n)
        w.now += 10
    assert len(w.engine._core.queue.timers) == 1
    w.middle()
    w.advance(7 * DAY)
    assert w.at_work == [events - 1]
