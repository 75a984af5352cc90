"""Rate limits and idempotency: flow-control.md §4.3."""

from __future__ import annotations

import pytest

from engine.replies import invoke, ops, returns, throws
from engine.world import DAY, HOUR, MINUTE, SECOND
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import register


def test_one_per_key_and_day(world_of: Make) -> None:  # row 41
    w = world_of(register(rateLimit={"limit": 1, "period": "24h", "key": "event.data.n"}))
    w.event(n=10)
    w.middle()
    w.event(n=10)
    w.event(n=1)
    assert w.labels == [10, 1]
    w.advance(DAY - 1)
    w.event(n=10)
    assert w.labels == [10, 1]
    w.advance(1)
    w.event(n=10)
    assert w.labels == [10, 1, 10]


@pytest.mark.parametrize(
    ("limit", "period", "sent", "accepted", "every"),
    [
        pytest.param(10, "60s", 10, 2, 6 * SECOND, id="row 42"),
        pytest.param(100, "1h", 50, 11, 36 * SECOND, id="row 43"),
        pytest.param(5, "10s", 5, 1, 2 * SECOND, id="five in ten seconds"),
        pytest.param(1, "24h", 3, 1, DAY, id="one a day"),
    ],
)
def test_a_limit_is_smoothed(
    world_of: Make, limit: int, period: str, sent: int, accepted: int, every: int
) -> None:  # fmt: skip
    w = world_of(register(rateLimit={"limit": limit, "period": period}))
    w.burst("go", [{"n": n} for n in range(sent)])
    assert w.labels == list(range(accepted))
    w.middle()
    for _ in range(3):
        w.advance(every - 1)
        w.event(n="early")
        w.advance(1)
        w.event(n="next")
    assert w.labels[accepted:] == ["next"] * 3


@pytest.mark.parametrize("key", ["event.data.missing", "event.data.n > 100", "event.data.n.foo.bar"])
def test_events_without_a_key_are_not_limited(world_of: Make, key: str) -> None:  # row 44
    w = world_of(register(rateLimit={"limit": 1, "period": "24h", "key": key}))
    for n in range(10):
        w.event(n=n)
    assert len(w.labels) == 10


def test_an_event_beyond_the_limit_is_stored_and_leaves_no_run(world_of: Make) -> None:  # row 45
    w = world_of(register(rateLimit={"limit": 1, "period": "1h"}))
    w.event(n=1)
    w.event(n=2)
    assert [e["data"]["n"] for e in w.events("go")] == [1, 2]
    assert w.labels == [1]
    assert len(w.rows.event_runs) == 1


def test_idempotency_is_once_a_day_for_each_value(world_of: Make) -> None:  # row 46
    w = world_of(register(idempotency="event.data.id"))
    for n, id in enumerate(("a", "a", "b")):
        w.event(n=n, id=id)
        w.middle()
    assert w.labels == [0, 2]


def test_idempotency_replaces_a_rate_limit(world_of: Make) -> None:
    w = world_of(register(idempotency="event.data.id", rateLimit={"limit": 100, "period": "1s"}))
    for n in range(3):
        w.event(n=n, id="same")
    assert w.labels == [0]


def test_a_rate_limited_invocation_fails_at_once(world_of: Make) -> None:  # row 47
    w = world_of(register("app-parent"), register("app-child", "never", rateLimit={"limit": 1, "period": "1h"}))
    w.event(n=1)
    w.reply_to(1, ops(invoke("i", "app-child", {"n": "child"})))
    w.finish("child")
    w.finish(1)
    w.middle()
    w.event(n=2)
    w.reply_to(2, ops(invoke("i", "app-child", {"n": "limited"})))
    assert w.at_work == [2]
    failure = w.step_of(2, "i")["error"]
    assert failure["message"] == "invoked function is rate limited"
    assert failure["name"] == "Error"
    assert w.ids_of("limited") == []


def test_an_on_failure_function_has_a_rate_limit_of_its_own(world_of: Make) -> None:  # row 48
    handler = register(
        "app-failure",
        "inngest/function.failed",
        rateLimit={"limit": 1, "period": "1h", "key": "event.data.function_id"},
    )
    w = world_of(register(retries=0), handler)
    for n in range(3):
        w.event(n=n)
        w.reply_to(n, throws())
        w.middle()
    assert len([r for r in w.rows.runs.values() if r.function_id == "id-app-failure"]) == 1
    assert len(w.events("inngest/function.failed")) == 3


def test_a_repeated_event_id_costs_nothing(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 10, "period": "60s"}))  # two at once
    for _ in range(5):
        w.send("go", {"n": 1}, id="same")
        w.middle()
    w.event(n=2)
    w.event(n=3)
    assert w.labels == [1, 2]


def test_a_rerun_is_not_limited(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 1, "period": "1h"}))
    w.event(n=1)
    w.finish(1)
    w.rerun(1)
    w.finish(1)
    assert [w.rows.runs[id].status for id in w.ids_of(1)] == [RunStatus.COMPLETED] * 2


def test_the_limit_may_change(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 1, "period": "1h"}))
    w.event(n=1)
    w.configure(register(version=2, rateLimit={"limit": 60, "period": "1h"}))
    w.middle()
    w.advance(54 * MINUTE - 1)  # what was used up counts on: an hour, of which seven minutes at once
    w.event(n="early")
    w.advance(1)
    w.event(n=2)
    assert w.labels == [1, 2]
    w.configure(register(version=3))
    w.event(n=3)
    assert w.labels == [1, 2, 3]


def test_nothing_is_kept_of_limits_at_rest(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 1, "period": "1s", "key": "event.data.n"}))
    for n in range(50):
        w.event(n=n)
    w.middle()
    assert len(w.engine._core.rate_limits.clocks) == 50
    w.advance(HOUR)
    for n in range(50, 90):
        w.event(n=n)
    assert len(w.engine._core.rate_limits.clocks) <= 50
    assert len(w.store.recover().flow) == len(w.engine._core.rate_limits.clocks)
    w.finish_all()
    w.check_idle()


def test_a_clock_that_goes_back_does_not_close_the_limit(world_of: Make) -> None:
    w = world_of(register(rateLimit={"limit": 1, "period": "10s"}))
    w.event(n=1)
    w.now -= 5 * SECOND
    w.event(n=2)
    assert w.labels == [1]
    w.advance(15 * SECOND)
    w.event(n=3)
    assert w.labels == [1, 3]
    w.reply_to(1, returns())
