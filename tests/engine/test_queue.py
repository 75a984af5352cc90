"""Who goes first: concurrency keys, worker slots, priority (flow-control.md §4.1, §4.6, §6)."""

from __future__ import annotations

import pytest

from holdfast.protocol.events import Event
from holdfast.protocol.functions import ConcurrencyLimit, Scope
from holdfast.server.engine.run import Run
from holdfast.server.engine.settings import Settings

from .replies import ops, planned, ran, returns, sleep, throws
from .world import HOUR, MINUTE, World, function


def running(world: World) -> list[str]:
    return [c.run.id for c in world.calls]


def drain(world: World) -> list[str]:
    """Answers whatever is called, one after the other, and tells in which order that was."""
    order = []
    while world.calls:
        call = world.calls.pop(0)
        world.load(call.run)
        order.append(call.run.id)
        world.answer(call, returns())
    return order


def ids(*runs: Run) -> list[str]:
    return [r.id for r in runs]


def test_a_limit_is_never_exceeded_and_kept_in_order() -> None:
    world = World(function(limits=[ConcurrencyLimit(2)]))
    runs = [world.start() for _ in range(6)]
    assert running(world) == ids(*runs[:2])
    for i in range(4):
        call = world.calls.pop(0)
        world.load(call.run)
        world.answer(call, returns())
        assert running(world) == ids(*runs[i + 1 : i + 3])
    drain(world)
    world.check_idle()


@pytest.mark.parametrize("limit", [0, -1])
def test_no_limit_means_a_thousand(limit: int) -> None:
    world = World(function(limits=[ConcurrencyLimit(limit)]), settings=Settings(workers=2_000))
    for number in range(1_001):  # in one turn: the world looks at everything after each
        event = Event(f"{number:026}", "go", str(number), world.now, world.now, b'{"name":"go"}')
        world.engine.on_event(event, world.now)
    world.turn()
    assert len(world.calls) == 1_000


def test_a_key_limits_each_of_its_values() -> None:
    world = World(function(limits=[ConcurrencyLimit(1, "event.data.k")]))
    a, b, c = (world.start("go", {"k": k}) for k in ("x", "y", "x"))
    assert running(world) == ids(a, b)
    call = world.calls.pop(0)
    world.load(a)
    world.answer(call, returns())
    assert running(world) == ids(b, c)


def test_runs_without_the_keys_attribute_share_one_bucket() -> None:
    world = World(function(limits=[ConcurrencyLimit(1, "event.data.k")]))
    world.start("go", {})
    world.start("go", {"other": 1})
    assert len(world.calls) == 1


def test_a_key_that_cannot_be_evaluated_is_a_bucket_as_well() -> None:
    world = World(function(limits=[ConcurrencyLimit(1, "event.data.k.x.y")]))
    world.start("go", {"k": 1})
    world.start("go", {"k": 2})
    assert len(world.calls) >= 1


def test_two_limits_must_both_have_room() -> None:
    world = World(function(limits=[ConcurrencyLimit(1, "event.data.k"), ConcurrencyLimit(2)]))
    runs = [world.start("go", {"k": k}) for k in ("x", "x", "y", "z")]
    assert running(world) == ids(runs[0], runs[2])
    assert drain(world)[-2:] == ids(*runs[1::2]) or len(world.rows.runs) == 4
    world.check_idle()


def test_of_two_limits_for_one_key_the_lower_counts() -> None:
    world = World(function(limits=[ConcurrencyLimit(2), ConcurrencyLimit(3)]))
    for _ in range(5):
        world.start()
    assert len(world.calls) == 2


def test_functions_share_a_key_of_the_environment_each_with_its_own_limit() -> None:
    def shared(slug: str, on: str, limit: int):  # type: ignore[no-untyped-def]
        return function(slug, on, limits=[ConcurrencyLimit(limit, "event.data.k", Scope.ENVIRONMENT)])

    world = World(shared("app-a", "a", 1), shared("app-b", "b", 2))
    b1, b2 = world.start("b", {"k": 1}), world.start("b", {"k": 1})
    a1 = world.start("a", {"k": 1})
    b3 = world.start("b", {"k": 1})
    assert running(world) == ids(b1, b2)
    call = world.calls.pop(0)
    world.load(b1)
    world.answer(call, returns())
    assert running(world) == ids(b2, b3), "app-a wants the key for itself alone"
    assert drain(world) == ids(b2, b3, a1)
    world.check_idle()


def test_keys_of_functions_of_their_own_are_not_shared() -> None:
    keyed = [ConcurrencyLimit(1, "event.data.k")]
    world = World(function("app-a", "go", limits=keyed), function("app-b", "go", limits=keyed))
    world.send("go", {"k": 1})
    assert len(world.calls) == 2


def test_a_sleeping_or_waiting_run_holds_no_place() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)]))
    first, second = world.start(), world.start()
    world.reply(ops(sleep("s")))
    assert running(world) == ids(second)
    world.advance(HOUR)
    assert running(world) == ids(second), "its wake-up waits for the place"
    world.reply(returns())
    assert running(world) == ids(first)


def test_a_retry_gives_its_place_away_meanwhile() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)]))
    first, second = world.start(), world.start()
    world.reply(throws())
    assert running(world) == ids(second)
    world.reply(returns())
    world.advance(MINUTE)
    assert running(world) == ids(first)
    assert world.calls[0].job.attempt == 1


def test_a_cancelled_run_gives_its_place_to_the_next() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)]))
    runs = [world.start() for _ in range(4)]
    world.cancel(runs[1])
    world.cancel(runs[0])
    assert running(world)[-1:] == ids(runs[2])
    world.calls = world.calls[-1:]
    assert drain(world) == ids(runs[2], runs[3])
    world.check_idle()


def test_the_steps_of_an_older_run_go_before_the_start_of_a_newer_one() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)]))
    first, second = world.start(), world.start()
    replies = (ops(ran("a")), ops(ran("b")), returns(), ops(ran("a")), returns())
    order = [world.reply(reply).run.id for reply in replies]
    assert order == ids(first, first, first, second, second)
    world.check_idle()


def test_the_same_holds_for_worker_slots() -> None:
    world = World(function(), settings=Settings(workers=1))
    first, second = world.start(), world.start()
    assert world.reply(ops(ran("a"))).run is first
    assert world.reply(returns()).run is first
    assert world.reply(returns()).run is second
    world.check_idle()


def test_priority_moves_a_run_ahead() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)], priority="event.data.p"))
    first = world.start("go", {"p": 0})
    world.now += 2_000
    late, urgent = world.start("go", {"p": 0}), world.start("go", {"p": 5})
    worse = world.start("go", {"p": -100})
    assert drain(world) == ids(first, urgent, late, worse)


@pytest.mark.parametrize(
    ("value", "priority"), [(5, 5), (-5, -5), (10**9, 43_200), (-(10**9), -43_200), (1.5, 0), ("x", 0), (True, 0)]
)
def test_priority_is_a_whole_number_within_half_a_day(value: object, priority: int) -> None:
    world = World(function(priority="event.data.p" if not isinstance(value, bool) else "true"))
    assert world.start("go", {"p": value}).state.priority == priority


def test_a_priority_that_cannot_be_evaluated_is_none() -> None:
    world = World(function(priority="event.data.p.x / 0"))
    assert world.start("go", {"p": 1}).state.priority == 0


def test_worker_slots_are_shared_in_turn_between_functions() -> None:
    world = World(function("app-a", "a"), function("app-b", "b"), settings=Settings(workers=1))
    many = [world.start("a") for _ in range(3)]
    few = [world.start("b") for _ in range(2)]
    assert drain(world) == ids(many[0], many[1], few[0], many[2], few[1])
    world.check_idle()


def test_a_function_with_limits_does_not_keep_the_slots_to_itself() -> None:
    world = World(
        function("app-a", "a", limits=[ConcurrencyLimit(2)]), function("app-b", "b"), settings=Settings(workers=2)
    )
    greedy = [world.start("a") for _ in range(6)]
    modest = world.start("b")
    assert modest.id in drain(world)[:3]
    assert len(greedy) == 6
    world.check_idle()


def test_no_function_holds_all_slots() -> None:
    world = World(function("app-a", "a"), function("app-b", "b"), settings=Settings(workers=20))
    many = [world.start("a") for _ in range(30)]
    assert running(world) == ids(*many[:18])
    other = world.start("b")
    assert running(world)[18:] == ids(other)
    world.answer(world.calls.pop(), ops(ran("one")))  # its next step waits for none of the others
    assert running(world)[18:] == ids(other)
    world.answer(world.calls.pop(0), returns())
    assert running(world)[18:] == ids(many[18])
    assert len(drain(world)) == 30 + 1 - 1
    world.check_idle()


def test_the_steps_of_a_function_that_holds_its_share_take_turns() -> None:
    world = World(function(), settings=Settings(workers=10))
    runs = [world.start() for _ in range(10)]
    world.answer(world.calls.pop(0), ops(ran("one")))
    assert running(world) == ids(*runs[1:9], runs[0]), "the oldest run goes first"
    world.answer(world.calls.pop(0), returns())
    assert running(world)[-1] == runs[9].id


def test_slots_that_a_function_may_not_have_are_explained() -> None:
    world = World(function("app-a", "a"), settings=Settings(workers=10))
    run = [world.start("a") for _ in range(11)][-1]
    (reason,) = world.engine.view.why([run.id], world.now)[run.id]
    assert reason.text == "its function holds 9 worker slots, as many as one function may; 1 go first"
    assert reason.limit == 9


def test_what_is_cancelled_while_it_waits_for_a_slot_gives_its_keys_up() -> None:
    world = World(
        function("app-a", "a"), function("app-b", "b", limits=[ConcurrencyLimit(1)]), settings=Settings(workers=1)
    )
    world.start("a")
    first, second = world.start("b"), world.start("b")
    world.cancel(first)
    assert drain(world)[-1] == second.id
    world.check_idle()


def test_parallel_steps_of_a_run_count_one_by_one() -> None:
    world = World(function(limits=[ConcurrencyLimit(2)]))
    world.start()
    world.reply(ops(*(planned(f"s{i}") for i in range(5))))
    assert len(world.calls) == 2


def test_a_changed_limit_holds_for_what_comes() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)]))
    for _ in range(3):
        world.start()
    assert len(world.calls) == 1
    world.configure(function(limits=[]))
    world.start()
    assert len(world.calls) >= 2


def test_a_changed_key_is_not_asked_of_older_runs() -> None:
    world = World(function(limits=[ConcurrencyLimit(1, "event.data.k")]))
    run = world.start("go", {"k": 1})
    world.configure(function(limits=[ConcurrencyLimit(1, "event.data.other")]))
    world.reply(ops(ran("a")))
    assert world.call().run is run


def test_limits_hold_after_a_restart() -> None:
    world = World(function(limits=[ConcurrencyLimit(1, "event.data.k")]))
    runs = [world.start("go", {"k": 1}) for _ in range(3)]
    world.restart()
    assert running(world) == ids(runs[0])
    assert drain(world) == ids(*runs)
    world.check_idle()
