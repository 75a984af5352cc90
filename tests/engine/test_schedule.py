"""From events to runs: triggers, expressions, duplicates, delays, reruns (flow-control.md §1-2)."""

from __future__ import annotations

import pytest

from holdfast.protocol import limits
from holdfast.protocol.functions import Trigger
from holdfast.server.engine.registry import Registry, patterns
from holdfast.server.engine.schedule import Request
from holdfast.server.model.job import JobKind
from holdfast.server.model.status import RunStatus

from .replies import hashed, ops, ran, returns, sleep
from .world import DAY, HOUR, SECOND, T0, World, function


def test_patterns_of_a_name() -> None:
    assert patterns("shop/eu/order.item.added") == [
        "shop/eu/order.item.added",
        "shop/*",
        "shop/eu/*",
        "shop/eu/order.*",
        "shop/eu/order.item.*",
    ]
    assert patterns("ping") == ["ping"]


def test_a_long_name_matches_no_more_than_a_trigger_can_say() -> None:
    found = patterns("a/" * 1_000)
    assert len(found) == 128
    assert max(map(len, found[1:])) == 255


@pytest.mark.parametrize(
    ("trigger", "event", "starts"),
    [
        ("app/user.created", "app/user.created", True),
        ("app/*", "app/user.created", True),
        ("app/user.*", "app/user.created", True),
        ("app/user.*", "app/user", False),
        ("*", "app/user", False),
        ("app/us*", "app/user", False),
        ("*/user", "app/user", False),
        ("app/user", "app/user.created", False),
        ("app/user", "APP/user", False),
    ],
)
def test_wildcards(trigger: str, event: str, starts: bool) -> None:
    world = World(function(on=trigger))
    assert bool(world.send(event)) is starts


def test_one_event_starts_each_of_its_functions_once() -> None:
    world = World(function("app-a", ["go", "g/*"]), function("app-b", "go"), function("app-c", "other"))
    runs = world.send("go")
    assert [r.function_id for r in runs] == ["id-app-a", "id-app-b"]
    assert [(r.event_name, r.app_id) for r in runs] == [("go", "id-app")] * 2
    assert sorted(world.rows.event_runs) == sorted((world.rows.runs[r.id].event_ids[0], r.id) for r in runs)


@pytest.mark.parametrize(
    ("expression", "data", "starts"),
    [
        ("event.data.n > 10", {"n": 11}, True),
        ("event.data.n > 10", {"n": 9}, False),
        ("event.data.n > 10", {"n": "x"}, False),
        ("event.data.n", {"n": 1}, False),
        ("event.name == 'go'", {}, True),
        ("event.data.missing == 1", {}, False),
        ("no.such(", {}, False),
    ],
)
def test_a_trigger_may_have_a_condition(expression: str, data: dict[str, object], starts: bool) -> None:
    world = World(function(on=Trigger(event="go", expression=expression)))
    assert bool(world.send("go", data)) is starts


def test_the_first_trigger_that_holds_starts_the_function() -> None:
    world = World(
        function(on=[Trigger(event="go", expression="broken("), Trigger(event="go", expression="event.data.n == 1")])
    )
    assert len(world.send("go", {"n": 1})) == 1
    assert len(world.send("go", {"n": 2})) == 0


def test_listeners_are_remembered_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "CACHE", 2)
    world = World(function())
    for name in ("a", "b", "c", "go"):
        world.send(name)
    assert len(world.engine._core.registry._cache) <= 2
    world.configure(function(on="new"))
    assert len(world.send("new")) == 1
    assert len(world.send("go")) == 0


def test_an_event_with_an_id_starts_a_function_once_a_day(world: World) -> None:
    assert len(world.send("go", id="x")) == 1
    world.reply(returns())
    world.now += DAY - 1
    assert len(world.send("go", id="x")) == 0
    assert len([e for e in world.rows.events if e.name == "go"]) == 2, "every copy is stored"
    world.now += 1
    assert len(world.send("go", id="x")) == 1


def test_the_id_counts_for_each_function() -> None:
    world = World(function("app-a", "go"), function("app-b", ["go", "more"]))
    assert len(world.send("go", id="x")) == 2
    assert len(world.send("more", id="x")) == 0
    assert len(world.send("more", id="y")) == 1


def test_long_ids_are_remembered_by_their_hash(world: World) -> None:
    long = "x" * 10_000
    assert [len(world.send("go", id=id)) for id in (long, long, long + "y")] == [1, 0, 1]
    assert max(map(len, world.rows.keys)) < 100


def test_ids_are_remembered_over_a_restart(world: World) -> None:
    world.send("go", id="x")
    world.restart()
    assert len(world.send("go", id="x")) == 0


def test_ids_are_forgotten_in_time_in_the_store_too(world: World) -> None:
    for i in range(5):
        world.send("go", id=f"x{i}")
    assert len(world.rows.keys) == 5
    world.now += DAY
    for i in range(3):  # each new one takes two old ones with it
        world.send("go", id=f"y{i}")
    assert set(world.rows.keys) == {f"id-app-fn:y{i}" for i in range(3)}
    assert len(world.engine._core.seen) == 3


def test_an_id_that_is_forgotten_and_used_anew_in_one_turn_stays(world: World) -> None:
    world.send("go", id="x")
    world.now += DAY
    world.send("go", id="x")
    (_, expires) = world.rows.keys["id-app-fn:x"]
    assert expires == world.now + limits.IDEMPOTENCY_MS
    world.restart()
    assert len(world.send("go", id="x")) == 0


def test_timers_forget_ids_as_well(world: World) -> None:
    world.start("go", id="x")
    world.reply(ops(sleep("s", "2d")))
    world.advance(2 * DAY)
    assert world.rows.keys == {}


def test_events_without_an_id_are_never_duplicates(world: World) -> None:
    assert len(world.send("go")) == len(world.send("go")) == 1
    assert world.rows.keys == {}


def test_a_future_time_delays_the_start(world: World) -> None:
    run = world.start("go", ts=T0 + HOUR)
    assert world.status(run) is RunStatus.SCHEDULED
    assert not world.calls
    world.restart()
    world.advance(HOUR)
    world.reply(returns())
    assert world.rows.runs[run.id].started_at == T0 + HOUR


def test_a_past_time_does_not(world: World) -> None:
    world.start("go", ts=T0 - HOUR)
    assert world.call().job.due == T0


def test_a_run_starts_when_it_is_first_called(world: World) -> None:
    run = world.start()
    row = world.rows.runs[run.id]
    assert (row.status, row.scheduled_at, row.started_at) == (RunStatus.RUNNING, T0, T0)


def test_jobs_have_stable_ids_within_their_run(world: World) -> None:
    first, second = world.start("go", id="x"), world.start("go", id="y")
    ids = [c.job.id for c in world.calls]
    assert len(set(ids)) == 2
    assert first.id != second.id


# --- reruns -----------------------------------------------------------------------------------------------------------


def rerun(world: World, steps: dict[str, bytes], inputs: dict[str, bytes]):  # type: ignore[no-untyped-def]
    original = world.start("go", id="x")
    world.reply(returns())
    request = Request(world.functions[0], [world.rows.events[0]], original_run_id=original.id, key="x")
    run = world.engine.rerun(request, steps, inputs, world.now)
    world.turn()
    return original, run


def test_a_rerun_is_a_new_run_of_the_same_event(world: World) -> None:
    original, run = rerun(world, {}, {})
    assert run.id != original.id
    assert world.rows.runs[run.id].event_ids == world.rows.runs[original.id].event_ids
    assert world.rows.runs[run.id].original_run_id == original.id
    assert world.call().job.kind is JobKind.START


def test_a_rerun_from_a_step_has_what_came_before(world: World) -> None:
    _, run = rerun(world, {hashed("a"): b'{"data":1}', hashed("b"): b"null"}, {hashed("c"): b'[{"n":1}]'})
    call = world.call()
    assert call.run.body is not None
    assert list(call.run.body.steps) == [hashed("a"), hashed("b")]
    assert run.state.inputs is not None
    assert bytes(run.state.inputs[hashed("c")]) == b'[{"n":1}]'
    assert run.step_count == 2
    assert [row[-1].kind for row in world.rows.steps if row[0] == run.id] == ["kept", "kept"]  # not of this run's trace
    world.answer(call, ops(ran("c")))
    world.restart()
    world.reply(returns())
    assert world.status(run) is RunStatus.COMPLETED


# --- crons ------------------------------------------------------------------------------------------------------------


def test_a_cron_tick_starts_a_run_with_its_event() -> None:
    world = World(function("app-cron", Trigger(cron="*/15 * * * *")))
    world.advance_to(T0 - T0 % HOUR + HOUR)
    (event,) = world.events("inngest/scheduled.timer")[-1:]
    at = "2023-11-14T23:00:00Z"
    assert (event["id"], event["ts"]) == (at, world.now)
    assert event["data"] == {"cron": "*/15 * * * *", "scheduledAt": at, "fireAt": at}
    run = world.calls[-1].run
    assert (run.cron, run.event_name) == ("*/15 * * * *", "inngest/scheduled.timer")


def test_jitter_moves_the_start_and_is_the_same_each_time() -> None:
    trigger = Trigger(cron="0 * * * *", jitter="2m", jitter_ns=120 * 10**9)
    starts = []
    for _ in range(2):
        world = World(function("app-cron", trigger))
        tick = T0 - T0 % HOUR + HOUR
        world.advance_to(tick)
        assert not world.calls
        (event,) = world.events("inngest/scheduled.timer")
        assert tick + SECOND <= event["ts"] < tick + 120 * SECOND
        world.advance_to(event["ts"])
        assert world.call()
        starts.append(event["ts"])
    assert starts[0] == starts[1]


def test_two_crons_of_one_function_that_coincide_start_one_run() -> None:
    world = World(function("app-cron", [Trigger(cron="0 * * * *"), Trigger(cron="*/30 * * * *")]))
    world.advance_to(T0 - T0 % HOUR + HOUR)
    assert len([c for c in world.calls if c.job.due == world.now]) == 1


def test_a_schedule_follows_its_zone_through_the_change_of_clocks() -> None:
    """Berlin, 31 March 2024: 02:30 does not exist; nine o'clock comes an hour earlier."""
    world = World(function("app-cron", Trigger(cron="TZ=Europe/Berlin 30 2 * * *")))
    world.now = 1_711_756_800_000  # 30 March 2024, 00:00 UTC
    world.configure(function("app-nine", Trigger(cron="TZ=Europe/Berlin 0 9 * * *")))
    for _ in range(3):
        world.advance(DAY)
    assert [e["data"]["scheduledAt"] for e in world.events("inngest/scheduled.timer")] == [
        "2024-03-30T08:00:00Z",
        "2024-03-31T07:00:00Z",
        "2024-04-01T07:00:00Z",
    ]


def test_a_new_version_keeps_the_rhythm() -> None:
    world = World(function("app-cron", Trigger(cron="0 * * * *")))
    world.configure(function("app-cron", Trigger(cron="0 * * * *"), version=2))
    world.advance_to(T0 - T0 % HOUR + 2 * HOUR)
    runs = list(world.rows.runs.values())
    assert len(runs) == 2
    assert {r.details.function_version for r in runs} == {2}


def test_a_schedule_that_is_removed_stops_and_makes_up_for_nothing_when_it_comes_back() -> None:
    cron = function("app-cron", Trigger(cron="0 * * * *"))
    world = World(cron)
    world.configure()
    world.advance(DAY)
    assert world.rows.runs == {}
    world.configure(cron)
    world.tick()
    assert world.rows.runs == {}
    world.advance(HOUR)
    assert len(world.rows.runs) == 1


def test_a_schedule_that_never_comes_is_no_burden() -> None:
    world = World(function("app-cron", Trigger(cron="0 0 30 2 *")))
    assert world.engine.next_due() is None


def test_a_long_time_away_is_made_up_for_quickly() -> None:
    world = World(function("app-cron", Trigger(cron="* * * * *")))
    world.advance(120 * SECOND)
    before = len(world.rows.runs)
    world.now += 3 * 365 * DAY
    world.restart()
    assert len(world.rows.runs) == before + 1
