"""Groups of steps: planning, coalesced discovery, version 1, race (execution.md §4.2)."""

from __future__ import annotations

import pytest

from holdfast.protocol.events import read_events
from holdfast.server.model.status import RunStatus, SpanStatus

from .replies import (
    Reply,
    complete,
    failed,
    failing,
    hashed,
    invoke,
    op,
    ops,
    planned,
    ran,
    returns,
    sleep,
    throws,
    wait,
)
from .world import HOUR, MINUTE, SECOND, T0, World, function


def test_planned_steps_are_called_one_by_one_and_discovered_once(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b")))
    assert run.state.force_plan
    assert {c.job.step for c in world.calls} == {hashed("a"), hashed("b")}
    world.reply(ops(ran("a", 1)), "a")
    assert len(world.calls) == 1
    world.reply(ops(ran("b", 2)), "b")
    discovery = world.call()
    assert discovery.job.step == ""
    assert not run.state.force_plan
    world.answer(discovery, returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_a_targeted_call_points_to_the_step_before_the_plan(world: World) -> None:
    world.start()
    world.reply(ops(ran("first")))
    world.reply(ops(planned("a"), planned("b")))
    assert {c.job.outgoing for c in world.calls} == {hashed("first")}
    assert {c.job.name for c in world.calls} == {"a", "b"}


def test_a_planning_call_is_recorded(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b")))
    (plan,) = world.history(run)
    assert (plan.kind, plan.status) == ("plan", SpanStatus.COMPLETED)


def test_steps_that_are_reported_again_open_nothing(world: World) -> None:
    run = world.start()
    group = ops(planned("a"), sleep("s"), wait("w", "e"))
    world.reply(group)
    items = {i.no: i for i in run.open}
    call = world.call("a")
    world.engine._core.now = world.now
    world.answer(call, group)
    assert {i.step for i in run.open} == {i.step for i in items.values()} - {hashed("a")}


def test_a_single_planned_step_is_no_group(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a")))
    assert not run.state.force_plan
    assert run.pending is None
    world.reply(ops(ran("a")), "a")
    assert world.call().job.outgoing == hashed("a")


def test_version_1_discovers_after_each_step_and_keeps_planning(world: World) -> None:
    """One discovery at a time: what ends while it is under way is found by the next one, together."""
    run = world.start()
    names = "abcde"
    world.reply(ops(*map(planned, names), version=1))
    for name in names:
        world.reply(ops(ran(name), version=1), name)
    assert [c.job.outgoing for c in world.calls] == [hashed("a")]
    assert run.state.force_plan
    world.reply(ops(planned("b"), version=1))
    assert [c.job.outgoing for c in world.calls] == [hashed("e")]
    world.reply(ops(planned("join"), version=1))
    world.reply(ops(ran("join"), version=1), "join")
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_version_1_goes_on_after_a_discovery_that_fails(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b"), version=1))
    world.reply(ops(ran("a"), version=1), "a")
    world.reply(ops(ran("b"), version=1), "b")
    world.reply(throws())
    assert [c.job.outgoing for c in world.calls] == [hashed("b")]
    world.reply(returns())  # the discovery that failed is tried again in vain
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_version_1_discovers_once_after_a_restart(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b"), version=1))
    world.reply(ops(ran("a"), version=1), "a")
    world.reply(ops(ran("b"), version=1), "b")
    world.restart()
    world.advance(0)
    assert [c.job.outgoing for c in world.calls] == [hashed("a")]
    world.reply(ops(planned("b"), version=1))
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_discoveries_of_one_turn_are_one_call(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b"), version=1))
    first, second = world.calls
    world.calls.clear()
    with world.one_turn():
        world.answer(first, ops(ran("a"), version=1))
        world.answer(second, ops(ran("b"), version=1))
    assert [c.job.outgoing for c in world.calls] == [hashed("b")]
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_two_discoveries_that_run_the_same_step_go_on_as_one(world: World) -> None:
    """In race mode two calls may execute one step: the second report must not double the run."""
    run = world.start()
    world.reply(ops(planned("a", race=True), planned("b", race=True)))
    world.reply(ops(ran("a")), "a")
    world.reply(ops(ran("b")), "b")
    first, second = world.calls
    world.calls.clear()
    for call in (first, second):
        world.load(run)
        world.answer(call, ops(ran("join", call.job.no)))
    assert world.step(run, "join") == {"data": first.job.no}
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_in_a_race_each_end_leads_on(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("fast", race=True), planned("slow", race=True)))
    world.reply(ops(ran("fast", 1)), "fast")
    world.reply(ops(planned("slow", race=True), planned("join")), "")
    assert run.pending == {hashed("slow"), hashed("join")}
    world.reply(ops(ran("join")), "join")
    world.reply(ops(ran("slow", 2)), "slow")
    world.reply(returns("end"))
    assert world.output(run) == "end"
    world.check_idle()


def test_a_race_of_waits_and_sleeps(world: World) -> None:
    run = world.start()
    world.reply(ops(sleep("s", "1h", race=True), wait("w", "e", "2h", race=True)))
    world.advance(HOUR)
    world.reply(complete_with("sleep"))
    assert world.output(run) == "sleep"
    world.check_idle()


def test_a_race_that_an_event_wins(world: World) -> None:
    run = world.start()
    world.reply(ops(sleep("s", "1h", race=True), wait("w", "e", "2h", race=True)))
    world.send("e")
    world.reply(complete_with("event"))
    assert world.output(run) == "event"
    world.check_idle()


def complete_with(value: str):  # type: ignore[no-untyped-def]
    return ops(complete(value))


def test_mixed_groups_are_discovered_when_all_are_done(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), sleep("s", "10s"), wait("w", "e", "1h")))
    world.reply(ops(ran("a")), "a")
    world.advance(10 * SECOND)
    assert not world.calls
    world.send("e")
    assert world.call().job.outgoing == hashed("w")
    assert list(world.memo(run)) == [hashed("a"), hashed("s"), hashed("w")]


def test_the_call_after_a_sleep_that_ends_a_group_may_run_the_next_step(world: World) -> None:
    """The reference has it planned first, with a call more: see `docs/explanation/deviations.md`."""
    run = world.start()
    world.reply(ops(planned("a"), sleep("s", "10s")))
    world.reply(ops(ran("a")), "a")
    assert run.state.force_plan
    world.advance(10 * SECOND)
    assert world.call().job.outgoing == hashed("s")
    assert not run.state.force_plan


def test_a_step_that_ran_beside_planned_ones_is_done_already(world: World) -> None:
    run = world.start()
    world.reply(ops(ran("a", 1), planned("b")))
    assert run.pending == {hashed("b")}
    world.reply(ops(ran("b")), "b")
    assert world.call().job.outgoing == hashed("b")


def test_buffered_steps_alone_are_no_waiting_group(world: World) -> None:
    run = world.start()
    world.reply(ops(ran("a"), ran("b"), ran("c")))
    assert not run.pending
    discovery = world.call()
    assert discovery.job.outgoing == hashed("c")
    assert not run.state.force_plan


def test_one_failed_step_of_a_group_waits_for_the_others() -> None:
    world = World(function(retries=0))
    run = world.start()
    world.reply(ops(planned("a"), planned("b")))
    world.reply(ops(failing("a")), "a")
    assert len(world.calls) == 1
    world.reply(ops(ran("b")), "b")
    world.reply(returns("caught"))
    assert world.status(run) is RunStatus.COMPLETED


def test_retries_of_a_groups_steps_are_counted_apart(world: World) -> None:
    world.start()
    world.reply(ops(planned("a"), planned("b")))
    world.reply(ops(failing("a")), "a")
    assert world.calls[0].job.attempt == 0
    world.advance(MINUTE)
    call = world.call("a")
    assert call.job.attempt == 1
    assert call.job.step == hashed("a")
    world.answer(call, ops(ran("a")))
    world.reply(ops(ran("b")), "b")
    assert world.call().job.attempt == 0


@pytest.mark.parametrize("extra", [{"op": "None", "id": "x"}, op("DiscoveryRequest", "again")])
def test_what_is_no_step_holds_no_group_up(world: World, extra: dict[str, object]) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b"), extra))
    assert run.pending == {hashed("a"), hashed("b")}
    if extra["op"] != "None":
        world.reply(ops(planned("a"), planned("b")), "")
    world.reply(ops(ran("a")), "a")
    world.reply(ops(ran("b")), "b")
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_a_failed_step_beside_a_retry_and_a_plan(world: World) -> None:
    run = world.start()
    world.reply(ops(failed("f"), failing("r"), planned("p")))
    assert "error" in world.step(run, "f")
    world.reply(ops(ran("p")), "p")
    assert not world.calls
    world.advance(MINUTE)
    world.reply(ops(ran("r")))
    assert world.call().job.outgoing == hashed("r")


def test_the_end_of_the_run_drops_what_is_still_open(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), sleep("s"), complete("done")))
    assert world.output(run) == "done"
    assert not world.calls
    world.advance(2 * HOUR)
    world.check_idle()


def test_the_first_of_two_ends_wins(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a", race=True), planned("b", race=True)))
    world.reply(ops(ran("a")), "a")
    world.reply(ops(ran("b")), "b")
    first, second = world.calls
    world.load(run)
    assert world.answer(first, returns(1))
    assert world.answer(second, returns(2)) is False
    assert world.output(run) == 1
    assert len(world.events("inngest/function.finished")) == 1


def test_a_second_group_follows_the_first(world: World) -> None:
    run = world.start()
    for names in (("a", "b"), ("c", "d")):
        world.reply(ops(*map(planned, names)))
        for name in names:
            world.reply(ops(ran(name)), name)
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    assert len(world.memo(run)) == 4


def test_a_targeted_call_that_answers_nothing_is_planned_again(world: World) -> None:
    run = world.start()
    world.reply(ops(planned("a"), planned("b")))
    world.reply(ops(), "a")
    world.reply(ops(ran("b")), "b")
    world.advance(150)
    world.reply(ops(planned("a")))
    world.reply(ops(ran("a")), "a")
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


def test_a_planned_step_that_has_a_result_does_not_strand_the_run(world: World) -> None:
    world.start()
    world.checkpoint(world.calls[0], ran("a"))
    world.reply(ops(planned("a")))
    world.advance(150)
    assert world.call().job.step == ""
    assert world.now == T0 + 150


def test_a_step_that_was_done_elsewhere_is_not_called_for_any_more(world: World) -> None:
    """A discovery may run what is planned already, while the planned call waits for its retry."""
    run = world.start()
    world.reply(ops(planned("a", race=True), planned("b", race=True)))
    world.reply(ops(failing("a", race=True)), "a")
    world.reply(ops(ran("b", race=True)), "b")
    world.reply(ops(ran("a", 1)), "")
    world.advance(HOUR)
    world.reply(returns("end"))
    assert world.output(run) == "end"
    world.check_idle()


def test_a_body_that_is_loaded_late_has_what_the_turn_saved(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("v", "e"), wait("w", "e")))
    assert run.body is None
    (event,) = read_events(b'{"name":"e"}', content_type="", now_ms=world.now, new_id=world.ids.next).events
    world.engine.on_event(event, world.now)
    world.load(run)
    assert run.body is not None
    assert list(run.body.steps) == [hashed("v"), hashed("w")]


@pytest.mark.parametrize("answer", [ops(ran("renamed")), ops(failed("renamed")), ops(planned("renamed")), ops()])
@pytest.mark.parametrize(
    "beside", [sleep("s", "10s"), wait("w", "e", "10s"), invoke("i", "app-other", timeout="10s"), planned("b")]
)
def test_a_step_that_is_gone_from_the_code_strands_nobody(answer: Reply, beside: dict[str, object]) -> None:
    """It was planned under a name that no call finds again. The last one of its group asks the app anew."""
    world = World(function(retries=0), function("app-other", "other"))
    run = world.start()
    world.reply(ops(planned("named-by-the-clock"), beside))
    world.reply(answer, "named-by-the-clock")
    for _ in range(20):
        world.advance(SECOND)
        for call in [call for call in world.calls if call.run is run]:
            world.calls.remove(call)
            world.load(run)
            world.answer(call, ops(ran("b")) if call.job.step == hashed("b") else ops())
    world.advance(SECOND)
    (call,) = (call for call in world.calls if call.run is run)
    world.load(run)
    world.answer(call, returns("done"))
    assert world.status(run) is RunStatus.COMPLETED


def test_a_run_that_has_nothing_to_go_on_with_is_taken_up_at_a_start(world: World) -> None:
    """No engine leaves one. If a defect did, or a row was lost, a restart mends it."""
    run = world.start()
    world.reply(ops(ran("a"), sleep("s")))
    world.rows.jobs.clear()
    world.restart()
    world.reply(returns("done"))
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()
