"""Apps that plan without end: the run fails and says why, and each answer costs what it brings."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable

import pytest

from holdfast.protocol.limits import MAX_OPEN_STEPS
from holdfast.protocol.responses import read_response
from holdfast.server.engine.core import Settings
from holdfast.server.engine.run import Run
from holdfast.server.model.status import RunStatus

from .replies import ops, planned, ran, returns, sleep, wait
from .world import World, function

NAMES = itertools.count()


def new(count: int) -> list[str]:
    return [f"step {next(NAMES)}" for _ in range(count)]


def error(world: World, run: Run) -> str:
    return str(world.output(run))


def plan_on(world: World, run: Run, count: int, most: int = 100_000) -> int:
    """Answers every call by `count` new plans, until the run ends; returns how many answers that took."""
    answers = 0
    while world.status(run) is RunStatus.RUNNING and answers < most:
        call = world.calls.pop(0)
        world.load(run)
        world.answer(call, ops(*map(planned, new(count))))
        answers += 1
    return answers


def test_a_thousand_new_plans_each_time_end_the_run() -> None:
    world = World(function())
    run = world.start()
    assert plan_on(world, run, 1_000) == 2
    assert world.status(run) is RunStatus.FAILED
    assert f"more than {MAX_OPEN_STEPS} steps open" in error(world, run)
    world.check_idle()


def test_two_new_plans_each_time_end_the_run() -> None:
    world = World(function(), settings=Settings(workers=10))
    run = world.start()
    assert plan_on(world, run, 2) <= MAX_OPEN_STEPS + 2
    assert world.status(run) is RunStatus.FAILED
    world.check_idle()


def test_one_new_plan_each_time_ends_the_run_too() -> None:
    world = World(function(), settings=Settings(step_limits={"id-app-fn": 20}))
    run = world.start()
    assert plan_on(world, run, 1) <= 201
    assert "planned more than 200 steps" in error(world, run)
    world.check_idle()


@pytest.mark.parametrize("opens", [sleep, lambda name: wait(name, "never")], ids=["sleep", "wait"])
def test_what_else_an_answer_opens_counts_as_well(opens: Callable[[str], dict[str, object]]) -> None:
    world = World(function())
    run = world.start()
    answer_on(world, run, lambda: [*map(opens, new(600)), planned(new(1)[0])])
    assert "steps open at once" in error(world, run)
    world.check_idle()


def test_requests_for_discoveries_open_one_and_do_not_go_on_for_ever() -> None:
    world = World(function(), settings=Settings(step_limits={"id-app-fn": 20}))
    run = world.start()
    answer_on(world, run, lambda: [*map(discovery, new(5)), planned(new(1)[0])])
    assert "planned more than 200 steps" in error(world, run)
    world.check_idle()


def discovery(name: str) -> dict[str, object]:
    return {"op": "DiscoveryRequest", "id": name, "name": name}


def answer_on(world: World, run: Run, made: Callable[[], list[dict[str, object]]]) -> None:
    """Give each call such an answer, until the run ends."""
    while world.status(run) is RunStatus.RUNNING:
        call = world.calls.pop(0)
        world.load(run)
        world.answer(call, ops(*made()))


def test_as_many_as_are_allowed_go_on() -> None:
    world = World(function(), settings=Settings(workers=2_000))
    run = world.start()
    names = new(300)
    world.reply(ops(*map(planned, names)))
    for name in names[:-1]:
        call = next(c for c in world.calls if c.job.name == name or c.job.step)
        world.calls.remove(call)
        world.load(run)
        world.answer(call, ops(dict(ran(name), id=call.job.step)))
    world.reply(returns("all"))
    assert world.status(run) is RunStatus.COMPLETED


def seconds_of_answers(beside: int) -> float:
    """CPU seconds of 200 answers of a run that has so many steps open."""
    world = World(function(), settings=Settings(workers=1))
    run = world.start()
    world.reply(ops(*(sleep(name) for name in new(beside)), planned("next")))
    spent = 0.0
    for _ in range(200):
        call = world.calls.pop()
        world.load(run)
        reply = ops(planned(new(1)[0]))
        outcome = read_response(reply.status, reply.headers, reply.body, world.now)
        began = time.thread_time()
        world.engine.on_answer(call.job, outcome, world._call(call.job, 206), world.now)
        spent += time.thread_time() - began
        world.turn()
    return spent


def test_an_answer_costs_no_more_beside_a_thousand_open_steps() -> None:
    """Linear work would be forty times as much."""
    gc.collect()
    gc.disable()
    try:
        ratios = [seconds_of_answers(990 - 200) / seconds_of_answers(20) for _ in range(3)]
    finally:
        gc.enable()
    assert statistics.median(ratios) < 5, ratios
