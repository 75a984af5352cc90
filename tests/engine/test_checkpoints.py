"""Checkpoints of open calls, durable endpoints, defers: execution.md §5."""

from __future__ import annotations

import json

import pytest

from holdfast.protocol import limits
from holdfast.server.engine.checkpoints import CheckpointError, queue_item
from holdfast.server.engine.schedule import Endpoint, Request
from holdfast.server.engine.settings import Settings
from holdfast.server.model.job import JobKind
from holdfast.server.model.status import RunStatus

from .replies import (
    complete,
    defer,
    failed,
    failing,
    hashed,
    op,
    ops,
    planned,
    ran,
    returns,
    sleep,
    throws,
    undefer,
    wait,
)
from .world import HOUR, MINUTE, SECOND, World, function, open_endpoint

# --- open calls -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_saves_steps_and_starts_nothing(world: World) -> None:
    run = world.start()
    call = world.calls[0]
    world.checkpoint(call, ran("a", 1), ran("b", 2), item=queue_item(call.job))
    assert world.memo(run) == {hashed("a"): {"data": 1}, hashed("b"): {"data": 2}}
    assert len(world.calls) == 1
    world.reply(ops(complete("end")))
    assert world.output(run) == "end"
    world.check_idle()


def test_a_checkpoint_gives_its_call_fresh_attempts(world: World) -> None:
    world.start()
    world.reply(throws())
    world.advance(MINUTE)
    call = world.calls[0]
    assert call.job.attempt == 1
    world.checkpoint(call, ran("a"), item=queue_item(call.job))
    world.reply(throws())
    due = world.engine.next_due()
    assert due is not None
    assert due - world.now == 15 * SECOND


@pytest.mark.parametrize("item", ["", "?", "e30=", queue_item.__name__])
def test_a_checkpoint_whose_item_is_unknown_resets_nothing(world: World, item: str) -> None:
    run = world.start()
    world.reply(throws())
    world.advance(MINUTE)
    call = world.calls[0]
    world.checkpoint(call, ran("a"), item=item)
    assert call.job.attempt == 1
    assert list(world.memo(run)) == [hashed("a")]


def test_a_checkpoint_that_saves_nothing_resets_nothing(world: World) -> None:
    world.start()
    world.reply(throws())
    world.advance(MINUTE)
    call = world.calls[0]
    world.checkpoint(call, planned("a"), item=queue_item(call.job))
    assert call.job.attempt == 1


def test_a_checkpoint_that_comes_twice_saves_once(world: World) -> None:
    run = world.start()
    world.checkpoint(world.calls[0], ran("a", 1))
    world.checkpoint(world.calls[0], ran("a", 2))
    assert world.step(run, "a") == {"data": 1}


def test_a_checkpoint_of_a_call_that_nobody_waits_for_strands_nobody(world: World) -> None:
    """A call that was given up reports the step that another one was to run."""
    run = world.start()
    world.reply(ops(planned("a")))
    call = world.calls.pop()
    world.checkpoint(call, ran("a", 1))
    assert world.answer(call, ops(ran("a", 2))) is False
    assert world.step(run, "a") == {"data": 1}
    world.reply(returns("done"), "")
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_a_legacy_step_may_be_checkpointed(world: World) -> None:
    run = world.start()
    world.checkpoint(world.calls[0], op("Step", "a", data={"data": 1}))
    assert world.step(run, "a") == {"data": 1}


@pytest.mark.parametrize(
    "bad", [sleep("s"), wait("w", "e"), failing("a"), op("DiscoveryRequest", "d"), {"op": "None"}, op("Gateway", "g")]
)
def test_what_leads_away_from_the_call_is_refused(world: World, bad: dict[str, object]) -> None:
    run = world.start()
    with pytest.raises(CheckpointError, match="cannot checkpoint async steps") as refused:
        world.checkpoint(world.calls[0], ran("a"), bad)
    assert refused.value.status == 400
    assert world.memo(run) == {}


@pytest.mark.parametrize("code", ["RunComplete", "SyncRunComplete", "StepFailed"])
def test_ends_are_refused_by_name(world: World, code: str) -> None:
    world.start()
    error = {"error": {"name": "E", "message": "m"}} if code == "StepFailed" else {}
    with pytest.raises(CheckpointError, match=f"^cannot checkpoint opcode: {code}$"):
        world.checkpoint(world.calls[0], op(code, "x", **error))


def test_a_checkpoint_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(function(), settings=Settings(state_limits={"id-app-fn": 300}))
    run = world.start()
    with pytest.raises(CheckpointError, match="state size") as refused:
        world.checkpoint(world.calls[0], ran("a", "x" * 300))
    assert refused.value.status == 413
    assert world.memo(run) == {}
    monkeypatch.setattr(limits, "MAX_STEP_OUTPUT", 100)
    with pytest.raises(CheckpointError, match="step output size") as refused:
        world.checkpoint(world.calls[0], ran("a", "x" * 150))
    assert refused.value.status == 413


def test_steps_that_just_fit_without_their_wrapping_overflow_the_run() -> None:
    """The API checks what was sent; what is stored is a little longer."""
    world = World(function(), settings=Settings(state_limits={"id-app-fn": 300}))
    run = world.start()
    room = 300 - run.state_size
    world.checkpoint(world.calls[0], ran("a", "x" * (room - 5)))
    assert world.status(run) is RunStatus.FAILED
    world.check_idle()


# --- durable endpoints ------------------------------------------------------------------------------------------------


def test_an_endpoint_drives_its_run_to_the_end() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    assert world.status(run) is RunStatus.RUNNING
    assert not world.calls
    assert (run.state.sync_url, run.state.sync_method) == ("http://app/orders", "POST")
    world.report(run, ran("a", 1))
    world.report(run, ran("b", 2))
    assert len(world.memo(run)) == 2
    assert not world.calls
    world.report(run, ran("c"), op("RunComplete", "end", data={"data": {"status": 200, "body": "ok"}}))
    assert world.status(run) is RunStatus.COMPLETED
    assert world.output(run) == {"data": {"status": 200, "body": "ok"}}
    assert len(world.memo(run)) == 2, "a report of the end saves no steps"
    world.check_idle()


def test_an_endpoint_that_answers_5xx_has_failed() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, op("RunComplete", "end", data={"status": 503}))
    assert world.status(run) is RunStatus.FAILED


def test_an_endpoint_that_lets_go_is_called_by_the_server() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, ran("a"), sleep("s", "1h"))
    assert run.state.force_plan
    assert not any(getattr(i, "kind", None) is JobKind.SYNC for i in run.open)
    world.report(run, ran("late"))
    assert hashed("late") not in world.memo(run)
    world.advance(HOUR)
    assert world.call().job.outgoing == hashed("s")


def test_an_endpoint_that_lets_go_with_one_step_does_not_plan() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, sleep("s", "1h"))
    assert not run.state.force_plan


def test_a_step_of_an_endpoint_that_fails_is_retried_by_the_server() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, ran("a"), failing("b"))
    assert world.engine.next_due() == world.now + 30 * SECOND
    world.advance(30 * SECOND)
    call = world.call()
    assert (call.job.attempt, call.job.outgoing) == (1, hashed("a"))
    world.answer(call, ops(ran("b")))
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    world.check_idle()


def test_a_step_of_an_endpoint_that_failed_for_good_is_discovered() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, failed("a"))
    assert world.call().job.kind is JobKind.EDGE_ERROR
    assert "error" in world.step(run, "a")


def test_an_endpoint_that_lets_go_without_a_word_is_called() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, {"op": "None"})
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


@pytest.mark.parametrize("bad", [sleep("s", "soon"), op("WaitForSignal", "w"), op("RunComplete", "e", data=3)])
def test_an_endpoints_bad_report_fails_its_run(bad: dict[str, object]) -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, bad)
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run)["error"]["message"].startswith("error handling generator response: ")
    world.check_idle()


def test_an_endpoints_run_fails_early_like_any_other() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.report(run, sleep("s", "400d"))
    assert world.status(run) is RunStatus.FAILED
    world.check_idle()


def test_an_endpoints_run_waits_for_its_process_over_a_restart() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    world.restart()
    assert not world.calls
    live = world.engine._core.runs[run.id]
    world.report(live, op("RunComplete", "end", data={"status": 200}))
    assert world.status(run) is RunStatus.COMPLETED


def test_an_idempotent_endpoint_begins_once() -> None:
    target = function(on="never")
    world = World(target)
    run = open_endpoint(world, target)
    event = world.rows.events[-1]
    for expected in (True, False):
        endpoint = Endpoint(world.ids.next(world.now), "http://app", "GET", 2)
        begun = world.engine.open_endpoint(Request(target, [event], key="k", endpoint=endpoint), world.now)
        world.turn()
        assert (begun is not None) is expected
    assert run.id in world.engine._core.runs


# --- defers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [returns(1), throws(no_retry="true")])
def test_a_defer_is_published_when_its_run_ends(end: object) -> None:
    world = World(function(), function("app-later", "inngest/deferred.schedule"))
    run = world.start()
    world.reply(ops(defer("d", given={"n": 1}), ran("a")))
    assert world.events("inngest/deferred.schedule") == []
    world.reply(end)  # type: ignore[arg-type]
    (event,) = world.events("inngest/deferred.schedule")
    assert event["data"] == {
        "n": 1,
        "_inngest": {
            "fn_slug": "app-later",
            "parent_app_id": "id-app",
            "parent_fn_id": "id-app-fn",
            "parent_fn_slug": "app-fn",
            "parent_run_id": run.id,
            "parent_defer_span": {},
        },
    }
    child = world.call().run
    assert child.detail.deferred_from == run.id


def test_a_cancelled_run_publishes_its_defers_too(world: World) -> None:
    run = world.start()
    world.reply(ops(defer("d"), ran("a")))
    world.cancel(run)
    assert len(world.events("inngest/deferred.schedule")) == 1


def test_a_defer_is_remembered_once(world: World) -> None:
    run = world.start()
    world.reply(ops(defer("d", given={"n": 1}), ran("a")))
    world.reply(ops(defer("d", given={"n": 2}), ran("b")))
    world.reply(returns())
    (event,) = world.events("inngest/deferred.schedule")
    assert event["data"]["n"] == 1
    assert world.status(run) is RunStatus.COMPLETED


def test_an_aborted_defer_is_not_published(world: World) -> None:
    run = world.start()
    world.reply(ops(defer("d"), defer("e"), ran("a")))
    world.reply(ops(undefer("x", "d"), undefer("y", "nobody"), ran("b")))
    assert run.state.defers is not None
    assert run.state.defers[hashed("d")].status == "aborted"
    world.reply(ops(defer("d"), ran("c")))
    world.reply(returns())
    assert len(world.events("inngest/deferred.schedule")) == 1


def test_a_deferred_run_gets_the_merged_sessions(world: World) -> None:
    world.start()
    meta = {"sessions": {"chat": 7}, "propagated_sessions": {"chat": "beneath", "user": "u"}}
    world.reply(ops(defer("d", meta=meta), ran("a")))
    world.reply(returns())
    (event,) = world.events("inngest/deferred.schedule")
    assert event["meta"] == {"sessions": {"chat": "7", "user": "u"}}


@pytest.mark.parametrize(
    "bad",
    [
        defer("d", target=""),
        defer("d", given=[1]),
        defer("d", given="text"),
        defer("d", meta=[1]),
        defer("d", meta={"sessions": {"a": True}}),
        defer("d", meta={"propagated_sessions": {"a": None}}),
        defer("d", meta={"sessions": {str(n): "1" for n in range(6)}}),
        op("DeferAdd", "d", opts={"fn_slug": "x"}),
    ],
)
def test_a_bad_defer_is_rejected_and_never_fails_the_run(world: World, bad: dict[str, object]) -> None:
    run = world.start()
    world.reply(ops(bad, ran("a")))
    assert run.state.defers is not None
    assert run.state.defers[hashed("d")].status == "rejected"
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    assert world.events("inngest/deferred.schedule") == []


@pytest.mark.parametrize("code", ["DeferAdd", "DeferAbort"])
def test_defer_opts_that_cannot_be_read_are_ignored(world: World, code: str) -> None:
    run = world.start()
    world.reply(ops(op(code, "d", opts={"fn_slug": 1, "target_hashed_id": 1}), ran("a")))
    assert not run.state.defers
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


def test_a_run_has_twenty_defers_at_most(world: World) -> None:
    run = world.start()
    world.reply(ops(*(defer(f"d{i}") for i in range(25)), ran("a")))
    assert run.state.defers is not None
    assert len(run.state.defers) == limits.MAX_DEFERS


def test_inputs_of_defers_have_a_limit_in_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DEFER_INPUT", 100)
    run = world.start()
    world.reply(ops(defer("d", given={"x": "x" * 60}), defer("e", given={"x": "x" * 60}), ran("a")))
    assert run.state.defers is not None
    assert [d.status for d in run.state.defers.values()] == ["after_run", "rejected"]


def test_meta_of_a_defer_has_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DEFER_META", 20)
    run = world.start()
    world.reply(ops(defer("d", meta={"m": 1}), defer("e", meta={"m": "x" * 30}), defer("f", meta=None), ran("a")))
    assert run.state.defers is not None
    assert [d.status for d in run.state.defers.values()] == ["after_run", "rejected", "after_run"]
    assert json.loads(bytes(run.state.defers[hashed("d")].meta)) == {"m": 1}


def test_defers_survive_a_restart(world: World) -> None:
    world.start()
    world.reply(ops(defer("d"), ran("a")))
    world.restart()
    world.reply(returns())
    assert len(world.events("inngest/deferred.schedule")) == 1
