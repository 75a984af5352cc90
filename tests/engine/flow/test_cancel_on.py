"""cancelOn: flow-control.md §4.8."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest

from engine.replies import failing, invoke, ops, returns, signal, wait
from engine.world import DAY, SECOND
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register

STOP = {"event": "stop", "if": "event.data.k == async.data.k"}

STATES: dict[str, Callable[[FlowWorld], object]] = {
    "executing": lambda w: None,
    "sleeping": lambda w: w.sleep(1),
    "waiting": lambda w: w.reply_to(1, ops(wait("w", "paid"))),
    "signal": lambda w: w.reply_to(1, ops(signal("w", "name"))),
    "invoking": lambda w: w.reply_to(1, ops(invoke("i", "app-child", {"n": "child"}))),
    "back-off": lambda w: w.reply_to(1, ops(failing("s"))),
}


@pytest.mark.parametrize("state", STATES)
def test_it_cancels_whatever_the_run_does(world_of: Make, state: str) -> None:  # rows 91, 96
    w = world_of(register(cancel=[STOP]), register("app-child", "never"))
    w.event(n=1, k="x")
    STATES[state](w)
    w.middle()
    w.event("stop", k="x")
    assert w.outcome(1) is RunStatus.CANCELLED
    assert [c.run.id for c in w.calls if c.run.id == w.id_of(1) and c.run.id in w.engine._core.runs] == []
    (event,) = w.events("inngest/function.cancelled")  # row 100
    assert event["data"]["_inngest"]["status"] == "Cancelled"
    assert w.events("inngest/function.failed") == []


def test_the_answer_of_a_call_in_flight_is_dropped(world_of: Make) -> None:  # row 96
    w = world_of(register(cancel=[STOP]))
    w.event(n=1, k="x")
    w.middle()
    call = w.take(1)
    w.event("stop", k="x")
    assert not w.answer(call, returns("late"))
    assert w.rows.runs[w.id_of(1)].output is None
    assert w.at_work == []
    w.check_idle()


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        pytest.param({"throttle": {"limit": 1, "period": "1h"}}, None, id="throttled"),
        pytest.param({"concurrency": 1}, None, id="behind a limit"),
        pytest.param({"concurrency": {"fn": [{"limit": 1}]}}, None, id="behind a whole run"),
        pytest.param({}, Settings(workers=1), id="behind the workers"),
    ],
)
def test_it_cancels_what_has_not_started(world_of: Make, options: dict[str, object], settings: Settings | None) -> None:
    w = world_of(register(cancel=[STOP], **options), settings=settings)
    for n in range(3):
        w.event(n=n, k=n)
    w.middle()
    assert w.at_work == [0]
    w.event("stop", k=1)
    assert w.outcome(1) is RunStatus.CANCELLED
    w.finish(0)
    w.advance(DAY)
    assert w.at_work == [2]
    w.finish(2)
    w.check_idle()


def test_it_cancels_what_is_paused(world_of: Make) -> None:
    w = world_of(register(cancel=[STOP]))
    w.pause("app-fn")
    w.event(n=1, k="x")
    w.middle()
    w.event("stop", k="x")
    assert w.outcome(1) is RunStatus.CANCELLED
    w.resume("app-fn")
    assert w.at_work == []


@pytest.mark.parametrize(
    "condition", ["event.data.k == async.data.k", "async.data.k == 'x' && async.data.sure == true"]
)
def test_what_does_not_match_is_let_be(world_of: Make, condition: str) -> None:  # row 92
    w = world_of(register(cancel=[{"event": "stop", "if": condition}]))
    w.event(n=1, k="x")
    w.middle()
    w.event("stop", k="y")
    w.event("stop/", k="x")
    w.event("sto", k="x")
    w.finish(1)
    assert w.outcome(1) is RunStatus.COMPLETED
    w.check_idle()


def test_an_earlier_event_never_cancels(world_of: Make) -> None:  # row 93
    w = world_of(register(cancel=[{"event": "stop"}]))
    w.event("stop")
    w.event(n=1)
    w.middle()
    assert w.outcome(1) is RunStatus.RUNNING
    w.event("stop")
    assert w.outcome(1) is RunStatus.CANCELLED


@pytest.mark.parametrize("behind_ms", [0, 2_000, 3_600_000])
def test_a_cancel_event_counts_however_late_its_senders_clock_is(world_of: Make, behind_ms: int) -> None:
    w = world_of(register(cancel=[{"event": "stop"}]))
    w.event(n=1)
    w.middle()
    w.seeded("stop", [{}], f"{w.now - behind_ms},{b64encode(bytes(10)).decode()}")
    assert w.outcome(1) is RunStatus.CANCELLED


def test_a_run_and_its_cancel_event_in_one_seeded_request(world_of: Make) -> None:
    w = world_of(register(on="any", cancel=[{"event": "any", "if": "async.data.stop"}]))
    w.seeded("any", [{"n": 1}, {"n": 2, "stop": True}], f"{w.now - SECOND},{b64encode(bytes(10)).decode()}")
    assert w.outcome(1) is RunStatus.CANCELLED
    assert w.outcome(2) is RunStatus.RUNNING


def test_its_own_trigger_never_cancels(world_of: Make) -> None:  # §4.8
    w = world_of(register(cancel=[{"event": "go"}]))
    w.event(n=1)
    w.middle()
    assert w.outcome(1) is RunStatus.RUNNING
    w.event(n=2)
    assert w.outcome(1) is RunStatus.CANCELLED
    assert w.outcome(2) is RunStatus.RUNNING


def test_it_lapses(world_of: Make) -> None:  # row 94
    w = world_of(register(cancel=[{"event": "stop", "timeout": "2s"}]))
    w.event(n=1)
    w.sleep(1)
    w.middle()
    w.advance(4 * SECOND)
    w.event("stop")
    assert w.outcome(1) is RunStatus.RUNNING


def test_it_counts_until_it_lapses(world_of: Make) -> None:
    w = world_of(register(cancel=[{"event": "stop", "timeout": "2s"}]))
    w.event(n=1)
    w.middle()
    w.advance(2 * SECOND)
    w.event("stop")
    assert w.outcome(1) is RunStatus.CANCELLED


def test_one_event_cancels_many(world_of: Make) -> None:  # row 95
    w = world_of(register(cancel=[{"event": "stop"}]))
    for n in range(20):
        w.event(n=n)
        w.sleep(n)
    w.middle()
    w.event("stop")
    assert len(w.outcomes(RunStatus.CANCELLED)) == 20
    w.check_idle()


@pytest.mark.parametrize("name", ["stop", "halt"])
def test_any_of_several_cancels(world_of: Make, name: str) -> None:
    w = world_of(register(cancel=[STOP, {"event": "halt", "if": "async.data.k == event.data.k"}]))
    w.event(n=1, k="x")
    w.event(n=2, k="y")
    w.middle()
    w.event(name, k="x")
    assert w.outcomes(RunStatus.CANCELLED) == [1]


def test_each_cancelled_run_is_told_of_once(world_of: Make) -> None:  # row 100
    w = world_of(register(cancel=[STOP, STOP | {"if": "true"}]), register("app-watch", "inngest/function.cancelled"))
    for n in range(3):
        w.event(n=n, k="x")
    w.middle()
    w.event("stop", k="x")
    assert len(w.events("inngest/function.cancelled")) == 3
    assert len([r for r in w.rows.runs.values() if r.function_id == "id-app-watch"]) == 3


def test_a_run_that_ends_in_the_same_moment_is_not_cancelled(world_of: Make) -> None:
    w = world_of(register(cancel=[{"event": "inngest/function.finished"}]))
    w.event(n=1)
    w.middle()
    w.finish(1)
    assert w.outcome(1) is RunStatus.COMPLETED
