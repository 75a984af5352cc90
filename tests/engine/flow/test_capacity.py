"""Worker capacity: flow-control.md §4.12. A gateway tells the engine how much the workers of an app take at once."""

from __future__ import annotations

from holdfast.server.engine.why import why
from holdfast.server.model.reason import ReasonKind

from .conftest import Make
from .world import FlowWorld, register

APP = "id-app"


def capacity(world: FlowWorld, units: int | None) -> None:
    world.engine.set_capacity(APP, units, world.now)
    world.turn()


def test_no_more_calls_than_the_workers_take(world_of: Make) -> None:
    w = world_of(register())
    capacity(w, 2)
    w.burst("go", [{"n": n} for n in range(4)])
    assert w.at_work == [0, 1]
    w.finish(0)
    assert w.at_work == [1, 2]
    w.finish_all()
    w.check_idle()


def test_without_a_worker_runs_wait_and_can_say_so(world_of: Make) -> None:
    w = world_of(register())
    capacity(w, 0)
    w.event(n="a")
    assert w.at_work == []
    (reason,) = why(w.engine._core, w.live("a"), w.now)
    assert (reason.kind, reason.text) == (ReasonKind.NO_WORKER, "no worker of its app is connected")
    capacity(w, 1)
    assert w.at_work == ["a"]
    w.event(n="b")
    (reason,) = why(w.engine._core, w.live("b"), w.now)
    assert (reason.kind, reason.limit) == (ReasonKind.CONCURRENCY, 1)
    assert "a free worker of its app" in reason.text
    w.finish("a")
    w.finish("b")
    w.check_idle()


def test_a_worker_that_leaves_takes_no_more_and_keeps_what_it_has(world_of: Make) -> None:
    w = world_of(register())
    capacity(w, 2)
    w.burst("go", [{"n": n} for n in range(3)])
    capacity(w, 1)
    assert w.at_work == [0, 1]
    w.finish(0)
    assert w.at_work == [1]
    w.finish(1)
    assert w.at_work == [2]
    capacity(w, None)
    w.event(n="b")
    assert w.at_work == [2, "b"]
    w.finish_all()
    w.check_idle()
