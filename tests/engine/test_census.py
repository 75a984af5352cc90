"""What is alive, counted: jobs by state, pauses by kind, runs by status."""

from __future__ import annotations

from holdfast.protocol.functions import ConcurrencyLimit
from holdfast.server.engine.census import Census

from .replies import ops, returns, sleep
from .world import World, function


def counted(world: World) -> Census:
    census = Census(world.now)
    world.engine.view.count(census, world.engine.view.runs())
    return census


def test_jobs_that_run_wait_and_sleep() -> None:
    world = World(function(limits=[ConcurrencyLimit(1)]))
    for _ in range(3):
        world.start()
    census = counted(world)
    assert census.jobs == {"running": 1, "ready": 2, "scheduled": 0}
    assert census.runs == {"running": 1, "scheduled": 2}
    world.reply(ops(sleep("s", "1h")))
    assert counted(world).jobs == {"running": 1, "ready": 1, "scheduled": 1}


def test_a_run_that_has_ended_is_not_counted() -> None:
    world = World(function())
    run = world.start()
    world.reply(returns())
    census = Census(world.now)
    world.engine.view.count(census, [run])
    assert census.runs == {"running": 0, "scheduled": 0}
    assert census.oldest == world.now
