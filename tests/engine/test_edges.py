"""Odd input that must not break anything."""

from __future__ import annotations

import pytest

from holdfast.protocol.functions import Cancel
from holdfast.server.engine import lifecycle
from holdfast.server.model.status import RunStatus

from .replies import hashed, invoke, op, ops, planned, ran, returns, signal
from .world import World, function


@pytest.mark.parametrize(
    "event",
    [
        b'{"name":"inngest/function.invoked","data":{"_inngest":3}}',
        b'{"name":"inngest/function.invoked","data":{"_inngest":{"correlation_id":3}}}',
        b'{"name":"inngest/function.invoked","data":{"_inngest":null}}',
        b'{"name":"inngest/deferred.schedule","data":[1,"_inngest"]}',
    ],
)
def test_links_that_are_none(event: bytes) -> None:
    assert lifecycle.correlation(event) == ""
    assert lifecycle.parent_of(event) == ""


def test_links() -> None:
    event = b'{"data":{"_inngest":{"correlation_id":"c","parent_run_id":"r"}}}'
    assert lifecycle.correlation(event) == "c"
    assert lifecycle.parent_of(event) == "r"


@pytest.mark.parametrize("code", ["WaitForSignal", "InvokeFunction", "Sleep"])
def test_waits_that_are_reported_again_open_nothing(code: str) -> None:
    world = World(function(), function("app-child", "never"))
    run = world.start()
    asked = {
        "WaitForSignal": signal("x", "s"),
        "InvokeFunction": invoke("x", "app-child"),
        "Sleep": op("Sleep", "x", name="1h"),
    }[code]
    group = ops(asked, planned("a"))
    world.reply(group)
    before = len(world.rows.events), len(run.open)
    world.reply(group, "a")
    assert (len(world.rows.events), len(run.open)) == (before[0], before[1] - 1)


def test_a_gateway_whose_opts_are_odd(world: World) -> None:
    run = world.start()
    world.reply(ops(op("AIGateway", "g", opts={"url": 3, "body": 1, "format": []})))
    world.exchanged(world.exchange(), 1)
    assert world.step(run, "g") == {"data": 1}


def test_a_condition_that_fails_on_the_runs_own_event(world: World) -> None:
    run = world.start("go", {"s": "text"})
    condition = "event.data.s.matches('(') && async.data.x == 1"
    world.reply(ops(op("WaitForEvent", "w", name="e", opts={"timeout": "1h", "if": condition})))
    if world.status(run) is RunStatus.FAILED:
        assert world.output(run)["error"]["name"] in {"CompileError", "InvalidExpression"}
    else:
        world.send("e", {"x": 1})
        assert not world.calls


def test_a_cancel_condition_that_fails_on_the_runs_own_event() -> None:
    world = World(function(cancel=[Cancel("stop", "event.data.s.matches('(') && async.data.x == 1")]))
    run = world.start("go", {"s": "text"})
    world.send("stop", {"x": 1})
    assert world.status(run) is RunStatus.RUNNING
    world.reply(returns())
    world.check_idle()


def test_a_failure_before_the_first_call_has_a_start(world: World) -> None:
    run = world.start("go", ts=world.now + 10_000)
    world.checkpoint_of(run, ran("a"))
    assert world.memo(run) == {hashed("a"): {"data": None}}
    world.cancel(run)
    assert world.rows.runs[run.id].started_at is None
