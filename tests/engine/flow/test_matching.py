"""Which events start which functions: flow-control.md §1."""

from __future__ import annotations

import pytest

from engine.replies import returns, throws
from engine.world import DAY, HOUR, SECOND, T0
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register


def test_only_its_own_event_starts_a_function(world_of: Make) -> None:  # row 1
    w = world_of(register(on="app/a"))
    w.event("app/a", n=1)
    w.middle()
    w.event("app/b", n=2)
    assert w.labels == [1]


def test_wildcards_after_slashes_and_dots(world_of: Make) -> None:  # row 2
    w = world_of(register("app-one", "app/*"), register("app-two", "app/user.*"))
    w.event("app/user.created", n=1)
    assert {row.function_id for row in w.rows.runs.values()} == {"id-app-one", "id-app-two"}
    w.event("app/order.created", n=2)
    assert len(w.ids_of(2)) == 1


@pytest.mark.parametrize("pattern", ["*", "app/us*", "*/created", "app/*.created", "app/user.creat*"])
def test_other_wildcards_match_nothing(world_of: Make, pattern: str) -> None:  # row 3
    w = world_of(register(on=pattern))
    w.event("app/user.created", n=1)
    assert w.labels == []


TWO = [
    {"event": "x", "expression": "event.data.n > 5"},
    {"event": "x", "expression": "event.data.n > 1"},
]


@pytest.mark.parametrize(
    ("n", "runs"),
    [pytest.param(10, 1, id="row 4"), pytest.param(3, 1, id="row 5"), pytest.param(0, 0, id="row 5 none")],
)
def test_an_event_starts_a_function_once_however_many_triggers_match(world_of: Make, n: int, runs: int) -> None:
    w = world_of(register(on=TWO))
    w.event("x", n=n)
    assert w.labels == [n] * runs


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("event.data.user.name == 'x'", id="row 6: missing"),
        pytest.param("event.data.a + 1", id="row 7: no boolean"),
        pytest.param("event.data.a", id="a number"),
        pytest.param("event.data.a.b.matches('(')", id="broken"),
    ],
)
def test_a_condition_that_does_not_hold_starts_nothing(world_of: Make, expression: str) -> None:
    w = world_of(register(on={"event": "x", "expression": expression}))
    w.event("x", n=1, a=1)
    assert w.labels == []
    assert len(w.events("x")) == 1


def test_after_a_broken_trigger_the_next_is_tried(world_of: Make) -> None:
    broken = {"event": "x", "expression": "event.data.n.startsWith('a')"}
    w = world_of(register(on=[broken, {"event": "x", "expression": "event.data.n == 1"}]))
    w.event("x", n=1)
    assert w.labels == [1]


def test_the_same_id_runs_once_and_every_copy_is_stored(world_of: Make) -> None:  # row 15
    w = world_of(register())
    for _ in range(5):
        w.send("go", {"n": 1}, id="same")
        w.middle()
    assert w.labels == [1]
    assert len(w.events("go")) == 5


@pytest.mark.parametrize("ending", ["complete", "fail", "cancel"])
def test_the_same_id_after_the_end_runs_nothing_for_a_day(world_of: Make, ending: str) -> None:  # row 16
    w = world_of(register(retries=0))
    w.send("go", {"n": 1}, id="same")
    if ending == "cancel":
        w.cancel(w.live(1))
    else:
        w.reply_to(1, returns() if ending == "complete" else throws())
    w.middle()
    w.send("go", {"n": 1}, id="same")
    w.advance(DAY - 1)
    w.send("go", {"n": 1}, id="same")
    assert w.labels == [1]
    w.advance(1)
    w.middle()
    w.send("go", {"n": 1}, id="same")
    assert w.labels == [1, 1]


def test_the_same_id_runs_once_per_function(world_of: Make) -> None:  # row 17
    w = world_of(register("app-one", ["go", "other"]), register("app-two"))
    w.send("go", {"n": 1}, id="same")
    w.middle()
    w.send("go", {"n": 1}, id="same")
    w.send("other", {"n": 1}, id="same")  # under another name as well
    assert len(w.ids_of(1, "app-one")) == len(w.ids_of(1, "app-two")) == 1


def test_a_seed_makes_a_request_repeatable(world_of: Make) -> None:  # row 18
    w = world_of(register())
    for _ in range(3):
        w.seeded("go", [{"n": 0}, {"n": 1}], f"{T0},AAAAAAAAAAAAAA==")
        w.middle()
    assert w.labels == [0, 1]
    assert len({e.id for e in w.rows.events}) == 2


def test_a_future_time_delays_the_start(world_of: Make) -> None:  # row 19
    w = world_of(register())
    w.send("go", {"n": 1}, ts=T0 + 5 * SECOND)
    assert w.outcome(1) is RunStatus.SCHEDULED
    w.middle()
    w.advance(5 * SECOND - 1)
    assert w.at_work == []
    w.advance(1)
    assert w.at_work == [1]


def test_functions_of_one_event_don_t_disturb_each_other(world_of: Make) -> None:  # row 20
    w = world_of(*(register(f"app-{n}", retries=0) for n in range(3)))
    w.event(n=1)
    calls = [w.take_first() for _ in range(3)]
    w.answer(calls[0], throws())
    w.answer(calls[1], returns())
    w.answer(calls[2], returns())
    assert sorted(row.status.name for row in w.rows.runs.values()) == ["COMPLETED", "COMPLETED", "FAILED"]


def test_a_function_on_finished_runs_once_per_finish_and_starts_no_loop(world_of: Make) -> None:  # row 21
    trigger = {"event": "inngest/function.finished", "expression": "event.data.function_id == 'app-fn'"}
    w = world_of(register(), register("app-watcher", trigger), register("app-all", "inngest/function.finished"))
    for n in range(2):
        w.event(n=n)
        w.finish(n)
        w.middle()
    w.finish_all()
    by_function = [row.function_id for row in w.rows.runs.values()]
    assert by_function.count("id-app-watcher") == by_function.count("id-app-all") == 2
    assert len(w.events("inngest/function.finished")) == 2


def test_a_removed_function_starts_nothing(world_of: Make) -> None:  # row 22
    w = world_of(register())
    w.configure()
    w.middle()
    w.event(n=1)
    assert w.labels == []


def test_an_event_after_a_restart_starts_what_was_synced_before(world_of: Make) -> None:  # row 152
    w = world_of(register())
    w.restart()
    w.event(n=1)
    assert w.at_work == [1]


def test_a_burst_is_neither_lost_nor_doubled(world_of: Make) -> None:  # row 157
    w = world_of(register())
    w.burst("go", [{"n": n} for n in range(200)])
    assert len(w.calls) == 90  # of 100 workers, as many as one function may have
    w.middle()
    assert sorted(w.finish_all()) == list(range(200))
    w.advance(HOUR)
    w.check_idle()
