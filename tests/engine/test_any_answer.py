"""Apps that answer anything in any order: after each turn all that must hold holds, and no run is left lying."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol.functions import ConcurrencyLimit
from holdfast.server.engine.checkpoints import CheckpointError, queue_item
from holdfast.server.engine.run import Run
from holdfast.server.model.job import JobKind

from .replies import (
    Reply,
    complete,
    defer,
    failed,
    failing,
    fetch,
    invoke,
    op,
    ops,
    planned,
    ran,
    returns,
    signal,
    sleep,
    throws,
    undefer,
    wait,
)
from .world import HOUR, MINUTE, SECOND, World, function, open_endpoint

NAMES = st.sampled_from("abcd")
RACE = st.booleans()
STEPS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(ran, NAMES), st.builds(failing, NAMES), st.builds(failed, NAMES)
)
OPS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(ran, NAMES, race=RACE), st.builds(failed, NAMES, race=RACE), st.builds(failing, NAMES, race=RACE),
    st.builds(planned, NAMES, race=RACE), st.builds(sleep, NAMES, st.sampled_from(["1ms", "5s", "1h"]), race=RACE),
    st.builds(wait, NAMES, st.just("e"), st.sampled_from(["5s", "1h"]), race=RACE),
    st.builds(signal, NAMES, st.just("s"), st.just("5s"), st.sampled_from(["fail", "replace"]), race=RACE),
    st.builds(invoke, NAMES, st.sampled_from(["app-child", "app-none"]), timeout=st.sampled_from(["5s", None])),
    st.builds(op, st.sampled_from(["None", "DiscoveryRequest"]), NAMES), st.builds(complete, NAMES),
    st.builds(fetch, NAMES, race=RACE), st.builds(defer, NAMES, st.just("app-child")), st.builds(undefer, NAMES, NAMES),
)  # fmt: skip
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    *[st.lists(OPS, max_size=4).map(lambda items: ops(*items))] * 6,
    st.lists(OPS, min_size=1, max_size=3).map(lambda items: ops(*items, version=1)),
    st.just(returns("done")), st.just(throws()), st.just(throws(no_retry="true")),
)  # fmt: skip


def answer(world: World, number: int, reply: Reply) -> None:
    if world.calls:
        call = world.calls.pop(number % len(world.calls))
        if call.run.id in world.engine._core.runs:
            world.answer(call, reply)


def exchange(world: World, number: int, succeeds: bool) -> None:
    if world.exchanges:
        world.exchanged(world.exchanges.pop(number % len(world.exchanges)), "body", None if succeeds else {})


def checkpoint(world: World, number: int, steps: list[dict[str, Any]]) -> None:
    if world.calls:
        call = world.calls[number % len(world.calls)]
        if call.run.id in world.engine._core.runs:
            with contextlib.suppress(CheckpointError):
                world.checkpoint(call, *steps, item=queue_item(call.job) if number % 2 else "")


def report(world: World, number: int, steps: list[dict[str, Any]]) -> None:
    """The process behind an endpoint tells what it did, or what it leaves to the server."""
    if own := driven(world):
        with contextlib.suppress(CheckpointError):
            world.report(own[number % len(own)], *steps)


def driven(world: World) -> list[Run]:
    return [run for run in world.engine._core.runs.values() if any(item.kind is JobKind.SYNC for item in run.open)]


def cancel(world: World, number: int, _: object) -> None:
    if runs := list(world.engine._core.runs.values()):
        world.cancel(runs[number % len(runs)])


def advance(world: World, ms: int, _: object) -> None:
    world.advance(ms)


def something_comes(world: World, which: int, _: object) -> None:
    moves: list[Callable[[], object]] = [
        lambda: world.send("go"), lambda: world.send("e"), lambda: world.signal("s"), world.restart,
        lambda: open_endpoint(world, world.functions[0]),
    ]  # fmt: skip
    moves[which]()


Move = tuple[Callable[[World, int, Any], None], int, Any]
WHICH = st.integers(0, 5)
TIMES = st.sampled_from([0, 2, 10 * SECOND, 2 * HOUR])
ANSWERS: st.SearchStrategy[Move] = st.tuples(st.just(answer), WHICH, REPLIES)
MOVES: st.SearchStrategy[Move] = st.one_of(
    ANSWERS, ANSWERS, st.tuples(st.just(exchange), WHICH, st.booleans()), st.tuples(st.just(cancel), WHICH, st.none()),
    st.tuples(st.just(checkpoint), WHICH, st.lists(STEPS, max_size=2)), st.tuples(st.just(advance), TIMES, st.none()),
    st.tuples(st.just(something_comes), st.integers(0, 4), st.none()),
    st.tuples(st.just(report), WHICH, st.lists(OPS, max_size=3)),
)  # fmt: skip
LIMITS = st.sampled_from([(), (ConcurrencyLimit(1),), (ConcurrencyLimit(1, "event.name"),)])


@settings(max_examples=1_500, deadline=None)
@given(st.lists(MOVES, max_size=16), st.integers(0, 2), LIMITS)
def test_no_run_is_left_lying(script: list[Move], retries: int, limits: tuple[ConcurrencyLimit, ...]) -> None:
    child = function("app-child", ["child", "inngest/deferred.schedule"], retries=0)
    world = World(function(retries=retries, limits=limits), child)
    world.send("go")
    for move, number, with_what in script:
        move(world, number, with_what)
    for _ in range(60):  # from now on all is answered, and time passes
        while world.calls or world.exchanges:
            answer(world, 0, returns("done"))
            exchange(world, 0, True)
        for run in driven(world):
            world.report(run, complete("done"))
        if not world.engine._core.runs:
            break
        world.advance(10 * MINUTE)
    assert not world.engine._core.runs
    assert all(run.status.ended for run in world.rows.runs.values())
