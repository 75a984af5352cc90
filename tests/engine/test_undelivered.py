"""A call that nobody has started on goes back into the queue; no attempt is spent on it."""

from __future__ import annotations

import pytest

from holdfast.server.engine.changes import Dispatch
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.model.job import Job
from holdfast.server.model.status import RunStatus

from .replies import fetch, ops, ran, returns
from .world import World


def test_it_is_dispatched_again_with_another_generation(world: World) -> None:
    run = world.start()
    first = world.call()
    assert world.engine.on_undelivered(first.job, world.now)
    world.turn()
    again = world.call()
    assert again.job.generation == first.job.generation + 1
    assert (again.job.attempt, again.job.id, again.job.no) == (0, first.job.id, first.job.no)
    world.answer(again, returns("done"))
    world.turn()
    assert world.output(run) == "done"
    world.check_idle()


def test_an_answer_to_the_lost_call_counts_for_nothing(world: World) -> None:
    run = world.start()
    lost = world.call()
    world.engine.on_undelivered(lost.job, world.now)
    world.turn()
    assert not world.answer(lost, returns("late"))
    world.answer(world.call(), ops(ran("a", 1)))
    world.turn()
    assert world.step(run, "a") == {"data": 1}


def test_without_a_worker_it_waits_and_the_place_is_free(world: World) -> None:
    run = world.start()
    lost = world.call()
    world.engine.set_capacity(run.app_id, 0, world.now)
    world.engine.on_undelivered(lost.job, world.now)
    world.turn()
    assert not world.engine._core.queue.leases
    world.restart()
    world.engine.set_capacity(run.app_id, None, world.now)
    world.turn()
    world.answer(world.call(), returns("done"))
    world.turn()
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_of_a_run_that_was_cancelled_nothing_comes_back(world: World) -> None:
    run = world.start()
    lost = world.call()
    world.cancel(run)
    assert not world.engine.on_undelivered(lost.job, world.now)
    world.turn()
    world.check_idle()


@pytest.mark.parametrize("again", [False, True])
def test_a_late_answer_to_a_job_that_waits_may_ask_for_an_exchange(world: World, *, again: bool) -> None:
    """A worker's reply of before a restart, while no worker is connected yet."""
    run = world.start()
    call = world.call()
    if again:  # the exchange was asked for once, and begins anew after the restart
        world.answer(call, ops(fetch("f")))
        world.turn()
        world.exchange()
        world.restart()
        run = world.engine._core.runs[run.id]
        call = world.call()
    world.engine.set_capacity(run.app_id, 0, world.now)
    world.engine.on_undelivered(call.job, world.now)
    world.turn()
    (job,) = (item for item in run.open if isinstance(item, Job))
    assert world.answer(Dispatch(run, job), ops(fetch("f")))
    world.turn()
    exchange = world.exchange()
    world.engine.set_capacity(run.app_id, None, world.now)
    world.turn()
    assert not world.calls, "it is not called while the exchange is under way"
    assert world.exchanged(exchange, {"status_code": 200})
    world.turn()
    world.answer(world.call(), returns("done"))
    world.turn()
    assert world.output(run) == "done"
    world.check_idle()


def test_what_a_pause_held_back_while_no_worker_was_there_goes_on_with_both(world: World) -> None:
    (function,) = world.engine.view.functions.values()
    world.engine.pause(function.id, Mode.QUEUE, world.now)
    world.engine.set_capacity(function.app_id, 0, world.now)
    run = world.start()
    world.engine.set_capacity(function.app_id, None, world.now)
    world.engine.resume(function.id, world.now)
    world.turn()
    world.answer(world.call(), returns("done"))
    world.turn()
    assert world.output(run) == "done"
    world.check_idle()
