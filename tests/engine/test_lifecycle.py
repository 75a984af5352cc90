"""What tells of a run's end, compared with what the reference was recorded to send (flow-control.md §9.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.protocol.canonical import canonical
from holdfast.protocol.functions import Trigger
from holdfast.protocol.rawjson import MAX_DEPTH
from holdfast.server.model.status import RunStatus

from .replies import SDK, Reply, hashed, invoke, ops, ran, returns, signal, throws, wait
from .world import T0, World, function

FINISHED, FAILED, CANCELLED = (f"inngest/function.{end}" for end in ("finished", "failed", "cancelled"))

#: `data` of recorded events, without what differs from run to run. The reference leaves `user` out of `events`.
RECORDED_FAILED: dict[str, Any] = {
    "_inngest": {"status": "Failed"},
    "error": {"error": "NonRetriableError", "message": "boom", "name": "TypeError", "stack": "TypeError: boom"},
    "event": {"data": {"k": "x"}, "name": "go", "ts": T0, "user": {}},
    "events": [{"data": {"k": "x"}, "name": "go", "ts": T0, "user": {}}],
    "function_id": "app-fn",
    "result": {"__serialized": True, "message": "boom", "name": "TypeError", "stack": "TypeError: boom"},
}
RECORDED_CANCELLED: dict[str, Any] = {
    "_inngest": {"status": "Cancelled"},
    "event": {"data": {"id": 1}, "name": "go", "ts": T0, "user": {}},
    "events": [{"data": {"id": 1}, "name": "go", "ts": T0, "user": {}}],
    "function_id": "app-fn",
}


def told(event: dict[str, Any]) -> dict[str, Any]:
    """`data` of a lifecycle event without ids."""
    data = {key: value for key, value in event["data"].items() if key != "run_id"}
    assert data["event"].pop("id") == data["events"][0].pop("id")
    return data


def test_a_failed_run_is_told_as_recorded(world: World) -> None:
    run = world.start("go", {"k": "x"})
    body = {"__serialized": True, "name": "TypeError", "message": "boom", "stack": "TypeError: boom"}
    world.reply(Reply(400, json.dumps(body).encode(), throws(no_retry="true").headers))
    (finished,), (failed,) = world.events(FINISHED), world.events(FAILED)
    assert finished["data"] == failed["data"]
    assert failed["data"]["run_id"] == failed["id"] == run.id
    assert finished["id"] != run.id
    assert told(failed) == RECORDED_FAILED
    assert (failed["ts"], failed["user"]) == (T0, {})


def test_a_cancelled_run_is_told_as_recorded(world: World) -> None:
    run = world.start("go", {"id": 1})
    world.cancel(run)
    (finished,), (cancelled,) = world.events(FINISHED), world.events(CANCELLED)
    assert finished["data"] == cancelled["data"]
    assert cancelled["id"] == run.id
    assert told(cancelled) == RECORDED_CANCELLED
    assert world.events(FAILED) == []


@pytest.mark.parametrize("value", [{"a": 1}, None, [], "text", 0])
def test_a_completed_run_is_told_with_its_result(world: World, value: object) -> None:
    run = world.start()
    world.reply(returns(value))
    (finished,) = world.events(FINISHED)
    assert finished["data"]["_inngest"] == {"status": "Completed"}
    assert finished["data"]["result"] == value
    assert finished["data"]["run_id"] == run.id
    assert "error" not in finished["data"]
    assert world.events(FAILED) == world.events(CANCELLED) == []


def test_keys_are_sorted(world: World) -> None:
    world.start()
    world.reply(throws(no_retry="true"))
    raw = next(e.json for e in world.rows.events if e.name == FAILED)
    data = json.loads(raw)["data"]
    assert list(data) == sorted(data)


def test_a_failure_of_the_servers_own_is_told_with_its_error(world: World) -> None:
    world.start()
    world.reply(ops(signal("w", "x")))
    world.start()
    world.reply(ops(signal("w", "x")))
    (failed,) = world.events(FAILED)
    message = "Signal conflict; signal wait already exists for another run"
    assert failed["data"]["error"]["name"] == "Error"
    assert failed["data"]["error"]["message"] == message
    assert failed["data"]["result"]["error"]["message"] == message


def test_a_text_body_becomes_the_message(world: World) -> None:
    world.start()
    world.reply(Reply(500, b"oh no", throws(no_retry="true").headers))
    (failed,) = world.events(FAILED)
    assert failed["data"]["error"] == {"error": "NonRetriableError", "message": "oh no", "name": "Error"}


def test_ends_of_handlers_of_ends_are_not_told() -> None:
    handlers = [function(f"app-on-{i}", on) for i, on in enumerate((FAILED, FINISHED))]
    world = World(function(), *handlers)
    world.start()
    world.reply(throws(no_retry="true"))
    assert {c.run.function_id for c in world.calls} == {"id-app-on-0", "id-app-on-1"}
    for call in list(world.calls):
        world.calls.remove(call)
        world.load(call.run)
        world.answer(call, throws(no_retry="true"))
    assert len(world.events(FINISHED)) == len(world.events(FAILED)) == 1
    world.check_idle()


def test_a_handler_of_cancellations_is_told_of() -> None:
    world = World(function(), function("app-on", CANCELLED))
    world.cancel(world.start())
    world.calls = [c for c in world.calls if c.run.function_id == "id-app-on"]
    world.reply(returns())
    assert len(world.events(FINISHED)) == 2


def test_an_on_failure_handler_is_filtered_by_its_expression() -> None:
    def handler(slug: str) -> Trigger:
        return Trigger(event=FAILED, expression=f"event.data.function_id == '{slug}'")

    world = World(
        function("app-a", "go"),
        function("app-a-failure", handler("app-a")),
        function("app-b-failure", handler("app-b")),
    )
    run = world.start()
    world.reply(throws("no", no_retry="true"))
    call = world.call()
    assert call.run.function_id == "id-app-a-failure"
    assert call.run.body is not None
    event = json.loads(call.run.body.events[0])
    assert event["data"]["run_id"] == run.id
    assert event["data"]["error"]["message"] == "no"
    assert event["data"]["event"]["name"] == "go"


def test_the_failed_event_has_the_runs_id_so_that_it_works_once() -> None:
    world = World(function(), function("app-on", FAILED))
    run = world.start()
    world.reply(throws(no_retry="true"))
    world.reply(returns())
    world.send("other", id=run.id)
    assert len(world.rows.runs) == 2
    assert world.rows.keys.keys() >= {f"id-app-on:{run.id}"}


def test_sessions_of_the_event_are_copied(world: World) -> None:
    world.start("go", meta={"sessions": {"chat": "1"}})
    world.reply(throws(no_retry="true"))
    for name in (FINISHED, FAILED):
        (event,) = world.events(name)
        assert event["meta"] == {"sessions": {"chat": "1"}}


def test_events_without_sessions_have_no_meta(world: World) -> None:
    world.start("go", {"sessions": 1})
    world.reply(returns())
    (event,) = world.events(FINISHED)
    assert "meta" not in event


def test_a_removed_function_is_told_of_without_its_name(world: World) -> None:
    world.start()
    world.configure()
    world.reply(returns())
    (event,) = world.events(FINISHED)
    assert event["data"]["function_id"] == ""


@pytest.mark.parametrize("data", [{"_inngest": 3}, {"_inngest": {"correlation_id": 3}}, {"x": '"_inngest"'}])
def test_data_that_only_looks_like_an_invocation(data: dict[str, object]) -> None:
    """The Event API drops `_inngest`; whatever gets past it must not be taken for an invocation."""
    world = World(function())
    world.start("go", {"nested": data})
    world.reply(returns())
    (event,) = world.events(FINISHED)
    assert "correlation_id" not in event["data"]


def test_an_event_may_be_waited_for_by_what_it_tells() -> None:
    world = World(function("app-parent"), function("app-child", "never", retries=0))
    parent = world.start()
    world.reply(ops(ran("a")))
    world.reply(ops(invoke("i", "app-child")))
    world.reply(throws("first"))
    world.reply(throws("parent fails too", no_retry="true"))
    assert world.status(parent) is RunStatus.FAILED
    assert len(world.events(FAILED)) == 2
    world.check_idle()


@pytest.mark.parametrize("trigger", ["inngest/function.invoked", "inngest/*", "inngest/function.*"])
def test_an_invocation_starts_a_function_that_listens_to_invocations_once(trigger: str) -> None:
    world = World(function("app-child", on=trigger), function("app-other", on=trigger))
    started = world.invoke("app-child")
    assert sorted(run.function_id for run in started) == ["id-app-child", "id-app-other"]


@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_values_as_deep_as_the_limit_go_all_the_way(world: World, shape: str) -> None:
    """From an event through conditions, a step, a failure and its lifecycle events, to a call that is signed."""
    opening, closing = ("[", "]") if shape == "lists" else ('{"a":', "}")
    deep = json.loads(opening * (MAX_DEPTH - 1) + "1" + closing * (MAX_DEPTH - 1))
    failure = function("app-failure", on=Trigger(event=FAILED, expression="event.data.event.data.n == 1"))
    world.configure(function(on=Trigger(event="go", expression="event.data.n == 1"), retries=0), failure)
    run = world.start("go", {"n": 1, "deep": deep})
    world.reply(ops(ran("a", {"deep": deep})))
    call = world.call()
    called = call.run.body
    assert called is not None
    canonical(b"".join((b'{"event":', called.events[0], b',"steps":{"a":', called.steps[hashed("a")], b"}}")))
    failed = {"name": "E", "message": "m", "cause": {"deep": deep}}
    world.answer(call, Reply(500, json.dumps(failed).encode(), SDK))
    assert world.status(run) is RunStatus.FAILED
    handler = world.call().run
    assert handler.function_id == "id-app-failure"
    assert handler.body is not None
    canonical(handler.body.events[0])


def test_a_removed_function_is_tried_as_often_as_it_was_configured() -> None:
    world = World(function(retries=6))
    run = world.start()
    world.reply(ops(wait("w", "e")))
    world.configure()
    world.restart()
    world.send("e")
    assert world.call().job.max_attempts == 7
    assert world.status(run) is RunStatus.RUNNING
