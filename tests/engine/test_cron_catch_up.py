"""Cron ticks, missed and made up for, by each policy: flow-control.md §1.5."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.protocol.functions import Trigger
from holdfast.server.engine.settings import Settings
from holdfast.server.model.status import RunStatus

from .world import DAY, HOUR, MINUTE, SECOND, T0, World, function

#: The first whole hour of the world's time.
HOUR_0 = T0 - T0 % HOUR + HOUR


def world(*crons: Trigger, default: str = "latest") -> World:
    found = World(function("app-cron", crons), settings=Settings(cron_catch_up=default))
    found.advance_to(HOUR_0 - 1)
    return found


def hourly(policy: str = "") -> Trigger:
    return Trigger(cron="0 * * * *", catch_up=policy)


def ticks(world: World) -> list[float]:
    """The moments of all runs' ticks, in hours since the first."""
    events = [json.loads(e.json) for e in world.rows.events if e.name == "inngest/scheduled.timer"]
    ids = {e.id for e in world.rows.events if e.name == "inngest/scheduled.timer"}
    started = [run for run in world.rows.runs.values() if set(run.event_ids) <= ids]
    assert len(started) == len(events)
    return sorted((event["ts"] - HOUR_0) / HOUR for event in events)


def down(world: World, until: int) -> None:
    """The server is away until then."""
    world.now = until
    world.restart()


@pytest.mark.parametrize(
    ("policy", "default", "expected"),
    [
        ("", "latest", [0, 5, 6]),
        ("", "none", [0, 6]),
        ("", "all", [0, 1, 2, 3, 4, 5, 6]),
        ("latest", "all", [0, 5, 6]),
        ("none", "all", [0, 6]),
        ("all", "none", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_restart_after_five_hours(policy: str, default: str, expected: list[float]) -> None:
    w = world(hourly(policy), default=default)
    w.advance_to(HOUR_0 + MINUTE)
    assert ticks(w) == [0]
    down(w, HOUR_0 + 5 * HOUR + 30 * MINUTE)
    w.advance_to(HOUR_0 + 6 * HOUR + SECOND)
    assert ticks(w) == expected
    down(w, HOUR_0 + 6 * HOUR + 2 * SECOND)
    assert ticks(w) == expected, "a second restart starts nothing twice"


def test_the_server_decides_for_one_function() -> None:
    settings = Settings(cron_catch_up="none", cron_catch_ups={"app-cron": "all"})
    w = World(function("app-cron", hourly()), function("app-other", hourly()), settings=settings)
    w.advance_to(HOUR_0)
    down(w, HOUR_0 + 3 * HOUR + MINUTE)
    started = [run.function_id for run in w.rows.runs.values()]
    assert (started.count("id-app-cron"), started.count("id-app-other")) == (4, 1)


@pytest.mark.parametrize(
    ("policy", "expected"), [("latest", [0, 1, 5, 6]), ("none", [0, 6]), ("all", [0, 1, 2, 3, 4, 5, 6])]
)
def test_a_machine_that_slept(policy: str, expected: list[float]) -> None:
    w = world(hourly(policy))
    w.advance_to(HOUR_0 + MINUTE)
    w.now = HOUR_0 + 5 * HOUR + 30 * MINUTE
    w.tick()
    w.advance_to(HOUR_0 + 6 * HOUR + SECOND)
    assert ticks(w) == expected


def test_none_forgives_a_late_turn() -> None:
    w = world(hourly("none"))
    w.now = HOUR_0 + 59 * SECOND
    w.tick()
    assert ticks(w) == [0]


def test_none_starts_a_tick_that_is_due_at_the_very_start() -> None:
    w = world(hourly("none"))
    down(w, HOUR_0)
    assert ticks(w) == [0]
    down(w, HOUR_0)
    assert ticks(w) == [0]


@pytest.mark.parametrize("away", [2 * DAY, 400 * DAY])
def test_all_is_bounded(away: int) -> None:
    w = world(Trigger(cron="*/2 * * * *", catch_up="all"))
    before = len(ticks(w))
    down(w, HOUR_0 + away + SECOND)
    found = ticks(w)[before:]
    assert len(found) == len(set(found)) == 1_000
    assert found[-1] == away / HOUR
    assert found[0] == pytest.approx(away / HOUR - 999 / 30)
    w.advance(2 * MINUTE)
    assert len(ticks(w)) == before + 1_001


def test_all_with_rare_ticks() -> None:
    w = world(Trigger(cron="0 0 1 * *", catch_up="all"))
    down(w, HOUR_0 + 800 * DAY)
    assert len(ticks(w)) == 26


def test_two_schedules_of_one_minute_start_one_run() -> None:
    w = world(hourly("all"), Trigger(cron="0,30 * * * *", catch_up="all"))
    before = len(w.rows.runs)
    w.advance_to(HOUR_0 + SECOND)
    assert len(w.rows.runs) == before + 1
    down(w, HOUR_0 + 3 * HOUR + SECOND)
    assert len(w.rows.runs) == before + 7  # 0, ½, 1, 1½, 2, 2½, 3


def test_a_schedule_that_is_new_begins_with_its_next_tick() -> None:
    w = World(function("app-cron", hourly("all")))
    down(w, w.now + 1)
    assert not w.rows.runs
    w.configure()
    w.now += 10 * HOUR
    w.configure(function("app-cron", Trigger(cron="30 * * * *", catch_up="all"), version=2))
    w.tick()
    assert not w.rows.runs


def test_replayed_runs_wait_for_their_limits() -> None:
    from holdfast.protocol.functions import ConcurrencyLimit

    limited: Any = function("app-cron", hourly("all"), limits=[ConcurrencyLimit(1)])
    w = World(limited)
    w.advance_to(HOUR_0)
    down(w, HOUR_0 + 4 * HOUR)
    assert len(w.calls) == 1
    assert [r.status for r in w.rows.runs.values()].count(RunStatus.SCHEDULED) == 4
