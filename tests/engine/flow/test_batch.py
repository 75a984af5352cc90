"""Batches: flow-control.md §4.5. A batch that fills starts at once, whenever that is."""

from __future__ import annotations

import pytest

from engine.replies import invoke, ops, returns, throws
from engine.world import DAY, HOUR, MINUTE, SECOND, T0
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register

FIVE = {"maxSize": 5, "timeout": "5s"}


def test_a_full_batch_starts_at_once_and_the_rest_in_its_time(world_of: Make) -> None:  # row 61
    w = world_of(register(batchEvents=FIVE))
    w.burst("go", [{"n": n} for n in range(8)])
    assert w.at_work == [[0, 1, 2, 3, 4]]
    w.finish([0, 1, 2, 3, 4])
    w.middle()
    w.advance(5 * SECOND - 1)
    assert w.at_work == []
    w.advance(1)
    assert w.at_work == [[5, 6, 7]]
    w.finish([5, 6, 7])
    w.advance(HOUR)
    assert len(w.labels) == 2
    w.check_idle()


def test_one_event_waits_for_the_time(world_of: Make) -> None:  # row 62
    w = world_of(register(batchEvents=FIVE))
    w.event(n=1)
    w.middle()
    w.advance(5 * SECOND - 1)
    assert w.labels == []
    w.advance(1)
    (run_id,) = w.rows.runs
    assert [e["data"]["n"] for e in w.events_of(run_id)] == [1]
    assert w.live(1).batch_id


def test_each_key_fills_a_batch_of_its_own(world_of: Make) -> None:  # row 63
    w = world_of(register(batchEvents={"maxSize": 3, "timeout": "1m", "key": "event.data.k"}))
    for n in range(3):
        w.event(n=f"a{n}", k="a")
        w.middle()
        w.event(n=f"b{n}", k="b")
    assert sorted(w.labels) == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


@pytest.mark.parametrize("condition", ["int(event.data.n) % 2 == 0", "event.data.n != 1 && event.data.n != 3"])
def test_what_the_condition_excludes_runs_by_itself(world_of: Make, condition: str) -> None:  # row 64
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m", "if": condition}))
    for n in range(4):
        w.event(n=n)
        w.middle()
    assert sorted(w.labels, key=str) == [1, 3, [0, 2]]


def test_a_condition_that_breaks_lets_the_event_run_by_itself(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m", "if": "event.data.n.startsWith('a')"}))
    for n in ("a1", 7, "a2"):
        w.event(n=n)
    assert sorted(w.labels, key=str) == [7, ["a1", "a2"]]


def test_a_batch_that_fills_slowly_starts_with_its_last_event(world_of: Make) -> None:  # row 64b
    w = world_of(register(batchEvents={"maxSize": 3, "timeout": "15s"}))
    for n in range(3):
        assert w.labels == []
        w.event(n=n)
        w.middle()
        w.advance(1_200)
    (run_id,) = w.rows.runs
    assert w.rows.runs[run_id].scheduled_at == T0 + 2_400


def test_all_invokers_of_a_batch_get_its_result(world_of: Make) -> None:  # row 65
    child = register("app-child", "never", batchEvents={"maxSize": 3, "timeout": "1m"})
    w = world_of(register("app-parent"), child)
    for n in range(3):
        w.event(n=n)
        w.reply_to(n, ops(invoke("i", "app-child", {"n": f"c{n}"})))
        w.middle()
    w.reply_to(["c0", "c1", "c2"], returns({"done": 3}))
    assert sorted(w.at_work) == [0, 1, 2]
    for n in range(3):
        assert w.step_of(n, "i") == {"data": {"done": 3}}
    w.finish(0, 1, 2)
    w.check_idle()


def test_all_invokers_of_a_batch_get_its_failure(world_of: Make) -> None:
    child = register("app-child", "never", retries=0, batchEvents={"maxSize": 2, "timeout": "1m"})
    w = world_of(register("app-parent"), child)
    for n in range(2):
        w.event(n=n)
        w.reply_to(n, ops(invoke("i", "app-child", {"n": f"c{n}"})))
    w.middle()
    w.reply_to(["c0", "c1"], throws("boom"))
    for n in range(2):
        assert w.step_of(n, "i")["error"]["message"] == "boom"


def test_a_run_of_a_batch_is_that_of_its_first_event_and_not_rate_limited(world_of: Make) -> None:  # row 66
    w = world_of(
        register(
            batchEvents={"maxSize": 2, "timeout": "1m"},
            rateLimit={"limit": 1, "period": "24h"},
            concurrency={"limit": 1, "key": "event.data.k"},
        )
    )
    w.burst("go", [{"n": n, "k": n // 2} for n in range(4)])
    assert w.at_work == [[0, 1], [2, 3]]
    run = w.live([0, 1])
    assert len(w.rows.runs[run.id].event_ids) == 2
    assert run.batch_id
    assert run.event_name == "go"
    w.middle()
    w.burst("go", [{"n": 4, "k": 1}, {"n": 5, "k": 0}])
    assert sorted(w.at_work) == [[0, 1], [2, 3]]  # keyed by its first event: k = 1 is taken
    w.finish([0, 1])
    assert w.at_work == [[2, 3]]
    w.finish([2, 3])
    assert w.at_work == [[4, 5]]


def test_a_half_filled_batch_survives_a_long_absence(world_of: Make) -> None:  # row 150
    w = world_of(register(batchEvents={"maxSize": 3, "timeout": "1m"}))
    w.event(n=0)
    w.event(n=1)
    w.now += DAY
    w.restart()
    assert w.at_work == [[0, 1]]
    w.finish([0, 1])
    w.check_idle()


def test_a_half_filled_batch_is_filled_up_after_a_restart(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 3, "timeout": "1m"}))
    w.event(n=0)
    w.restart()
    w.event(n=1)
    w.restart()
    w.event(n=2)
    assert w.at_work == [[0, 1, 2]]
    w.advance(HOUR)
    assert w.labels == [[0, 1, 2]]


def test_a_request_that_is_repeated_with_its_seed_adds_nothing(world_of: Make) -> None:  # row 18
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m"}))
    seed = f"{T0},AAAAAAAAAAAAAA=="
    for _ in range(3):
        w.seeded("go", [{"n": 0}, {"n": 1}, {"n": 2}], seed)
        w.middle()
    w.advance(MINUTE)
    assert w.labels == [[0, 1], 2]


def test_an_event_with_an_id_of_its_own_can_come_twice(world_of: Make) -> None:  # §1.6: by internal id only
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m"}))
    w.send("go", {"n": 1}, id="same")
    w.middle()
    w.send("go", {"n": 1}, id="same")
    assert w.labels == [[1, 1]]


def test_ten_mebibytes_fill_a_batch(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 1_000, "timeout": "1m"}))
    for n in range(4):
        w.event(n=n, pad="x" * (5 * 1024 * 1024 // 2))
    assert w.labels == [[0, 1, 2, 3]]


def test_a_cron_tick_is_not_batched(world_of: Make) -> None:
    w = world_of(register(on=["go", {"cron": "* * * * *"}], batchEvents={"maxSize": 2, "timeout": "10m"}))
    w.event(n=1)
    w.middle()
    w.advance(MINUTE)
    assert w.labels == [None]
    w.event(n=2)
    assert w.labels == [None, [1, 2]]


def test_a_function_that_batches_no_more_still_gets_what_was_gathered(world_of: Make) -> None:
    w = world_of(register(batchEvents=FIVE))
    w.event(n=1)
    w.configure(register(version=2))
    w.middle()
    w.event(n=2)
    assert w.labels == [2]
    w.advance(5 * SECOND)
    assert w.labels == [2, 1]
    assert w.live(1).batch_id


def test_a_removed_function_loses_its_batch(world_of: Make) -> None:
    w = world_of(register(batchEvents=FIVE))
    w.event(n=1)
    w.configure()
    w.middle()
    w.advance(5 * SECOND)
    assert w.labels == []
    w.check_idle()


def test_a_batch_that_waits_too_long_to_start_is_cancelled(world_of: Make) -> None:  # §2.1
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1m"}, concurrency=1, timeouts={"start": "3s"}))
    w.burst("go", [{"n": n} for n in range(4)])
    w.middle()
    w.advance(3 * SECOND)
    w.finish([0, 1])
    assert w.outcome([2, 3]) is RunStatus.CANCELLED
    w.check_idle()


def test_full_batches_leave_no_timers(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 2, "timeout": "1h", "key": "event.data.k"}))
    for n in range(4_000):
        w.engine.on_event(w.make("go", {"n": n, "k": n // 2}), w.now)
    w.turn()
    assert len(w.engine._core.queue.timers) < 1_500
