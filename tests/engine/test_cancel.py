"""Cancellation, in each state of a run (execution.md §4.12, flow-control.md §4.8, §9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.protocol.functions import Cancel
from holdfast.server.model.status import RunStatus, SpanStatus

from .replies import fetch, hashed, invoke, ops, planned, ran, returns, signal, sleep, throws, wait
from .world import DAY, HOUR, MINUTE, T0, World, function

MATCH = "event.data.id == async.data.id"


def cancellable(*cancel: Cancel, **more: object) -> World:
    return World(function(cancel=cancel or (Cancel("stop", MATCH),), **more))  # type: ignore[arg-type]


STATES: dict[str, Callable[[World], object]] = {
    "called": lambda w: None,
    "retrying": lambda w: w.reply(throws()),
    "sleeping": lambda w: w.reply(ops(sleep("s"))),
    "waiting": lambda w: w.reply(ops(wait("w", "e"))),
    "signal": lambda w: w.reply(ops(signal("w", "e"))),
    "invoking": lambda w: w.reply(ops(invoke("i", "app-fn"))),
    "parallel": lambda w: w.reply(ops(planned("a"), sleep("s"), wait("w", "e"))),
    "fetching": lambda w: w.reply(ops(fetch("f"))),
    "between": lambda w: w.reply(ops()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("how", ["event", "api", "event after a restart"])
def test_a_run_can_be_cancelled_whatever_it_does(state: str, how: str) -> None:
    world = cancellable()
    run = world.start("go", {"id": 1})
    STATES[state](world)
    if how == "api":
        world.cancel(world.engine._core.runs[run.id])
    else:
        if how != "event":
            world.restart()
        world.send("stop", {"id": 1})
    assert world.status(run) is RunStatus.CANCELLED
    assert world.output(run) is None
    for call in list(world.calls):
        if call.run.id == run.id:
            assert world.answer(call, returns("late")) is False
            world.calls.remove(call)
    world.advance(DAY)
    for call in world.calls:  # a child that was invoked goes on
        assert call.run.id != run.id
        world.load(call.run)
        world.answer(call, returns())
    world.check_idle()


def test_open_steps_are_recorded_as_cancelled() -> None:
    world = cancellable()
    run = world.start("go", {"id": 1})
    world.reply(ops(planned("a"), sleep("s"), wait("w", "e"), signal("x", "y")))
    world.advance(MINUTE)
    world.send("stop", {"id": 1})
    spans = [s for s in world.history(run) if s.status is SpanStatus.CANCELLED]
    assert [(s.name, s.op, s.ended_at) for s in spans] == [
        ("a", "StepPlanned", T0 + MINUTE),
        ("s", "Sleep", T0 + MINUTE),
        ("w", "WaitForEvent", T0 + MINUTE),
        ("x", "WaitForSignal", T0 + MINUTE),
    ] or {s.name for s in spans} == {"a", "s", "w", "x"}
    stop = next(e.id for e in world.rows.events if e.name == "stop")
    assert world.rows.runs[run.id].details.cancelled_by == stop


def test_only_runs_that_match_are_cancelled() -> None:
    world = cancellable()
    runs = [world.start("go", {"id": i % 2}) for i in range(4)]
    world.send("stop", {"id": 1})
    assert [world.status(r) for r in runs] == [
        RunStatus.RUNNING,
        RunStatus.CANCELLED,
        RunStatus.RUNNING,
        RunStatus.CANCELLED,
    ]


def test_without_a_condition_every_run_is_cancelled() -> None:
    world = cancellable(Cancel("stop"))
    runs = [world.start("go") for _ in range(3)]
    world.send("stop")
    assert {world.status(r) for r in runs} == {RunStatus.CANCELLED}


def test_the_event_that_starts_a_run_does_not_cancel_it() -> None:
    world = World(function(cancel=[Cancel("go")]))
    first = world.start("go")
    second = world.start("go")
    assert world.status(first) is RunStatus.CANCELLED
    assert world.status(second) is RunStatus.RUNNING


def test_a_cancel_event_counts_only_for_a_time() -> None:
    world = cancellable(Cancel("stop", timeout="1h"))
    run = world.start()
    world.reply(ops(sleep("s", "2h")))
    world.now += HOUR + 1
    world.send("stop")
    assert world.status(run) is RunStatus.RUNNING
    world.advance(HOUR)
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


@pytest.mark.parametrize("restarted", [False, True])
def test_the_end_of_that_time_does_nothing_to_the_run(restarted: bool) -> None:
    world = cancellable(Cancel("stop", timeout="1h"))
    run = world.start()
    world.reply(ops(sleep("s", "5h")))
    if restarted:
        world.restart()
    world.advance(4 * HOUR)
    assert not world.calls
    assert world.memo(run) == {}
    assert len(world.engine._core.runs[run.id].open) == 2


def test_a_timeout_that_is_no_duration_is_a_year() -> None:
    world = cancellable(Cancel("stop", timeout="soon"))
    run = world.start()
    world.reply(ops(sleep("s", "300d")))
    world.advance(200 * DAY)
    world.send("stop")
    assert world.status(run) is RunStatus.CANCELLED


def test_a_condition_that_is_false_from_the_start_opens_nothing() -> None:
    world = cancellable(Cancel("stop", "event.data.id == 2 && async.data.x == 1"))
    assert len(world.start("go", {"id": 1}).open) == 1
    assert len(world.start("go", {"id": 2}).open) == 2


def test_a_condition_about_missing_data_never_holds() -> None:
    world = cancellable(Cancel("stop", "async.data.a.b.c == 1"))
    run = world.start()
    world.send("stop", {"a": 3})
    assert world.status(run) is RunStatus.RUNNING


def test_several_cancel_events_of_one_turn_cancel_once() -> None:
    world = cancellable(Cancel("stop"), Cancel("stop", "true == true"))
    run = world.start()
    world.send("stop")
    assert world.status(run) is RunStatus.CANCELLED
    assert len(world.events("inngest/function.cancelled")) == 1


def test_the_end_of_one_run_may_cancel_another() -> None:
    world = World(function(), function("app-other", "other", cancel=[Cancel("inngest/function.cancelled")]))
    first, second = world.start("go"), world.start("other")
    world.cancel(first)
    assert world.status(second) is RunStatus.CANCELLED
    world.check_idle()


def test_a_cancelled_runs_wait_is_free_for_others() -> None:
    world = cancellable(Cancel("stop"))
    world.start()
    world.reply(ops(signal("w", "x")))
    world.send("stop")
    second = world.start()
    world.reply(ops(signal("w", "x")))
    assert world.signal("x") == second.id


def test_a_step_that_was_done_stays_done() -> None:
    world = cancellable(Cancel("stop"))
    run = world.start()
    world.reply(ops(ran("a", 1)))
    world.send("stop")
    assert world.memo(run) == {hashed("a"): {"data": 1}}
