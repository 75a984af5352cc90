"""Cron schedules: flow-control.md §1.5. Ticks fire at their moment."""

from __future__ import annotations

import json

import pytest

from engine.world import HOUR, MINUTE, SECOND, T0
from holdfast.protocol.dates import format_rfc3339
from holdfast.server.model.status import RunStatus

from .conftest import Make
from .world import FlowWorld, register

EVERY = {"cron": "* * * * *"}
FIRST = (T0 // MINUTE + 1) * MINUTE  # the minute after T0


def ticks(w: FlowWorld) -> list[str]:
    return [e["data"]["scheduledAt"] for e in w.events("inngest/scheduled.timer")]


def starts(w: FlowWorld) -> list[int]:
    return [row.scheduled_at for row in w.rows.runs.values()]


def test_every_minute_on_the_minute(world_of: Make) -> None:  # row 33
    w = world_of(register(on=EVERY))
    w.advance_to(FIRST + 2 * MINUTE)
    w.middle()
    w.advance(MINUTE)
    assert starts(w) == [FIRST + n * MINUTE for n in range(4)]


def test_the_event_of_a_tick(world_of: Make) -> None:  # row 34
    w = world_of(register(on=EVERY))
    w.advance_to(FIRST)
    (event,) = w.events("inngest/scheduled.timer")
    at = format_rfc3339(FIRST, fraction=False)
    assert event["name"] == "inngest/scheduled.timer"
    assert event["id"] == at
    assert event["ts"] == FIRST
    assert event["data"] == {"cron": "* * * * *", "scheduledAt": at, "fireAt": at}


def test_two_schedules_that_meet_give_one_run(world_of: Make) -> None:  # row 35
    w = world_of(register(on=[EVERY, {"cron": "*/1 * * * *"}]))
    w.advance_to(FIRST + MINUTE)
    w.middle()
    w.advance(MINUTE)
    assert starts(w) == [FIRST, FIRST + MINUTE, FIRST + 2 * MINUTE]


def test_a_removed_schedule_stops(world_of: Make) -> None:  # row 36
    w = world_of(register(on=EVERY))
    w.advance_to(FIRST)
    w.configure(register(version=2))
    w.middle()
    w.advance(HOUR)
    assert len(starts(w)) == 1


def test_a_changed_schedule_never_runs_a_tick_twice(world_of: Make) -> None:  # row 37
    w = world_of(register(on=EVERY))
    w.advance_to(FIRST)
    w.configure(register(version=2, on={"cron": "*/2 * * * *"}))
    w.middle()
    w.advance(10 * MINUTE)
    later = starts(w)[1:]
    assert later
    assert all(at // MINUTE % 2 == 0 for at in later)
    assert len(set(starts(w))) == len(starts(w))


def test_jitter_delays_the_start_by_the_same_for_a_tick(world_of: Make) -> None:  # row 38
    w = world_of(register(on={**EVERY, "jitter": "30s"}))
    w.advance_to(FIRST)
    (run_id,) = w.rows.runs
    assert w.rows.runs[run_id].status is RunStatus.SCHEDULED
    w.middle()
    (event,) = w.events("inngest/scheduled.timer")
    offset = event["ts"] - FIRST
    assert SECOND <= offset <= 30 * SECOND
    assert event["data"]["fireAt"] == format_rfc3339(FIRST + offset, fraction=False)
    w.advance(offset - 1)
    assert not w.calls
    w.advance(1)
    assert len(w.calls) == 1
    again = FlowWorld(register(on={**EVERY, "jitter": "30s"}))
    again.advance_to(FIRST)
    assert again.events("inngest/scheduled.timer")[0]["ts"] == event["ts"]
    again.store.close()


def test_an_invocation_leaves_the_schedule_alone(world_of: Make) -> None:  # row 39
    w = world_of(register(on=EVERY))
    w.advance_to(FIRST)
    w.advance(10 * SECOND)
    w.invoke("app-fn", {"n": "by hand"})
    assert "by hand" in w.at_work
    w.middle()
    w.advance_to(FIRST + 2 * MINUTE)
    assert [at for at in starts(w) if at % MINUTE == 0] == [FIRST, FIRST + MINUTE, FIRST + 2 * MINUTE]


def test_a_function_can_have_a_schedule_and_an_event(world_of: Make) -> None:  # row 40
    w = world_of(register(on=[EVERY, "go"]))
    w.event(n=1)
    w.middle()
    w.advance_to(FIRST)
    assert w.labels == [1, None]


def test_the_same_registration_again_adds_no_ticks(world_of: Make) -> None:  # row 32
    w = world_of(register(on=EVERY))
    for version in range(2, 6):
        w.configure(register(version=version, on=EVERY))
        w.middle()
    w.advance_to(FIRST + MINUTE)
    assert starts(w) == [FIRST, FIRST + MINUTE]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"singleton": {"mode": "skip"}}, ["RUNNING", "SKIPPED", "SKIPPED"]),
        ({"singleton": {"mode": "cancel"}}, ["CANCELLED", "CANCELLED", "RUNNING"]),
        ({"concurrency": 1}, ["RUNNING", "SCHEDULED", "SCHEDULED"]),
        ({"throttle": {"limit": 1, "period": "1h"}}, ["RUNNING", "SCHEDULED", "SCHEDULED"]),
        ({"rateLimit": {"limit": 1, "period": "1h"}}, ["RUNNING"]),
        ({"debounce": {"period": "90s"}}, []),
        ({"timeouts": {"finish": "90s"}}, ["CANCELLED", "RUNNING", "RUNNING"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_ticks_go_through_flow_control(world_of: Make, options: dict[str, object], expected: list[str]) -> None:
    w = world_of(register(on=EVERY, **options))
    w.advance_to(FIRST + MINUTE)
    w.middle()
    w.advance_to(FIRST + 2 * MINUTE)
    assert [row.status.name for row in w.rows.runs.values()] == expected


def test_a_function_that_does_not_sleep_through_daylight_saving(world_of: Make) -> None:
    w = world_of(register(on={"cron": "TZ=Europe/Berlin 30 2 * * *"}))
    w.now = 1_711_753_200_000  # 2024-03-30 00:00 in Berlin; 02:30 does not exist on the 31st
    w.restart()
    w.advance(3 * 24 * HOUR)
    assert len(set(ticks(w))) == len(ticks(w))
    assert len(json.dumps(ticks(w))) > 2
