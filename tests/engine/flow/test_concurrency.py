"""Step and whole-run concurrency: flow-control.md §4.1, §4.12."""

from __future__ import annotations

import pytest

from engine.replies import failing, ops, planned, ran, sleep, throws, wait
from engine.world import HOUR, MINUTE, SECOND
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register


def test_one_at_a_time(world_of: Make) -> None:  # row 67
    w = world_of(register(concurrency=1))
    w.burst("go", [{"n": n} for n in range(3)])
    for n in range(3):
        assert w.at_work == [n]
        w.middle()
        assert w.at_work == [n]
        w.step(n)
        assert w.at_work == [n]  # an older run's next step goes before a newer run's start
        w.finish(n)
    w.check_idle()


def test_a_sleeping_run_holds_nothing(world_of: Make) -> None:  # row 68
    w = world_of(register(concurrency=1))
    w.event(n="a")
    w.event(n="b")
    w.sleep("a", "5s")
    assert w.at_work == ["b"]
    w.middle()
    w.advance(5 * SECOND)
    assert w.at_work == ["b"]  # its wake-up needs a place as well
    w.finish("b")
    assert w.at_work == ["a"]


def test_a_waiting_run_holds_nothing(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.event(n="a")
    w.reply_to("a", ops(wait("w", "paid")))
    w.event(n="b")
    w.middle()
    assert w.at_work == ["b"]
    w.event("paid")
    assert w.at_work == ["b"]
    w.finish("b")
    assert w.at_work == ["a"]


def test_one_per_value_of_a_key(world_of: Make) -> None:  # row 69
    w = world_of(register(concurrency={"limit": 1, "key": "event.data.k"}))
    for n in range(6):
        w.event(n=n, k="ab"[n % 2])
    assert w.at_work == [0, 1]
    w.middle()
    w.finish(1)
    assert sorted(w.at_work) == [0, 3]
    w.finish(3, 5, 0)
    assert w.at_work == [2]


def test_long_values_of_a_key_are_told_apart(world_of: Make) -> None:
    w = world_of(register(concurrency={"limit": 1, "key": "event.data.k"}))
    for n in range(6):
        w.event(n=n, k="x" * 100_000 + "ab"[n % 2])
    assert w.at_work == [0, 1]
    assert "x" * 1_000 not in repr(w.rows.runs)


def test_missing_values_share_a_key(world_of: Make) -> None:
    w = world_of(register(concurrency={"limit": 1, "key": "event.data.k"}))
    w.event(n=0)
    w.event(n=1, k=False)
    w.event(n=2, k="false")
    w.middle()
    assert w.at_work == [0]


@pytest.mark.parametrize("scope", ["env", "account"])
def test_functions_share_a_key(world_of: Make, scope: str) -> None:  # row 70
    shared = [{"limit": 1, "key": "event.data.k", "scope": scope}]
    w = world_of(register("app-one", "one", concurrency=shared), register("app-two", "two", concurrency=shared))
    w.event("one", n=1, k="x")
    w.event("two", n=2, k="x")
    w.event("two", n=3, k="y")
    assert w.at_work == [1, 3]
    w.middle()
    w.event("one", n=4, k="x")
    w.finish(1)
    assert sorted(w.at_work) == [2, 3]  # handed over at once, oldest first
    w.finish(2)
    assert sorted(w.at_work) == [3, 4]


def test_functions_with_other_words_for_the_key_do_not_share_it(world_of: Make) -> None:
    w = world_of(
        register("app-one", "one", concurrency=[{"limit": 1, "key": "event.data.k", "scope": "env"}]),
        register("app-two", "two", concurrency=[{"limit": 1, "key": "event.data.k + ''", "scope": "env"}]),
    )
    w.event("one", n=1, k="x")
    w.event("two", n=2, k="x")
    assert w.at_work == [1, 2]


def test_env_and_account_are_told_apart(world_of: Make) -> None:
    w = world_of(
        register("app-one", "one", concurrency=[{"limit": 1, "key": "'all'", "scope": "env"}]),
        register("app-two", "two", concurrency=[{"limit": 1, "key": "'all'", "scope": "account"}]),
    )
    w.event("one", n=1)
    w.event("two", n=2)
    assert w.at_work == [1, 2]


def test_functions_count_a_shared_key_by_their_own_limits(world_of: Make) -> None:
    w = world_of(
        register("app-one", "one", concurrency=[{"limit": 1, "key": "'all'", "scope": "env"}]),
        register("app-two", "two", concurrency=[{"limit": 3, "key": "'all'", "scope": "env"}]),
    )
    w.event("two", n=1)
    w.event("one", n=2)
    w.event("two", n=3)
    w.middle()
    assert sorted(w.at_work) == [1, 3]
    w.finish(1)
    assert w.at_work == [3]
    w.finish(3)
    assert w.at_work == [2]


def test_both_limits_hold(world_of: Make) -> None:  # row 71
    w = world_of(register(concurrency=[{"limit": 5}, {"limit": 1, "key": "event.data.k"}]))
    for n in range(20):
        w.event(n=n, k=n % 10)
    assert w.at_work == [0, 1, 2, 3, 4]
    w.middle()
    w.finish(0)
    assert sorted(w.at_work) == [1, 2, 3, 4, 5]
    assert w.finish_all()[-1] == 19
    w.check_idle()


def test_two_keys_hold_each_its_own(world_of: Make) -> None:
    w = world_of(
        register(concurrency=[{"limit": 1, "key": "event.data.a"}, {"limit": 2, "key": "event.data.b"}])
    )  # fmt: skip
    for n, (a, b) in enumerate([(1, "x"), (2, "x"), (3, "x"), (1, "y")]):
        w.event(n=n, a=a, b=b)
    assert w.at_work == [0, 1]
    w.middle()
    w.finish(0)
    assert sorted(w.at_work) == [1, 2, 3]


def test_a_run_in_back_off_holds_nothing(world_of: Make) -> None:  # row 72
    w = world_of(register(concurrency=1))
    w.event(n="a")
    w.event(n="b")
    w.reply_to("a", throws())
    assert w.at_work == ["b"]
    w.middle()
    w.finish("b")
    w.advance(MINUTE)
    assert w.at_work == ["a"]


def test_a_step_in_back_off_holds_nothing(world_of: Make) -> None:  # row 72
    w = world_of(register(concurrency=1))
    w.event(n="a")
    w.event(n="b")
    w.reply_to("a", ops(failing("s")))
    w.middle()
    assert w.at_work == ["b"]


def test_parallel_steps_take_turns(world_of: Make) -> None:
    w = world_of(register(concurrency=2))
    w.event(n=1)
    w.reply_to(1, ops(*(planned(step) for step in "abc")))
    assert len(w.calls) == 2
    w.middle()
    assert len(w.calls) == 2
    seen = 0
    while w.calls:
        call = w.take_first()
        seen += 1
        if not call.job.step:
            w.calls.append(call)
            w.finish(1)
        else:
            w.answer(call, ops({**ran("x"), "id": call.job.step}))
    assert seen == 4
    assert w.outcome(1) is RunStatus.COMPLETED
    w.check_idle()


@pytest.mark.parametrize("ending", ["complete", "fail", "cancel"])
def test_every_ending_hands_the_place_over(world_of: Make, ending: str) -> None:
    w = world_of(register(retries=0, concurrency=1))
    for n in range(3):
        w.event(n=n)
    w.middle()
    if ending == "complete":
        w.finish(0)
    elif ending == "fail":
        w.reply_to(0, throws())
    else:
        w.cancel(w.live(0))
        w.calls = [c for c in w.calls if c.run.id in w.engine._core.runs]
    assert w.at_work == [1]


def test_a_cancelled_run_that_waits_is_passed_over(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    for n in range(4):
        w.event(n=n)
    w.cancel(w.live(1))
    w.middle()
    w.cancel(w.live(2))
    w.finish(0)
    assert w.at_work == [3]
    w.finish(3)
    w.check_idle()


def test_an_older_runs_step_goes_before_a_newer_runs_start(world_of: Make) -> None:  # row 79
    w = world_of(register(concurrency=1))
    w.event(n="old")
    w.sleep("old", "10s")
    w.advance(SECOND)
    w.event(n="new")
    w.advance(SECOND)
    w.event(n="newer")
    w.advance(8 * SECOND)
    w.middle()
    w.finish("new")
    assert w.at_work == ["old"]


def test_keys_are_evaluated_once(world_of: Make) -> None:
    w = world_of(register(concurrency={"limit": 1, "key": "string(now())"}))
    w.event(n=1)
    w.advance(HOUR)
    w.event(n=2)
    w.middle()
    assert sorted(w.at_work) == [1, 2]


def test_no_limit_and_limits_of_nothing_mean_a_thousand(world_of: Make) -> None:
    w = world_of(register(concurrency=0), settings=Settings(workers=2_000))
    w.burst("go", [{"n": n} for n in range(1_005)])
    assert len(w.calls) == 1_000
    w.finish(0)
    assert len(w.calls) == 1_000


def test_functions_take_turns_for_worker_slots(world_of: Make) -> None:
    w = world_of(register("app-a", "a"), register("app-b", "b"), settings=Settings(workers=1))
    w.burst("a", [{"n": f"a{n}"} for n in range(5)])
    w.burst("b", [{"n": "b0"}])
    w.middle()
    assert w.finish_all().index("b0") <= 2  # not behind all of the other's backlog
    w.check_idle()


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_a_run_is_held_until_the_one_before_has_ended(world_of: Make) -> None:  # row 73
    w = world_of(register(concurrency={"fn": [{"limit": 1}]}))
    w.event(n="a")
    w.event(n="b")
    w.sleep("a", "5s")
    w.middle()
    assert w.at_work == []
    assert w.outcome("b") is RunStatus.SCHEDULED
    w.advance(5 * SECOND)
    assert w.at_work == ["a"]
    w.finish("a")
    assert w.at_work == ["b"]
    w.finish("b")
    w.check_idle()


def test_whole_runs_by_key(world_of: Make) -> None:  # row 74
    w = world_of(register(concurrency={"fn": [{"limit": 1, "key": "event.data.k"}]}))
    for n in range(4):
        w.event(n=n, k="ab"[n % 2])
    w.sleep(0, "5s")
    w.middle()
    assert w.at_work == [1]
    w.finish(1)
    assert w.at_work == [3]
    w.advance(5 * SECOND)
    w.finish(0)
    assert sorted(w.at_work) == [2, 3]


@pytest.mark.parametrize("ending", ["fail", "cancel", "cancel asleep"])
def test_every_ending_lets_the_next_whole_run_start(world_of: Make, ending: str) -> None:
    w = world_of(register(retries=0, concurrency={"fn": [{"limit": 1}]}))
    w.event(n=0)
    w.event(n=1)
    if ending == "fail":
        w.middle()
        w.reply_to(0, throws())
    else:
        if ending == "cancel asleep":
            w.sleep(0)
        w.middle()
        w.cancel(w.live(0))
        w.calls = [c for c in w.calls if c.run.id in w.engine._core.runs]
    assert w.at_work == [1]
    w.finish(1)
    w.check_idle()


def test_a_retry_of_the_first_call_keeps_the_runs_place(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 1}]}))
    w.event(n=0)
    w.event(n=1)
    w.reply_to(0, throws())
    w.middle()
    assert w.at_work == []
    w.advance(HOUR)
    assert w.at_work == [0]


def test_whole_runs_and_steps_have_limits_of_their_own(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 2}], "step": [{"limit": 1}]}))
    for n in range(3):
        w.event(n=n)
    assert w.at_work == [0]
    w.sleep(0, "1m")
    assert w.at_work == [1]
    w.middle()
    w.sleep(1, "1h")
    assert w.at_work == []  # two runs are under way
    w.advance(MINUTE)
    w.finish(0)
    assert w.at_work == [2]


def test_a_run_that_waits_for_its_slot_and_is_cancelled_leaks_no_place(world_of: Make) -> None:
    w = world_of(
        register("app-a", "a"), register("app-b", "b", concurrency={"fn": [{"limit": 1}]}), settings=Settings(workers=1)
    )
    w.event("a", n="a")
    w.event("b", n="b1")
    w.event("b", n="b2")
    w.cancel(w.live("b1"))
    w.middle()
    w.finish("a")
    assert w.at_work == ["b2"]
    w.finish("b2")
    w.check_idle()


def test_a_parked_run_that_fails_by_the_server_gives_its_place_back(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 1}]}))
    w.engine._core.settings.state_limits["id-app-fn"] = 100
    w.event(n=0)
    w.event(n=1)
    w.reply_to(0, ops(wait("w", "paid")))
    w.middle()
    w.event("paid", pad="x" * 200)
    assert w.outcome(0) is RunStatus.FAILED
    assert w.at_work == [1]


def test_sleeps_of_a_run_do_not_count_twice(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 1}]}))
    w.event(n=0)
    for step in "abc":
        w.reply_to(0, ops(sleep(step, "1s")))
        w.middle()
        w.advance(SECOND)
    w.finish(0)
    w.check_idle()
