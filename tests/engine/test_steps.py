"""Steps one after the other: execution.md §4.2-4.5, flow-control.md §7.2, §8."""

from __future__ import annotations

import pytest

from holdfast.protocol import limits
from holdfast.protocol.limits import MAX_INLINE_STATE
from holdfast.server.engine.advance import MAX_IDLE, MAX_REPEATED
from holdfast.server.engine.ops import MAX_UNEXECUTED
from holdfast.server.engine.settings import Settings
from holdfast.server.engine.steps import REDRIVE_MS
from holdfast.server.model.job import JobKind
from holdfast.server.model.status import RunStatus, SpanStatus

from .replies import Reply, failed, failing, fetch, hashed, op, ops, planned, ran, returns, sleep, throws, wait
from .world import HOUR, MINUTE, SECOND, T0, World, function


def test_a_function_without_steps_ends_with_its_return_value(world: World) -> None:
    run = world.start("go", {"n": 1})
    assert world.status(run) is RunStatus.RUNNING
    call = world.reply(returns({"ok": True}))
    assert call.job.kind is JobKind.START
    assert world.status(run) is RunStatus.COMPLETED
    assert world.output(run) == {"ok": True}
    assert world.rows.runs[run.id].ended_at == T0
    world.check_idle()


def test_an_empty_body_ends_the_run_without_output(world: World) -> None:
    run = world.start()
    world.reply(Reply(200, b"", returns().headers))
    assert world.status(run) is RunStatus.COMPLETED
    assert world.rows.runs[run.id].output is None
    (finished,) = world.events("inngest/function.finished")
    assert "result" not in finished["data"]


def test_steps_run_one_after_the_other_in_one_chained_lease(world: World) -> None:
    run = world.start()
    world.reply(ops(ran("a", 1)))
    call = world.call()
    assert call.job.kind is JobKind.EDGE
    assert call.job.outgoing == hashed("a")
    assert call.job.step == ""
    assert call.run.state.request_version == 2
    assert call.run.body is not None
    assert call.run.body.steps == {hashed("a"): b'{"data":1}'}
    assert len(run.open) == 1
    world.answer(call, ops(ran("b")))
    world.reply(returns("end"))
    assert world.memo(run) == {hashed("a"): {"data": 1}, hashed("b"): {"data": None}}
    assert [s.kind for s in world.history(run)] == ["step", "step", "function"]
    world.check_idle()


def test_a_legacy_step_is_stored_verbatim(world: World) -> None:
    run = world.start()
    world.reply(ops(op("Step", "a", data={"data": 7, "x": 1})))
    assert world.step(run, "a") == {"data": 7, "x": 1}
    world.reply(ops(op("Step", "b", data=None)))
    assert world.step(run, "b") is None


def test_the_request_version_is_that_of_the_first_op_answer(world: World) -> None:
    run = world.start()
    assert run.state.request_version == -1
    world.reply(ops(ran("a"), version=1))
    world.reply(ops(ran("b"), version=2))
    assert run.state.request_version == 1


def test_a_version_that_was_not_sent_leaves_it_open(world: World) -> None:
    run = world.start()
    world.reply(ops(ran("a"), version=None))
    assert run.state.request_version == -1


def test_run_complete_ends_the_run_after_its_steps(world: World) -> None:
    run = world.start()
    world.reply(ops(ran("a", 1), ran("b", 2), {"op": "RunComplete", "id": hashed("complete"), "data": {"x": 1}}))
    assert world.status(run) is RunStatus.COMPLETED
    assert world.output(run) == {"x": 1}
    assert list(world.memo(run)) == [hashed("a"), hashed("b")]
    assert world.rows.runs[run.id].details.op == hashed("complete")
    assert not world.calls
    world.check_idle()


@pytest.mark.parametrize(
    ("result", "status", "error"),
    [
        ({"status": 200, "body": "ok"}, RunStatus.COMPLETED, ""),
        ({"data": {"status": 499, "body": "ok"}}, RunStatus.COMPLETED, ""),
        ({"data": {"status": 502, "body": "no"}}, RunStatus.FAILED, "invalid status code: 502"),
        ({"status": 500, "body": "no"}, RunStatus.FAILED, "invalid status code: 500"),
    ],
)
def test_sync_run_complete_ends_by_its_status(world: World, result: object, status: RunStatus, error: str) -> None:
    run = world.start()
    world.reply(ops(op("SyncRunComplete", "end", data=result)))
    assert world.status(run) is status
    assert world.output(run) == result
    assert world.rows.runs[run.id].details.error == error


def test_sync_run_complete_that_is_no_result_is_a_failed_attempt(world: World) -> None:
    run = world.start()
    world.reply(ops(op("SyncRunComplete", "end", data={"status": "x"})))
    assert world.status(run) is RunStatus.RUNNING
    assert world.history(run)[-1].error.startswith("error handling generator response: ")


# --- attempts ---------------------------------------------------------------------------------------------------------


def test_a_step_error_is_retried_with_the_table_of_delays() -> None:
    world = World(function(retries=11), jitter=7)
    run = world.start()
    delays = []
    for attempt in range(12):
        call = world.call()
        assert (call.job.attempt, call.job.max_attempts, call.job.generation) == (attempt, 12, attempt + 1)
        world.answer(call, ops(failing("a")))
        if attempt < 11:
            assert world.memo(run) == {}
            due = world.engine.next_due()
            assert due is not None
            delays.append(due - world.now)
            world.advance(due - world.now)
    table = [15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200, 7_200]
    assert delays == [s * SECOND + 7 for s in table]
    assert world.step(run, "a") == {"error": {"message": "boom", "name": "Error"}}
    assert [s.status for s in world.history(run)] == [SpanStatus.ERRORED] * 11 + [SpanStatus.FAILED]


def test_the_jitter_is_at_most_half_a_minute() -> None:
    world = World(function(), jitter=10**9)
    world.start()
    world.reply(throws())
    assert world.engine.next_due() == T0 + 15 * SECOND + limits.BACKOFF_JITTER_MS


def test_a_fixed_retry_interval_replaces_the_table() -> None:
    world = World(function(), settings=Settings(retry_interval_ms=1_000), jitter=5)
    world.start()
    for attempt in range(4):
        world.reply(throws())
        assert world.engine.next_due() == world.now + 1_000
        world.advance(1_000)
        assert world.calls[0].job.attempt == attempt + 1


def test_a_retried_call_keeps_its_job_id(world: World) -> None:
    world.start()
    first = world.reply(throws())
    world.advance(15 * SECOND)
    second = world.call()
    assert (second.job.id, second.job.no) == (first.job.id, first.job.no)
    assert second.job.generation == first.job.generation + 1


def test_the_last_step_error_becomes_a_failed_step_that_user_code_may_catch() -> None:
    world = World(function(retries=0))
    run = world.start()
    world.reply(ops(failing("a", "no")))
    call = world.call()
    assert call.job.kind is JobKind.EDGE_ERROR
    assert call.job.attempt == 0
    assert world.step(run, "a") == {"error": {"message": "no", "name": "Error"}}
    world.answer(call, returns("caught"))
    assert world.status(run) is RunStatus.COMPLETED


def test_step_failed_is_final_whatever_attempts_are_left(world: World) -> None:
    run = world.start()
    world.reply(ops(failed("a")))
    assert world.call().job.kind is JobKind.EDGE_ERROR
    assert "error" in world.step(run, "a")


def test_no_retry_makes_a_step_error_final(world: World) -> None:
    run = world.start()
    world.reply(ops(failing("a"), no_retry="true"))
    assert world.step(run, "a") == {"error": {"message": "boom", "name": "Error", "noRetry": True}}
    assert world.call().job.kind is JobKind.EDGE_ERROR


def test_retry_after_moves_the_retry_of_a_step(world: World) -> None:
    world.start()
    world.reply(ops(failing("a"), retry_after="120"))
    assert world.engine.next_due() == T0 + 2 * MINUTE


def test_retry_after_moves_the_retry_of_a_function(world: World) -> None:
    world.start()
    world.reply(throws(retry_after="120"))
    assert world.engine.next_due() == T0 + 2 * MINUTE


def test_a_discovery_after_a_failed_step_has_fresh_attempts(world: World) -> None:
    world.start()
    world.reply(throws())
    world.advance(MINUTE)
    call = world.call()
    assert call.job.attempt == 1
    world.answer(call, ops(ran("a")))
    assert world.call().job.attempt == 0


def test_a_function_error_is_retried_and_then_fails_the_run() -> None:
    world = World(function(retries=1))
    run = world.start()
    world.reply(throws("first"))
    world.advance(MINUTE)
    world.reply(throws("second"))
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run) == {"name": "Error", "message": "second"}
    assert [(s.kind, s.status) for s in world.history(run)] == [
        ("function", SpanStatus.ERRORED),
        ("function", SpanStatus.FAILED),
    ]
    world.check_idle()


def test_a_non_retriable_function_error_fails_at_once(world: World) -> None:
    run = world.start()
    world.reply(throws(status=400, no_retry="true"))
    assert world.status(run) is RunStatus.FAILED
    assert world.rows.runs[run.id].details.error == "NonRetriableError"


def test_a_function_error_on_a_targeted_call_fails_the_run() -> None:
    world = World(function(retries=0))
    run = world.start()
    world.reply(ops(planned("a"), planned("b")))
    world.reply(throws(), "a")
    assert world.status(run) is RunStatus.FAILED
    assert world.answer(world.calls.pop(), ops(ran("b"))) is False
    world.check_idle()


def test_an_unreachable_app_uses_up_the_attempts() -> None:
    world = World(function(retries=1))
    run = world.start()
    world.break_off(world.call())
    world.advance(HOUR)
    world.break_off(world.call())
    assert world.status(run) is RunStatus.FAILED
    text = "Unable to reach SDK URL"
    assert world.output(run) == {"error": {"error": text, "name": "Error", "message": text}}
    world.check_idle()


def test_an_unreadable_answer_is_a_failed_attempt(world: World) -> None:
    run = world.start()
    world.reply(ops({"op": "Nonsense", "id": "x"}))
    assert world.history(run)[-1].error == (
        "error reading generator opcode response: Nonsense does not belong to Opcode values"
    )
    world.advance(MINUTE)
    assert world.call().job.attempt == 1


def test_a_removed_function_has_the_default_attempts(world: World) -> None:
    run = world.start()
    world.configure()
    world.reply(ops(ran("a")))
    assert world.call().job.max_attempts == limits.DEFAULT_RETRIES + 1
    assert world.engine._core.function(run) is None


def test_changed_retries_hold_for_the_next_job() -> None:
    world = World(function(retries=0))
    world.start()
    world.configure(function(retries=3))
    assert world.calls[0].job.max_attempts == 1
    world.reply(ops(ran("a")))
    assert world.call().job.max_attempts == 4


# --- bad ops ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (sleep("s", "soon"), "error handling generator response: "),
        (op("WaitForEvent", "w"), "error handling generator response: event name is required"),
        (op("WaitForEvent", "w", name="e", opts={"timeout": "x"}), "error handling generator response: "),
        (op("WaitForSignal", "w"), "error handling generator response: signal is required"),
        (op("InvokeFunction", "i"), "error handling generator response: function_id is required"),
        (op("InvokeFunction", "i", opts={"function_id": 3}), "error handling generator response: invalid opts of "),
        (op("Sleep", "s", opts={"duration": []}), "error handling generator response: invalid opts of Sleep"),
    ],
)
def test_a_bad_op_is_a_failed_attempt_of_the_job(bad: dict[str, object], text: str) -> None:
    world = World(function(retries=1))
    run = world.start()
    world.reply(ops(bad))
    assert world.history(run)[-1].error.startswith(text)
    assert world.status(run) is RunStatus.RUNNING
    world.advance(MINUTE)
    world.reply(ops(bad))
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run)["error"]["message"].startswith(text)
    world.check_idle()


def test_what_was_done_before_a_bad_op_stays(world: World) -> None:
    run = world.start()
    world.reply(ops(ran("a", 1), planned("b"), sleep("s", "soon")))
    assert world.step(run, "a") == {"data": 1}
    world.advance(MINUTE)
    assert sorted(c.job.step for c in world.calls) == sorted(["", hashed("b")])


# --- nothing to do ----------------------------------------------------------------------------------------------------


def test_an_answer_without_ops_is_asked_again_soon(world: World) -> None:
    world.start()
    for _ in range(3):
        world.reply(ops())
        assert not world.calls
        world.advance(150)
        assert world.calls[0].job.attempt == 0
    world.reply(ops(ran("a")))
    world.reply(ops())
    world.advance(150)
    assert world.call().job.outgoing == hashed("a")


def test_an_app_that_never_has_news_is_not_asked_for_ever(world: World) -> None:
    run = world.start()
    asked = answer_until_it_ends(world, ops())
    assert asked == MAX_IDLE + 1
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run)["error"]["name"] == "NoProgressError"
    assert "reported neither a step nor its end" in world.output(run)["error"]["message"]
    world.check_idle()


@pytest.mark.parametrize("size", [10, MAX_INLINE_STATE])
def test_an_app_that_begins_anew_each_time_runs_its_steps_a_few_times(world: World, size: int) -> None:
    run = world.start()
    world.reply(ops(ran("a", "x" * size)))
    asked = answer_until_it_ends(world, ops(ran("a", "x" * size)))
    assert asked == MAX_REPEATED + 1
    assert world.status(run) is RunStatus.FAILED
    message = world.output(run)["error"]["message"]
    assert "reported the same finished steps again and again" in message
    assert ("use_api" in message) is (size == MAX_INLINE_STATE)
    world.check_idle()


def test_news_start_the_count_anew(world: World) -> None:
    run = world.start()
    for step in "abcdefgh":
        for _ in range(MAX_REPEATED):
            world.reply(ops(ran("a")) if step != "a" else ops())
            world.advance(REDRIVE_MS)
        world.restart()
        world.advance(REDRIVE_MS)
        world.reply(ops(ran(step)))
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


def test_while_something_is_awaited_an_app_without_news_is_left_in_peace(world: World) -> None:
    run = world.start()
    world.reply(ops(wait("w", "e"), planned("p")))
    assert answer_until_it_ends(world, ops()) == MAX_IDLE + 1
    assert world.status(run) is RunStatus.RUNNING
    world.send("e")
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


def test_an_app_that_plans_what_it_shall_execute_is_not_called_for_ever(world: World) -> None:
    """As the Connect workers of Python's SDK 0.5.14 do, which don't look at the step of a call."""
    run = world.start()
    plans = ops(planned("a"), planned("b"))
    world.reply(plans)
    count = 0
    while world.calls:
        world.reply(plans, step=world.calls[0].job.name)
        if not world.calls:
            world.advance(REDRIVE_MS)
        count += 1
        assert count <= 4 * MAX_UNEXECUTED
    assert world.status(run) is RunStatus.FAILED
    assert "planned steps again each time" in world.output(run)["error"]["message"]
    world.check_idle()


def test_a_step_that_is_executed_after_all_goes_on(world: World) -> None:
    run = world.start()
    plans = ops(planned("a"), planned("b"))
    world.reply(plans)
    for _ in range(4):
        world.reply(plans, step=world.calls[0].job.name)
        if not world.calls:
            world.advance(REDRIVE_MS)
    world.restart()
    world.advance(REDRIVE_MS)
    while world.calls:
        name = world.calls[0].job.name
        world.reply(ops(ran(name)) if name else returns(), step=name)
    assert world.status(run) is RunStatus.COMPLETED


def answer_until_it_ends(world: World, reply: Reply) -> int:
    """Answer each call with the same, until there is none; return how many there were."""
    count = 0
    while world.calls:
        world.reply(reply)
        world.advance(REDRIVE_MS)
        count += 1
        assert count < 1_000
    return count


def test_only_lazy_ops_are_asked_again(world: World) -> None:
    world.start()
    world.reply(ops(op("DeferAbort", "x", opts={"target_hashed_id": "y"})))
    world.advance(150)
    assert world.call()


def test_a_discovery_request_asks_again_without_a_step(world: World) -> None:
    world.start()
    world.reply(ops(op("DiscoveryRequest", "again-1")))
    call = world.call()
    assert call.job.outgoing == hashed("again-1")
    assert call.job.step == ""
    world.answer(call, returns(1))
    world.check_idle()


# --- answers that come twice or late ----------------------------------------------------------------------------------


def test_a_repeated_answer_changes_nothing(world: World) -> None:
    run = world.start()
    call = world.reply(ops(ran("a", 1)))
    rows = len(world.rows.steps)
    assert world.answer(call, ops(ran("a", 2))) is False
    assert len(world.rows.steps) == rows
    assert world.step(run, "a") == {"data": 1}
    assert len(world.calls) == 1


def test_an_answer_after_the_retry_began_is_dropped(world: World) -> None:
    run = world.start()
    call = world.call()
    world.break_off(call)
    world.advance(MINUTE)
    assert world.answer(call, returns("late")) is False
    assert world.status(run) is RunStatus.RUNNING
    world.reply(returns("in time"))
    assert world.output(run) == "in time"


def test_an_answer_after_the_end_is_dropped(world: World) -> None:
    run = world.start()
    call = world.call()
    world.cancel(run)
    assert world.answer(call, returns(1)) is False
    assert world.status(run) is RunStatus.CANCELLED


@pytest.mark.parametrize("again", [ran("a", 2), op("Step", "a", data=2), failed("a")])
def test_a_step_that_is_reported_again_leads_on_but_keeps_its_first_result(again: dict[str, object]) -> None:
    world = World(function())
    run = world.start()
    world.checkpoint(world.calls[0], ran("a", 1))
    world.reply(ops(again))
    assert world.step(run, "a") == {"data": 1}
    world.advance(150)
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


# --- limits -----------------------------------------------------------------------------------------------------------


def test_the_request_after_the_last_allowed_step_is_not_made() -> None:
    world = World(function(), settings=Settings(step_limits={"id-app-fn": 2}))
    run = world.start()
    world.reply(ops(ran("a")))
    world.reply(ops(ran("b")))
    assert not world.calls
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run) == {
        "error": {
            "error": "function has too many steps",
            "name": "InngestErrFunctionOverflowed",
            "message": "The function run exceeded the step limit of 2 steps.",
        }
    }
    assert len(world.events("inngest/function.failed")) == 1
    world.check_idle()


@pytest.mark.parametrize("how", ["sleep", "wait", "signal", "invoke", "exchange", "many waits"])
def test_the_step_limit_holds_for_runs_that_are_parked(how: str) -> None:
    world = World(function(), settings=Settings(step_limits={"id-app-fn": 1}))
    run = world.start()
    if how == "sleep":
        world.reply(ops(sleep("s", "1h")))
        world.advance(HOUR)
    elif how == "wait":
        world.reply(ops(op("WaitForEvent", "w", name="e", opts={"timeout": "1h"})))
        world.send("e")
    elif how == "many waits":
        waits = [op("WaitForEvent", f"w{i}", name="e", opts={"timeout": "1h"}) for i in range(3)]
        world.reply(ops(*waits, version=1))
        world.send("e")
    elif how == "signal":
        world.reply(ops(op("WaitForSignal", "w", opts={"signal": "x"})))
        world.signal("x")
    elif how == "invoke":
        world.reply(ops(op("InvokeFunction", "i", opts={"function_id": "nobody"})))
    else:
        world.reply(ops(fetch("f")))
        world.exchanged(world.exchange(), 1)
    assert world.status(run) is RunStatus.FAILED
    assert world.output(run)["error"]["name"] == "InngestErrFunctionOverflowed"
    world.check_idle()


def test_a_thousand_ops_are_the_most(world: World) -> None:
    run = world.start()
    world.reply(ops(*(planned(f"s{i}") for i in range(1_001))))
    assert world.status(run) is RunStatus.FAILED
    message = "The function run exceeded the step limit of 1000 steps."
    name = "InngestErrFunctionOverflowed"
    assert world.output(run) == {"error": {"error": f"{name}: {message}", "name": name, "message": message}}
    world.check_idle()


def test_a_thousand_ops_are_allowed(world: World) -> None:
    run = world.start()
    world.reply(ops(*(planned(f"s{i}") for i in range(1_000))))
    assert world.status(run) is RunStatus.RUNNING
    assert len(world.calls) == 90  # of 100 workers, as many as one function may have


@pytest.mark.parametrize("how", ["step", "failed", "wait", "exchange"])
def test_state_that_grows_too_large_fails_the_run(how: str) -> None:
    world = World(function(), settings=Settings(state_limits={"id-app-fn": 300}))
    run = world.start()
    if how == "step":
        world.reply(ops(ran("a", "x" * 300)))
    elif how == "failed":
        world.reply(ops(failed("a", "x" * 300)))
    elif how == "wait":
        world.reply(ops(op("WaitForEvent", "w", name="e", opts={"timeout": "1h"})))
        world.send("e", {"x": "x" * 300})
    else:
        world.reply(ops(fetch("f")))
        world.exchanged(world.exchange(), "x" * 300)
    assert world.status(run) is RunStatus.FAILED
    name, message = "InngestErrStateOverflowed", "The function run exceeded the state size limit of 300 bytes."
    assert world.output(run) == {"error": {"error": f"{name}: {message}", "name": name, "message": message}}
    world.check_idle()
