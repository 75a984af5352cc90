"""An event that ends or starts a great deal: in slices, all of it, once, after a restart too."""

from __future__ import annotations

import json

import msgspec

from holdfast.protocol.functions import Cancel, Trigger
from holdfast.server.engine import fanout
from holdfast.server.engine.core import Settings
from holdfast.server.engine.flow import restore
from holdfast.server.model.status import RunStatus

from .replies import ops, returns, wait
from .world import World, function

ROOMY = Settings(workers=10_000)
MANY = fanout.SLICE // 300 + 100
"""More waits than one slice ends."""


def finish(world: World) -> int:
    """Does what is left, slice by slice; returns how many there were."""
    slices = 0
    while world.engine._core.fanouts:
        world.engine.go_on(world.now)
        world.turn()
        slices += 1
    return slices


def waiting(world: World, count: int, condition: str = "") -> None:
    for _ in range(count):
        world.start("go")
        world.reply(ops(wait("w", "done", "1h", condition or None)))


def restart(world: World) -> None:
    """The process dies; another one takes what is left of events from their records, as a partition does."""
    left = {id: msgspec.json.encode(one.rest()) for id, one in world.engine._core.fanouts.items()}
    events = {event.id: event for event in world.rows.events}
    fresh = world._engine

    def engine():  # type: ignore[no-untyped-def]
        made = fresh()
        made.configure(world.functions, world.now)
        for id, raw in left.items():
            assert restore.needed_events(fanout.KIND, raw) == [id]
            made.restore(fanout.KIND, id, raw, {id: events[id]})
        return made

    world._engine = engine  # type: ignore[method-assign]
    world.restart()
    world._engine = fresh  # type: ignore[method-assign]


def test_many_waits_end_in_slices_and_others_go_on_meanwhile() -> None:
    world = World(function(), function("app-other", "other"), settings=ROOMY)
    waiting(world, MANY)
    world.send("done", {"n": 1})
    left = len(world.engine._core.waits)
    assert 0 < left < MANY
    other = world.start("other")  # nobody waits for the rest
    (call,) = [c for c in world.calls if c.run is other]
    world.calls.remove(call)
    world.answer(call, returns("done"))
    assert world.status(other) is RunStatus.COMPLETED
    assert finish(world) >= 1
    assert not len(world.engine._core.waits)
    assert len(world.rows.steps) == MANY


def test_a_wait_that_is_made_meanwhile_is_not_ended_by_the_past() -> None:
    world = World(function(), settings=ROOMY)
    waiting(world, MANY)
    world.send("done")
    world.calls.clear()
    world.now += 1
    waiting(world, 1)
    finish(world)
    assert len(world.engine._core.waits) == 1


def test_a_restart_goes_on_where_the_event_was() -> None:
    world = World(function(), settings=ROOMY)
    waiting(world, MANY)
    world.send("done")
    world.now += 5
    world.calls.clear()
    waiting(world, 1)
    restart(world)
    assert finish(world) >= 1
    assert len(world.engine._core.waits) == 1, "all but the one that is newer than the event"
    assert len(world.rows.steps) == MANY


def test_waits_whose_test_is_dear_take_many_slices() -> None:
    world = World(function(), settings=ROOMY)
    condition = "async.data.ids.all(a, async.data.ids.all(b, a >= 0.0 || b >= 0.0))"
    waiting(world, 10, condition)
    world.send("done", {"ids": list(range(2_000))})
    assert finish(world) >= 5
    assert len(world.engine._core.waits) == 10
    assert len(world.engine._core.exceeded) == 10


def test_triggers_that_are_dear_take_many_slices_and_start_each_run_once() -> None:
    dear = "event.data.ids.all(a, a >= 0.0)"
    world = World(*(function(f"app-f{n}", Trigger(event="go", expression=dear)) for n in range(10)))
    started = len(world.send("go", {"ids": list(range(4_000))}, id="once"))
    assert 0 < started < 10
    restart(world)
    finish(world)
    assert len(world.rows.runs) == 10
    assert len({row.function_id for row in world.rows.runs.values()}) == 10
    assert world.send("go", {"ids": [1]}, id="once") == []


def test_an_event_that_cancels_many_does_so_in_slices() -> None:
    world = World(function(cancel=[Cancel("stop", "", "")]))
    runs = [world.start("go") for _ in range(150)]
    world.send("stop", json.loads('{"n": 1}'))
    assert 0 < sum(world.status(run) is RunStatus.CANCELLED for run in runs) < 150
    finish(world)
    assert all(world.status(run) is RunStatus.CANCELLED for run in runs)
    world.check_idle()
