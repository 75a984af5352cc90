"""Why is my run not running? Each answer, by the state that gives it."""

from __future__ import annotations

import json
from typing import Any

from engine.replies import failing, invoke, ops, planned, signal, sleep, throws, wait
from holdfast.server.engine.flow.pausing import Mode
from holdfast.server.engine.settings import Settings
from holdfast.server.engine.why import explain, past, when, why
from holdfast.server.engine.why_event import Asked, why_event
from holdfast.server.model.reason import Reason, ReasonKind
from holdfast.server.model.run import RunDetail
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register

SECOND = 1_000


def of(world: FlowWorld, n: Any) -> Reason:
    """The one reason of a run."""
    (reason,) = why(world.engine._core, world.live(n), world.now)
    return reason


def of_event(world: FlowWorld, index: int = -1, started: tuple[str, ...] = ()) -> list[Reason]:
    event = world.rows.events[index]
    asked = Asked(event.id, event.name, event.external_id, event.json)
    return why_event(world.engine._core, asked, started, world.now)


def test_executing(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    w.advance(5 * SECOND)
    reason = of(w, 0)
    assert (reason.kind, reason.since, reason.attempt) == (ReasonKind.EXECUTING, w.now - 5 * SECOND, 1)
    assert reason.text == f"its function is executing since {when(w.now - 5 * SECOND)} (attempt 1 of 5)"


def test_a_functions_limit(world_of: Make) -> None:
    w = world_of(register(concurrency=2))
    for n in range(5):
        w.event(n=n)
    w.middle()
    assert [of(w, n).kind for n in range(5)] == ["executing"] * 2 + ["concurrency"] * 3
    assert [of(w, n).ahead for n in range(2, 5)] == [0, 1, 2]
    reason = of(w, 4)
    assert (reason.limit, reason.held, reason.key, reason.value) == (2, 2, None, None)
    assert reason.holders == (w.id_of(0), w.id_of(1))
    holders = ", ".join(reason.holders)
    assert reason.text == f"it waits for its function's concurrency limit: 2 of 2 taken by {holders}; 2 go first"
    w.cancel(w.live(3))
    assert of(w, 4).ahead == 1, "a cancelled run is nobody's predecessor"
    w.finish(0)
    assert of(w, 2).kind is ReasonKind.EXECUTING
    assert of(w, 4).text.endswith("; it is next")


def test_a_key(world_of: Make) -> None:
    w = world_of(register(concurrency=[{"limit": 1, "key": "event.data.user"}]))
    for n, user in enumerate(["ada", "bob", "ada:x", "ada"]):
        w.event(n=n, user=user)
    w.middle()
    reason = of(w, 3)
    assert (reason.key, reason.value, reason.holders) == ("event.data.user", "ada", (w.id_of(0),))
    assert "the concurrency key event.data.user = ada: 1 of 1 taken" in reason.text
    assert [of(w, n).kind for n in range(3)] == ["executing"] * 3


def test_a_key_that_functions_share(world_of: Make) -> None:
    limit = [{"limit": 1, "key": "'db'", "scope": "account"}]
    w = world_of(register("app-a", "a", concurrency=limit), register("app-b", "b", concurrency=limit))
    w.event("a", n=0)
    w.event("b", n=1)
    w.middle()
    assert (of(w, 1).holders, of(w, 1).value) == ((w.id_of(0),), "db")


def test_whole_runs(world_of: Make) -> None:
    w = world_of(register(concurrency={"fn": [{"limit": 1, "key": "event.data.k"}]}))
    w.event(n=0, k="x")
    w.event(n=1, k="x")
    w.sleep(0)
    w.middle()
    reason = of(w, 1)
    assert (reason.kind, reason.holders, reason.key) == (ReasonKind.CONCURRENCY, (w.id_of(0),), "event.data.k")
    assert "the concurrency key of whole runs event.data.k = x" in reason.text


def test_many_holders(world_of: Make) -> None:
    w = world_of(register(concurrency=12))
    for n in range(13):
        w.event(n=n)
    reason = of(w, 12)
    assert (len(reason.holders), reason.held) == (10, 12)
    assert " and 2 more;" in reason.text


def test_a_throttle(world_of: Make) -> None:
    w = world_of(register(throttle={"limit": 1, "period": "5s"}))
    start = w.now
    for n in range(4):
        w.event(n=n)
    w.advance(2 * SECOND)
    w.middle()
    reasons = [of(w, n) for n in range(1, 4)]
    assert [r.kind for r in reasons] == ["throttle"] * 3
    assert [r.until for r in reasons] == [start + n * 5 * SECOND for n in (1, 2, 3)]
    assert [r.ahead for r in reasons] == [0, 1, 2]
    w.calls.clear()
    w.advance_to(start + 15 * SECOND)
    assert w.at_work == [1, 2, 3], "as was foretold"


def test_a_worker_slot(world_of: Make) -> None:
    w = world_of(register("app-a", "a"), register("app-b", "b"), settings=Settings(workers=2))
    for n in range(5):
        w.event("a", n=n)
    w.event("b", n="b")
    w.middle()
    assert [of(w, n).ahead for n in (2, 3, 4)] == [1, 2, 3]
    assert (of(w, "b").kind, of(w, "b").ahead) == (ReasonKind.WORKER, 1)
    assert of(w, 3).text == "all 2 worker slots are taken; 2 go first"


def test_a_paused_function(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.event(n=0)
    w.event(n=1)
    w.pause("app-fn")
    w.event(n=2)
    w.middle()
    assert of(w, 0).kind is ReasonKind.EXECUTING
    assert (of(w, 2).kind, of(w, 2).mode) == (ReasonKind.PAUSED, "queue")
    w.finish(0)
    assert (of(w, 1).kind, w.at_work) == (ReasonKind.PAUSED, [])
    w.resume("app-fn")
    assert w.finish_all() == [1, 2]


def test_runs_that_wait_for_time_or_news(world_of: Make) -> None:
    w = world_of(register(retries=2))
    for n in range(5):
        w.event(n=n)
    w.send("go", {"n": 5}, ts=w.now + 60 * SECOND)
    w.reply_to(0, ops(sleep("nap", "1h")))
    w.reply_to(1, ops(wait("w", "paid", "1h", condition="async.data.id == 1")))
    w.reply_to(2, ops(signal("s", "sig", "1h")))
    w.reply_to(3, throws())
    w.middle()
    hour = w.now + 3_600 * SECOND
    found = {n: of(w, n) for n in (0, 1, 2, 3, 5)}
    assert {n: r.kind.value for n, r in found.items()} == {
        0: "sleep", 1: "event", 2: "signal", 3: "retry", 5: "delayed"
    }  # fmt: skip
    assert [found[n].until for n in (0, 1, 2, 5)] == [hour, hour, hour, w.now + 60 * SECOND]
    assert (found[0].step, found[1].key, found[2].key) == ("nap", "paid", "sig")
    assert "async.data.id == 1" in found[1].text
    assert (found[3].attempt, found[3].text[:25]) == (2, "attempt 1 of 3 failed; th")


def test_parallel_steps_each_have_a_reason(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    w.event(n=0)
    w.reply_to(0, ops(planned("a"), planned("b"), sleep("nap", "1h")))
    w.middle()
    reasons = why(w.engine._core, w.live(0), w.now)
    assert sorted(r.kind for r in reasons) == ["concurrency", "executing", "sleep"]
    blocked = next(r for r in reasons if r.kind is ReasonKind.CONCURRENCY)
    assert blocked.holders == (w.id_of(0),)


def test_a_failed_step_is_a_retry(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    w.reply_to(0, ops(failing("a")))
    assert of(w, 0).kind is ReasonKind.RETRY


def test_an_invocation(world_of: Make) -> None:
    w = world_of(register(), register("app-child", "child", concurrency=1))
    w.event(n=0)
    w.reply_to(0, ops(invoke("i", "app-child", {"n": "child"}, timeout="1h")))
    w.middle()
    reason = of(w, 0)
    assert (reason.kind, reason.function, reason.run_id) == (ReasonKind.INVOKE, "app-child", w.id_of("child"))


def test_a_function_that_is_gone(world_of: Make) -> None:
    w = world_of(register())
    w.event(n=0)
    w.sleep(0)
    w.configure()
    assert [r.kind for r in why(w.engine._core, w.live(0), w.now)] == ["sleep", "function"]


def test_many_runs_in_one_pass(world_of: Make) -> None:
    w = world_of(register(concurrency=1))
    for n in range(50):
        w.event(n=n)
    found = explain(w.engine._core, w.engine._core.runs.values(), w.now)
    assert [found[w.id_of(n)][0].ahead for n in range(1, 50)] == list(range(49))


def test_what_has_ended(world_of: Make) -> None:
    w = world_of(register(singleton={"mode": "skip"}))
    w.event(n=0)
    w.event(n=1)
    row = w.rows.runs[w.id_of(1)]
    reason = past(row.status, row.ended_at, row.details)
    assert (reason.kind, reason.run_id) == (ReasonKind.SKIPPED, w.id_of(0))
    assert reason.text == f"it was skipped: another run holds its function's singleton key: run {w.id_of(0)}"
    w.pause("app-fn", Mode.SKIP)
    w.finish(0)
    w.event(n=2)
    row = w.rows.runs[w.id_of(2)]
    assert "was paused, and skips" in past(row.status, row.ended_at, row.details).text


def test_texts_of_ends() -> None:
    at = 1_700_000_000_000
    for cause, text in {
        "api": " by the API",
        "start-timeout": ": it did not start within its start timeout",
        "cancellation:01X": " by bulk cancellation 01X",
        "01HF": " by event 01HF",
        "": "",
    }.items():
        reason = past(RunStatus.CANCELLED, at, RunDetail(cancelled_by=cause))
        assert reason.text == f"it was cancelled at 2023-11-14T22:13:20Z{text}"
    assert past(RunStatus.COMPLETED, at, RunDetail()).text == "it has completed at 2023-11-14T22:13:20Z"
    assert past(RunStatus.FAILED, None, RunDetail()).text == "it has failed"


# --- events -----------------------------------------------------------------------------------------------------------


def test_a_pending_debounce(world_of: Make) -> None:
    w = world_of(register(debounce={"period": "10s", "timeout": "1m"}))
    w.event(n=0)
    w.advance(SECOND)
    w.event(n=1)
    w.middle()
    (reason,) = of_event(w)
    assert (reason.kind, reason.until, reason.function) == (ReasonKind.DEBOUNCE, w.now + 10 * SECOND, "app-fn")
    assert f"at the latest at {when(w.now + 59 * SECOND)}" in reason.text
    (replaced,) = of_event(w, -2)
    assert replaced.kind is ReasonKind.UNRECORDED
    assert "a later event took its place in the debounce" in replaced.text


def test_a_batch_being_filled(world_of: Make) -> None:
    w = world_of(register(batchEvents={"maxSize": 5, "timeout": "10s"}))
    for n in range(3):
        w.event(n=n)
    w.middle()
    (reason,) = of_event(w, 0)
    assert (reason.kind, reason.held, reason.limit, reason.until) == (ReasonKind.BATCH, 3, 5, w.now + 10 * SECOND)
    assert reason.text == f"app-fn gathers a batch: 3 of 5 events; it starts when full, or at {when(w.now + 10_000)}"


def test_what_can_be_told_of_listeners(world_of: Make) -> None:
    w = world_of(
        register("app-picky", {"event": "go", "expression": "event.data.n == 7"}),
        register("app-limited", rateLimit={"limit": 1, "period": "1h", "key": "event.data.k"}),
        register("app-broken", {"event": "go", "expression": "event.data.n < 'x' && true"}),
    )
    w.event(n=0, k="a")
    w.event(n=1, k="a")
    kinds = {r.function: r for r in of_event(w)}
    assert kinds["app-picky"].kind is ReasonKind.CONDITION
    assert kinds["app-broken"].kind is ReasonKind.CONDITION
    assert kinds["app-limited"].kind is ReasonKind.UNRECORDED
    assert "its rate limit (1 per 1h for each event.data.k) was used up" in kinds["app-limited"].text
    assert {r.function for r in of_event(w, 0, ("id-app-limited",))} == {"app-picky", "app-broken"}
    w.event("nobody", n=0)
    assert [r.kind for r in of_event(w)] == ["nobody"]


def test_a_repeated_id(world_of: Make) -> None:
    w = world_of(register())
    w.send("go", {"n": 0}, id="order-1")
    w.middle()
    w.send("go", {"n": 1}, id="order-1")
    (reason,) = of_event(w)
    assert (reason.kind, reason.key) == (ReasonKind.DUPLICATE, "order-1")
    w.event(n=2)
    assert of_event(w, started=("id-app-fn",)) == []


def test_reasons_are_plain_json(world_of: Make) -> None:
    import msgspec

    w = world_of(register(concurrency=1))
    w.event(n=0)
    w.event(n=1)
    document = json.loads(msgspec.json.encode(of(w, 1)))
    assert document == {
        "kind": "concurrency", "text": of(w, 1).text, "limit": 1, "held": 1, "holders": [w.id_of(0)], "ahead": 0
    }  # fmt: skip
