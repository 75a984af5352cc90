"""Sleeps, waits for events and signals, invocations: execution.md §4.7-4.9, flow-control.md §5."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from holdfast.protocol.dates import format_rfc3339
from holdfast.protocol.functions import Trigger
from holdfast.server.engine.queue import Timers
from holdfast.server.model.job import JobKind
from holdfast.server.model.status import RunStatus, SpanStatus

from .replies import Reply, hashed, invoke, op, ops, planned, ran, returns, signal, sleep, throws, wait
from .world import DAY, HOUR, MINUTE, SECOND, T0, World, function

YEAR = 365 * DAY


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat().replace("+00:00", "Z")


# --- sleeps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1s", SECOND),
        ("1h30m", 90 * MINUTE),
        ("2d", 2 * DAY),
        ("1w", 7 * DAY),
        ("500ms", 500),
        (iso(T0 + HOUR), HOUR),
        (iso(T0 - HOUR), 0),
        ("", 0),
        (None, 0),
        ("0s", 0),
    ],
)
def test_a_sleep_lasts_as_long_as_it_says(world: World, text: str | None, ms: int) -> None:
    run = world.start()
    world.reply(ops(sleep("s", text)))
    if ms:
        world.advance(ms - 1)
        assert not world.calls
        world.advance(1)
    else:
        world.tick()
    call = world.call()
    assert call.job.kind is JobKind.EDGE
    assert call.job.outgoing == hashed("s")
    assert world.step(run, "s") is None
    span = world.history(run)[-1]
    assert (span.op, span.name, span.started_at, span.ended_at) == ("Sleep", "s", T0, T0 + ms)
    assert span.info == {"until": T0 + ms}


def test_the_duration_in_opts_goes_before_the_name(world: World) -> None:
    world.start()
    world.reply(ops(op("Sleep", "s", name="9h", opts={"duration": "1h"})))
    world.advance(HOUR)
    assert world.call()


@pytest.mark.parametrize("kind", ["sleep", "wait", "signal"])
def test_nothing_may_last_longer_than_366_days(world: World, kind: str) -> None:
    run = world.start()
    asked = {"sleep": sleep("s", "367d"), "wait": wait("w", "e", "367d"), "signal": signal("w", "x", "367d")}[kind]
    world.reply(ops(asked))
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run)["error"]["name"] == "InngestErrTimeoutTooLong"
    world.check_idle()


def test_a_sleep_survives_a_restart(world: World) -> None:
    run = world.start()
    world.reply(ops(sleep("s", "1h")))
    world.restart()
    world.advance(HOUR - 1)
    assert not world.calls
    world.advance(1)
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


def test_a_sleep_that_ended_while_no_server_ran_ends_at_the_start(world: World) -> None:
    world.start()
    world.reply(ops(sleep("s", "1h")))
    world.now += DAY
    world.restart()
    assert world.call()


def test_the_clock_may_go_back(world: World) -> None:
    world.start()
    world.reply(ops(sleep("s", "1h")))
    world.now -= DAY
    world.tick()
    assert not world.calls
    world.advance(DAY + HOUR)
    assert world.call()


# --- waits for events -------------------------------------------------------------------------------------------------


def test_an_event_ends_a_wait_with_the_bare_event(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid")))
    world.send("unpaid")
    assert not world.calls
    world.send("paid", {"n": 1}, id="p1")
    assert world.call().job.outgoing == hashed("w")
    assert world.step(run, "w") == {"name": "paid", "data": {"n": 1}, "id": "p1", "ts": T0, "user": {}}
    span = world.history(run)[-1]
    assert (span.op, span.status) == ("WaitForEvent", SpanStatus.COMPLETED)
    found = next(e.id for e in world.rows.events if e.name == "paid")
    assert span.info == {"event": "paid", "expression": "", "timeout": T0 + HOUR, "timed_out": False, "found": found}


def test_a_wait_that_runs_out_gives_null(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid", "1h")))
    world.advance(HOUR)
    world.send("paid")
    assert world.call()
    assert world.step(run, "w") is None
    span = world.history(run)[-1]
    assert span.status is SpanStatus.TIMED_OUT
    assert span.info is not None
    assert span.info["timed_out"] is True


def test_an_event_after_the_end_of_a_wait_is_too_late_even_if_the_timer_is(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid", "1h")))
    world.now += 2 * HOUR
    world.send("paid")
    assert not world.calls
    world.tick()
    assert world.step(run, "w") is None


def test_a_wait_without_a_timeout_ends_at_once(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid", "")))
    world.tick()
    assert world.step(run, "w") is None


def test_a_wait_until_a_date(world: World) -> None:
    world.start()
    world.reply(ops(wait("w", "paid", iso(T0 + MINUTE))))
    world.advance(MINUTE)
    assert world.call()


def test_the_event_name_may_stand_in_opts(world: World) -> None:
    world.start()
    world.reply(ops(op("WaitForEvent", "w", opts={"event": "paid", "timeout": "1h"})))
    world.send("paid")
    assert world.call()


def test_a_condition_compares_with_the_runs_own_event(world: World) -> None:
    run = world.start("go", {"id": 7})
    world.reply(ops(wait("w", "paid", condition="event.data.id == async.data.id")))
    world.send("paid", {"id": 8})
    assert not world.calls
    world.send("paid", {"id": 7})
    assert world.step(run, "w")["data"] == {"id": 7}


def test_a_condition_that_cannot_be_evaluated_does_not_match(world: World) -> None:
    world.start()
    world.reply(ops(wait("w", "paid", condition="async.data.x.y > 3")))
    world.send("paid", {"x": "text"})
    assert not world.calls


def test_a_condition_that_does_not_compile_fails_the_run(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid", condition="async.data.x ==")))
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run)["error"]["name"] == "InvalidExpression"


def test_one_event_ends_the_waits_of_all_runs(world: World) -> None:
    for _ in range(5):
        world.start()
        world.reply(ops(wait("w", "paid")))
    world.send("paid")
    assert len(world.calls) == 5


def test_one_event_ends_several_waits_of_one_run(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("v", "paid"), wait("w", "paid")))
    world.send("paid")
    assert len(world.memo(run)) == 2
    assert world.call().job.outgoing == hashed("w")


def test_each_wait_is_ended_once(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid")))
    world.send("paid", {"n": 1})
    world.send("paid", {"n": 2})
    assert len(world.calls) == 1
    assert world.step(run, "w")["data"] == {"n": 1}


def test_an_event_from_before_the_wait_does_not_count(world: World) -> None:
    world.start()
    world.send("paid")
    world.reply(ops(wait("w", "paid")))
    assert not world.calls


def test_a_wait_is_in_place_before_the_other_ops_of_its_answer(world: World) -> None:
    """An invocation that runs in the same answer must not miss it."""
    world.configure(function(), function("app-child", "never"))
    run = world.start()
    world.reply(ops(invoke("i", "app-child"), wait("w", "inngest/function.invoked")))
    assert world.step(run, "w")["name"] == "inngest/function.invoked"


def test_waits_survive_a_restart(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "paid")))
    world.restart()
    world.send("paid")
    world.reply(returns("ok"))
    assert world.output(run) == "ok"


# --- signals ----------------------------------------------------------------------------------------------------------


def test_a_signal_ends_its_wait(world: World) -> None:
    run = world.start()
    world.reply(ops(signal("w", "x")))
    assert world.signal("y") is None
    assert world.signal("x", {"n": 1}) == run.id
    assert world.signal("x") is None
    assert world.step(run, "w") == {"data": {"data": {"n": 1}, "signal": "x"}}
    span = world.history(run)[-1]
    assert (span.op, span.info) == ("WaitForSignal", {"signal": "x", "timeout": T0 + HOUR, "timed_out": False})
    assert world.call()


def test_a_signal_that_does_not_come(world: World) -> None:
    run = world.start()
    world.reply(ops(signal("w", "x", "1h")))
    world.advance(HOUR)
    assert world.signal("x") is None
    assert world.step(run, "w") is None


def test_a_late_signal_finds_nobody_even_before_the_timer(world: World) -> None:
    world.start()
    world.reply(ops(signal("w", "x", "1h")))
    world.now += 2 * HOUR
    assert world.signal("x") is None


def test_a_signal_waits_a_year_by_default(world: World) -> None:
    world.start()
    world.reply(ops(signal("w", "x", "")))
    assert world.engine.next_due() == T0 + YEAR


@pytest.mark.parametrize("conflict", ["fail", None])
def test_a_second_wait_for_a_signal_fails_its_run(world: World, conflict: str | None) -> None:
    first = world.start()
    world.reply(ops(signal("w", "x")))
    second = world.start()
    world.reply(ops(signal("w", "x", conflict=conflict)))
    assert world.status(second) is RunStatus.FAILED
    message = "Signal conflict; signal wait already exists for another run"
    assert world.output(second) == {"error": {"error": f"Error: {message}", "name": "Error", "message": message}}
    assert world.signal("x") == first.id


@pytest.mark.parametrize("restarted", [False, True])
def test_a_wait_that_replaces_another_takes_its_signal(world: World, restarted: bool) -> None:
    runs = [world.start() for _ in range(3)]
    calls = list(world.calls)
    world.calls.clear()
    for i in (1, 2, 0):  # the oldest run comes last
        world.load(runs[i])
        world.answer(calls[i], ops(signal("w", "x", conflict="replace")))
    if restarted:
        world.restart()
    assert world.signal("x") == runs[0].id
    assert world.signal("x") is None
    world.calls.clear()
    world.advance(HOUR)
    assert len(world.calls) == 2
    span = world.history(runs[1])[-1]
    assert span.status is SpanStatus.TIMED_OUT
    assert span.info == {"signal": "x", "timeout": T0 + HOUR, "timed_out": True}


def test_a_wait_that_was_replaced_leaves_the_signal_alone_when_its_run_ends(world: World) -> None:
    first = world.start()
    world.reply(ops(signal("w", "x")))
    second = world.start()
    world.reply(ops(signal("w", "x", conflict="replace")))
    world.cancel(first)
    assert world.signal("x") == second.id


def test_a_wait_takes_over_a_signal_whose_wait_is_over(world: World) -> None:
    world.start()
    world.reply(ops(signal("w", "x", "1h")))
    world.now += 2 * HOUR
    second = world.start()
    world.reply(ops(signal("w", "x", "1h")))
    assert world.signal("x") == second.id


# --- invoke -----------------------------------------------------------------------------------------------------------


def family(**child: object) -> World:
    return World(function("app-parent"), function("app-child", "never", **child))  # type: ignore[arg-type]


def start_child(world: World, **asked: object) -> tuple[object, object]:
    parent = world.start()
    world.reply(ops(invoke("i", "app-child", {"n": 1}, **asked)))  # type: ignore[arg-type]
    child = world.calls[0].run
    return parent, child


def test_an_invoked_function_gives_its_result() -> None:
    world = family()
    parent, child = start_child(world)
    (event,) = world.events("inngest/function.invoked")
    link = event["data"]["_inngest"]
    assert event["data"]["n"] == 1
    assert link["fn_id"] == "app-child"
    assert link["correlation_id"] == f"{parent.id}.{hashed('i')}"
    assert link["expire"] == T0 + YEAR
    assert (link["name"], link["source_fn_id"], link["source_app_id"]) == ("i", "id-app-parent", "id-app")
    assert link["source_fn_v"] == 1
    assert child.detail.correlation_id == link["correlation_id"]
    world.reply(returns({"r": 1}))
    assert world.step(parent, "i") == {"data": {"r": 1}}
    finished = world.events("inngest/function.finished")[0]
    assert finished["data"]["correlation_id"] == link["correlation_id"]
    span = world.history(parent)[-1]
    assert (span.op, span.status) == ("InvokeFunction", SpanStatus.COMPLETED)
    assert span.info is not None
    assert (span.info["function"], span.info["run_id"]) == ("app-child", child.id)
    world.reply(returns())
    world.check_idle()


@pytest.mark.parametrize("target", ["app-child", "id-app-child"])
def test_the_target_is_a_slug_or_a_uuid(target: str) -> None:
    world = family()
    world.start()
    world.reply(ops(invoke("i", target)))
    assert world.call().run.function_id == "id-app-child"


@pytest.mark.parametrize("sent", [None, [], "text", 3])
def test_payload_data_that_is_no_object_becomes_one(sent: object) -> None:
    world = family()
    world.start()
    world.reply(ops(invoke("i", "app-child", sent)))
    (event,) = world.events("inngest/function.invoked")
    assert set(event["data"]) == {"_inngest"}


def test_the_payload_may_say_more() -> None:
    world = family()
    world.start()
    more = {"user": {"u": 1}, "v": "2", "id": "mine", "meta": {"sessions": {"s": "1"}}}
    world.reply(ops(invoke("i", "app-child", payload=more)))
    (event,) = world.events("inngest/function.invoked")
    assert (event["user"], event["v"], event["id"], event["meta"]) == ({"u": 1}, "2", "mine", {"sessions": {"s": "1"}})


LAYERS = {"sessions": {"chat": 7, "old": None}, "propagated_sessions": {"old": "1", "user": "u", "chat": "beneath"}}


def test_sessions_of_an_invocation_are_merged() -> None:
    world = family()
    world.start()
    world.reply(ops(invoke("i", "app-child", payload={"meta": LAYERS})))
    (event,) = world.events("inngest/function.invoked")
    assert event["meta"] == {"sessions": {"chat": "7", "user": "u"}}


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ({"sessions": {"a": True}}, 'event session "a" must be a string, number, or null'),
        ({"propagated_sessions": {"a": None}}, 'event session "a" must be a string or number'),
        ({"sessions": {str(n): "1" for n in range(6)}}, "event sessions can include at most 5 entries"),
        ({"sessions": {"a": ""}}, 'event session "a" cannot have an empty ID'),
        ([], "event meta must be an object, not array"),
    ],
)
def test_an_invocation_with_bad_sessions_fails_finally(meta: object, problem: str) -> None:
    world = family()
    run = world.start()
    world.reply(ops(invoke("i", "app-child", payload={"meta": meta})))
    assert not world.events("inngest/function.invoked")
    error = {"error": problem, "message": problem, "name": "Error"}
    assert world.step(run, "i") == {"error": error}
    world.reply(returns("caught"))  # user code may catch it, and nothing was tried again
    assert world.output(run) == "caught"
    world.check_idle()


def test_an_invocation_with_bad_sessions_ends_its_part_of_a_group() -> None:
    world = family()
    run = world.start()
    bad = {"meta": {"sessions": 1}}
    world.reply(ops(invoke("i", "app-child", payload=bad), planned("a")))
    world.reply(ops(ran("a")), "a")
    world.reply(returns("both"))
    assert world.output(run) == "both"
    world.check_idle()


def test_an_invocation_with_an_id_of_its_own_starts_its_function_once() -> None:
    world = family()
    for _ in range(2):
        world.start()
        world.reply(ops(invoke("i", "app-child", payload={"id": "once"})), "")
        if world.calls:
            world.reply(returns())
            world.reply(returns())
    assert len([r for r in world.rows.runs.values() if r.function_id == "id-app-child"]) == 1


def test_an_invoked_function_that_fails_fails_the_step() -> None:
    world = family(retries=0)
    parent, _ = start_child(world)
    world.reply(throws("no"))
    assert world.step(parent, "i") == {"error": {"error": "invalid status code: 500", "name": "Error", "message": "no"}}
    assert world.history(parent)[-1].status is SpanStatus.FAILED
    world.reply(returns("caught"))
    assert world.output(parent) == "caught"


def test_an_invocation_that_takes_too_long() -> None:
    world = family()
    parent, child = start_child(world, timeout="1h")
    late = world.call()
    world.advance(HOUR)
    message = "Timed out waiting for invoked function to complete"
    name = "InngestInvokeTimeoutError"
    assert world.step(parent, "i") == {"error": {"error": f"{name}: {message}", "name": name, "message": message}}
    assert world.history(parent)[-1].info["timed_out"] is True  # type: ignore[index]
    world.reply(returns())
    assert world.status(child) is RunStatus.RUNNING
    world.answer(late, returns("late"))
    assert world.status(child) is RunStatus.COMPLETED
    world.check_idle()


def test_a_function_that_nobody_knows(world: World) -> None:
    run = world.start()
    world.reply(ops(invoke("i", "app-nobody")))
    message = "could not find function with ID: app-nobody"
    assert world.step(run, "i") == {"error": {"error": message, "name": "Error", "message": message}}
    (finished,) = world.events("inngest/function.finished")
    assert finished["data"]["function_id"] == ""
    assert finished["data"]["run_id"] == ""
    assert world.call()


def test_a_cancelled_child_is_an_error_of_the_step() -> None:
    world = family()
    parent, child = start_child(world)
    world.cancel(child)
    assert world.step(parent, "i")["error"]["message"] == "invoked function was cancelled"
    world.calls = [c for c in world.calls if c.run is parent]
    world.reply(returns())
    world.check_idle()


def test_a_child_without_a_body_gives_null() -> None:
    world = family()
    parent, _ = start_child(world)
    world.reply(Reply(200, b"", returns().headers))
    assert world.step(parent, "i") == {"data": None}


def test_a_cancelled_parent_leaves_its_child_alone() -> None:
    world = family()
    parent, child = start_child(world)
    world.cancel(parent)
    world.reply(returns())
    assert world.status(child) is RunStatus.COMPLETED
    world.check_idle()


def test_a_function_may_listen_to_invocations() -> None:
    world = World(
        function("app-parent"), function("app-child", "never"), function("app-spy", "inngest/function.invoked")
    )
    world.start()
    world.reply(ops(invoke("i", "app-child")))
    assert {c.run.function_id for c in world.calls} == {"id-app-child", "id-app-spy"}


def test_a_function_may_invoke_itself(world: World) -> None:
    parent = world.start()
    world.reply(ops(invoke("i", "app-fn")))
    world.reply(returns(1))
    assert world.step(parent, "i") == {"data": 1}


def test_invocations_side_by_side() -> None:
    world = family()
    parent = world.start()
    world.reply(ops(invoke("i", "app-child", {"n": 1}), invoke("j", "app-child", {"n": 2}), planned("p")))
    for call in list(world.calls):
        world.calls.remove(call)
        world.load(call.run)
        child = call.run is not parent
        world.answer(call, returns("child") if child else ops(ran("p")))
    assert len(world.memo(parent)) == 3
    world.reply(returns())
    world.check_idle()


def test_an_invoked_run_survives_a_restart() -> None:
    world = family()
    parent, _ = start_child(world)
    world.restart()
    world.reply(returns("after"))
    assert world.step(parent, "i") == {"data": "after"}


def test_a_direct_invocation_has_no_invoker(world: World) -> None:
    (run,) = world.invoke("app-fn", {"n": 1})
    world.reply(returns(1))
    assert world.status(run) is RunStatus.COMPLETED
    (finished,) = world.events("inngest/function.finished")
    assert "correlation_id" not in finished["data"]
    assert world.invoke("app-nobody") == []


def test_ended_waits_do_not_fill_the_timers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ends early leaves nothing behind for its year."""
    monkeypatch.setattr(Timers, "LEFT_IN", 20)
    for i in range(60):
        world.start()
        world.reply(ops(signal("w", f"x{i}", "300d")))
        world.signal(f"x{i}")
        world.reply(returns())
    assert len(world.engine._core.queue.timers) <= 21
    world.check_idle()


def test_timers_of_crons_and_live_waits_outlast_the_clearing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timers, "LEFT_IN", 20)
    world = World(function(), function("app-cron", Trigger(cron="0 0 1 1 *")))
    run = world.start()
    world.reply(ops(sleep("s", "1d")))
    for i in range(60):
        world.start()
        world.reply(ops(signal("w", f"x{i}", "300d")))
        world.signal(f"x{i}")
        world.reply(returns())
    world.advance(DAY)
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED
    assert format_rfc3339(world.engine.next_due() or 0, fraction=False) == "2024-01-01T00:00:00Z"
    assert json.dumps(world.output(run)) == "null"
