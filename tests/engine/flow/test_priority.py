"""Priority: flow-control.md §4.6."""

from __future__ import annotations

import pytest

from engine.world import SECOND
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register

RUN = {"run": "event.data.p"}


def test_what_is_more_urgent_goes_first(world_of: Make) -> None:  # row 77
    w = world_of(register(concurrency=1, priority=RUN))
    w.event(n="busy")
    w.event(n="ordinary", p=0)
    w.event(n="urgent", p=120)
    w.middle()
    assert w.finish_all() == ["busy", "urgent", "ordinary"]


def test_priority_counts_in_seconds(world_of: Make) -> None:  # §4.6's time line
    w = world_of(register(concurrency=1, priority=RUN))
    w.event(n="A")
    w.advance(2 * SECOND)
    w.event(n="B", p=0)
    w.advance(2 * SECOND)
    w.event(n="C", p=5)
    w.event(n="D", p=1)
    w.middle()
    assert w.finish_all() == ["A", "C", "B", "D"]


@pytest.mark.parametrize("p", [None, "high", 1.5, True, [1], {"a": 1}])
def test_what_is_no_whole_number_counts_as_none(world_of: Make, p: object) -> None:  # row 78
    w = world_of(register(concurrency=1, priority=RUN))
    w.event(n="busy")
    w.event(n="first")
    w.event(n="odd", **({} if p is None else {"p": p}))
    w.event(n="last", p=-1)
    w.middle()
    assert w.finish_all() == ["busy", "first", "odd", "last"]


@pytest.mark.parametrize("expression", ["event.data.p.q.r", "event.data.p + 'x'", "int('x')", "1 / 0"])
def test_an_expression_that_breaks_loses_no_run(world_of: Make, expression: str) -> None:  # row 78
    w = world_of(register(priority={"run": expression}))
    w.event(n=1, p=5)
    w.finish(1)
    assert w.outcome(1) is RunStatus.COMPLETED


@pytest.mark.parametrize(("p", "seconds"), [(1e9, 43_200), (-1e9, -43_200), (43_201, 43_200)])
def test_twelve_hours_are_the_most(world_of: Make, p: float, seconds: int) -> None:
    w = world_of(register(priority=RUN))
    w.event(n=1, p=p)
    assert w.live(1).state.priority == seconds


def test_priority_moves_nothing_ahead_of_other_functions(world_of: Make) -> None:
    w = world_of(
        register("app-a", "a", priority={"run": "1000"}), register("app-b", "b"), settings=Settings(workers=1)
    )  # fmt: skip
    w.event("a", n="busy")
    w.burst("b", [{"n": f"b{n}"} for n in range(2)])
    w.burst("a", [{"n": f"a{n}"} for n in range(2)])
    w.middle()
    order = w.finish_all()
    assert order.index("b0") < order.index("a1")


def test_the_next_steps_of_an_urgent_run_go_first_as_well(world_of: Make) -> None:
    w = world_of(register(concurrency=1, priority=RUN))
    w.event(n="busy")
    w.event(n="waits")
    w.advance(SECOND)
    w.event(n="urgent", p=60)
    w.middle()
    w.finish("busy")
    w.step("urgent")
    assert w.at_work == ["urgent"]
