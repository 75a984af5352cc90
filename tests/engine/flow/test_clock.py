"""A clock that is an hour ahead for five seconds, and then right: nothing stands still until the wrong hour comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.replies import ops, returns, sleep, throws, wait
from engine.world import DAY, HOUR, MINUTE, SECOND
from holdfast.server.engine.registry import Function
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .world import FlowWorld, register

WORLDS: list[FlowWorld] = []


@pytest.fixture(params=[False, True], ids=["", "restart"])
def crash(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def made(*functions: Function, crash: bool = False, settings: Settings | None = None) -> FlowWorld:
    world = FlowWorld(*functions, crash=crash, settings=settings)
    WORLDS.append(world)
    return world


@pytest.fixture(autouse=True)
def stores() -> Iterator[None]:
    yield
    while WORLDS:
        WORLDS.pop().store.close()


def ahead(w: FlowWorld, meanwhile: Callable[[], object]) -> None:
    """The clock jumps ahead by an hour; five seconds later it is right again."""
    before = w.now
    w.now = before + HOUR
    w.tick()
    meanwhile()
    w.advance(5 * SECOND)
    w.now = before + 5 * SECOND
    w.middle()
    w.tick()


@pytest.mark.parametrize(
    ("op", "late"),
    [
        (sleep("nap", "10m"), False),
        (sleep("nap", "2023-11-14T23:30:00Z"), True),
        (wait("w", "never", "10m"), False),
        (wait("w", "never", "2023-11-14T23:30:00Z"), True),
    ],
    ids=["sleep", "sleep until a date", "wait", "wait until a date"],
)
def test_what_was_to_last_for_a_while_does_so_from_the_right_time_on(
    crash: bool, op: dict[str, Any], late: bool
) -> None:
    w = made(register(), crash=crash)
    w.event(n=1)
    call = w.calls.pop()
    ahead(w, lambda: w.answer(call, ops(op)))
    w.advance(9 * MINUTE)
    assert not w.calls
    w.advance(2 * MINUTE)
    assert bool(w.calls) is not late
    w.advance(2 * HOUR)
    assert w.calls, "a date comes as well"


def test_a_throttle_goes_on(crash: bool) -> None:
    w = made(register(throttle={"limit": 1, "period": "10s"}), crash=crash)
    ahead(w, lambda: [w.event(n=n) for n in range(4)])
    w.finish_all()
    w.advance(40 * SECOND)
    for _ in range(4):
        w.finish_all()
        w.advance(10 * SECOND)
    assert not w.engine.view.live


def test_a_rate_limit_goes_on(crash: bool) -> None:
    w = made(register(rateLimit={"limit": 1, "period": "10s"}), crash=crash)
    ahead(w, lambda: w.event(n=1))
    w.finish_all()
    w.event(n=2)
    assert not w.calls, "the limit holds"
    w.advance(11 * SECOND)
    w.event(n=3)
    assert w.calls


def test_a_cron_goes_on(crash: bool) -> None:
    w = made(register(on={"cron": "*/5 * * * *"}), crash=crash)
    ahead(w, lambda: None)
    early = len(w.rows.runs)
    w.advance(20 * MINUTE)
    assert len(w.rows.runs) >= early + 3


def test_a_tick_that_came_too_early_does_not_come_again(crash: bool) -> None:
    w = made(register(on={"cron": "0 * * * *"}), crash=crash)
    ahead(w, lambda: None)
    assert len(w.rows.runs) == 1
    w.advance(HOUR)
    assert len(w.rows.runs) == 1
    w.advance(HOUR)
    assert len(w.rows.runs) == 2


def test_a_debounce_ends(crash: bool) -> None:
    w = made(register(debounce={"period": "10s", "timeout": "1m"}), crash=crash)
    ahead(w, lambda: w.event(n=1))
    w.advance(9 * SECOND)
    w.event(n=2)  # counts, although the wrong clock gave the first one a later time
    w.advance(11 * SECOND)
    assert w.finish_all() == [2]


def test_a_batch_ends(crash: bool) -> None:
    w = made(register(batchEvents={"maxSize": 10, "timeout": "10s"}), crash=crash)
    ahead(w, lambda: w.event(n=1))
    w.advance(11 * SECOND)
    assert w.calls


def test_an_idempotency_key_is_free_after_a_day(crash: bool) -> None:
    w = made(register(), crash=crash)
    ahead(w, lambda: w.send("go", {"n": 1}, id="once"))
    assert w.send("go", {"n": 2}, id="once") == []
    w.advance(DAY + SECOND)
    assert w.send("go", {"n": 3}, id="once")


def test_a_retry_comes_after_its_delay(crash: bool) -> None:
    w = made(register(), crash=crash, settings=Settings(retry_interval_ms=10_000))
    run = w.start("go", {"n": 1})
    ahead(w, lambda: w.reply(throws()))
    w.advance(11 * SECOND)
    w.reply(returns("done"))
    assert w.status(run) is RunStatus.COMPLETED


def test_runs_that_were_started_meanwhile_are_called_and_end_in_time(crash: bool) -> None:
    w = made(register(timeouts={"finish": "1m"}), crash=crash)
    ahead(w, lambda: w.event(n=1))
    assert len(w.calls) == 1
    w.advance(61 * SECOND)
    assert [row.status for row in w.rows.runs.values()] == [RunStatus.CANCELLED]


def test_who_waits_for_a_free_place_gets_it(crash: bool) -> None:
    w = made(register(concurrency=[{"limit": 1}]), crash=crash)
    ahead(w, lambda: [w.event(n=n) for n in range(3)])
    assert w.finish_all() == [0, 1, 2]


def test_a_run_that_is_to_start_later_starts_then(crash: bool) -> None:
    w = made(register(), crash=crash)
    at = w.now + 2 * HOUR
    ahead(w, lambda: w.send("go", {"n": 1}, ts=at))
    w.advance_to(at - SECOND)
    assert not w.calls
    w.advance_to(at + SECOND)
    assert w.calls


def test_a_small_step_back_changes_nothing() -> None:
    w = made(register(throttle={"limit": 1, "period": "10s"}))
    w.event(n=1)
    w.finish_all()
    w.now -= 500
    w.event(n=2)
    assert not w.calls
    w.advance(11 * SECOND)
    assert w.finish_all() == [2]


JUMPS = st.lists(st.sampled_from([-DAY, -HOUR, -MINUTE, -SECOND, SECOND, MINUTE, HOUR, DAY]), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(JUMPS, st.booleans())
def test_whatever_the_clock_does_all_comes_to_its_end(jumps: list[int], crash: bool) -> None:
    w = made(
        register("app-a", "go", throttle={"limit": 2, "period": "10s"}),
        register("app-b", "go", debounce={"period": "5s"}),
        register("app-c", "go", batchEvents={"maxSize": 3, "timeout": "5s"}),
        register("app-d", "go", rateLimit={"limit": 1, "period": "10s"}),
        crash=crash,
    )
    for n, jump in enumerate(jumps):
        w.event(n=n)
        w.now += jump
        w.middle()
        w.tick()
        w.finish_all()
    for _ in range(2 * len(jumps) + 4):
        w.advance(10 * SECOND)
        w.finish_all()
    assert not w.engine.view.live
    assert not w.calls
