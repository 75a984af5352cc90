"""Apps that answer anything in any order: after each turn all that must hold holds, and no run is left lying."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.server.model.status import RunStatus

from .replies import (
    Reply,
    complete,
    failed,
    failing,
    invoke,
    op,
    ops,
    planned,
    ran,
    returns,
    signal,
    sleep,
    throws,
    wait,
)
from .world import HOUR, MINUTE, SECOND, World, function

NAMES = st.sampled_from("abcd")
RACE = st.booleans()
OPS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(ran, NAMES, race=RACE), st.builds(failed, NAMES, race=RACE), st.builds(failing, NAMES, race=RACE),
    st.builds(planned, NAMES, race=RACE), st.builds(sleep, NAMES, st.sampled_from(["1ms", "5s", "1h"]), race=RACE),
    st.builds(wait, NAMES, st.just("e"), st.sampled_from(["5s", "1h"]), race=RACE),
    st.builds(signal, NAMES, st.just("s"), st.just("5s"), st.sampled_from(["fail", "replace"]), race=RACE),
    st.builds(invoke, NAMES, st.sampled_from(["app-child", "app-none"]), timeout=st.sampled_from(["5s", None]), race=RACE),
    st.builds(op, st.sampled_from(["None", "DiscoveryRequest"]), NAMES), st.builds(complete, NAMES),
)  # fmt: skip
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    *[st.lists(OPS, max_size=4).map(lambda items: ops(*items))] * 6,
    st.lists(OPS, min_size=1, max_size=3).map(lambda items: ops(*items, version=1)),
    st.just(returns("done")), st.just(throws()), st.just(throws(no_retry="true")),
)  # fmt: skip
MOVES = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 5), REPLIES), st.tuples(st.just("answer"), st.integers(0, 5), REPLIES),
    st.tuples(st.just("advance"), st.sampled_from([0, 2, 10 * SECOND, 2 * HOUR]), st.none()),
    st.tuples(st.just("event"), st.just(0), st.none()), st.tuples(st.just("signal"), st.just(0), st.none()),
    st.tuples(st.just("restart"), st.just(0), st.none()),
)  # fmt: skip


@settings(max_examples=1_500, deadline=None)
@given(st.lists(MOVES, max_size=14), st.integers(0, 2))
def test_no_run_is_left_lying(moves: list[tuple[str, int, Any]], retries: int) -> None:
    world = World(function(retries=retries), function("app-child", "child", retries=0))
    run = world.start()
    for kind, number, reply in moves:
        move(world, kind, number, reply)
    for _ in range(60):  # from now on all is answered, and time passes
        while world.calls:
            move(world, "answer", 0, returns("done"))
        if not world.engine.core.runs:
            break
        world.advance(10 * MINUTE)
    assert world.status(run) in {RunStatus.COMPLETED, RunStatus.FAILED}
    assert not world.engine.core.runs


def move(world: World, kind: str, number: int, reply: Reply) -> None:
    match kind:
        case "answer" if world.calls:
            call = world.calls.pop(number % len(world.calls))
            if call.run.id in world.engine.core.runs:
                world.answer(call, reply)
        case "advance":
            world.advance(number)
        case "event":
            world.send("e")
        case "signal":
            world.signal("s")
        case "restart":
            world.restart()
