"""What a server tells of events, runs and attempts, as lines; bursts are told by their numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from holdfast.server.activity import log, text
from holdfast.server.activity.activity import MOST_A_SECOND, MOST_TROUBLE, Activity
from holdfast.server.activity.happening import Happening, What

from .replies import failing, ops, returns, throws, wait
from .world import World, function

if TYPE_CHECKING:
    import pytest

    from holdfast.server.engine.changes import Changes


class Told:
    """A world whose turns an activity is told of; `lines` are without the time and the ids."""

    def __init__(self, world: World, *, everything: bool = True) -> None:
        self.world = world
        self.activity = Activity(lambda: world.now)
        self.heard: list[Happening] = []
        self.activity.follow(self.heard.append, everything=everything)
        commit = world.rows.commit

        def told(changes: Changes) -> None:
            commit(changes)
            self.activity.turn(changes, world.engine.view)

        world.rows.commit = told  # type: ignore[method-assign]

    @property
    def lines(self) -> list[str]:
        return [text.line(happening, color=False)[14:] for happening in self.heard]


def test_the_life_of_a_run_is_told(world: World) -> None:
    told = Told(world)
    run = world.start("go")
    world.reply(ops(failing("charge", "card declined\nat line 3")))
    world.advance(60_000)
    world.reply(returns("done"))
    short = text.short(run.id)
    event, started, failed, ended = told.lines
    assert event.startswith("event        go  ")
    assert event.endswith("→ app-fn")
    assert started == f"started      app-fn  run {short}"
    assert failed.startswith(
        f"step failed  app-fn  run {short}, step charge: card declined  (attempt 1 of 5, retry in "
    )
    assert ended.startswith(f"completed    app-fn  run {short}  in ")


def test_a_failed_run_is_told_with_its_error_even_to_those_who_want_only_trouble(world: World) -> None:
    told = Told(world, everything=False)
    run = world.start("go")
    world.reply(throws("never works", no_retry="true"))
    (line,) = told.lines
    assert line == f"failed       app-fn  run {text.short(run.id)}  after 0 ms: never works"
    assert told.heard[0].run_id == run.id


def test_an_event_that_nobody_wants_is_told_with_the_closest_name() -> None:
    told = Told(World(function(on="shop/order.created")))
    told.world.send("shop/order.creatd")
    told.world.send("quite/else")
    close, far = told.lines
    assert close.endswith("no function listens; did you mean shop/order.created?")
    assert far.endswith("no function listens")


def test_an_event_that_ends_a_wait_was_wanted(world: World) -> None:
    told = Told(world)
    world.start("go")
    world.reply(ops(wait("w", "paid")))
    world.send("paid")
    assert not any("no function listens" in line for line in told.lines)
    assert any(line.startswith("event        paid") for line in told.lines)


def test_a_burst_is_told_by_its_numbers(world: World) -> None:
    async def scenario() -> Told:
        told = Told(world)
        world.send("go")
        for _ in range(999):
            world.send("go")
        told.activity._unfold()
        return told

    told = asyncio.run(scenario())
    assert len(told.heard) == MOST_A_SECOND + 1
    folded = told.heard[-1]
    assert folded.what is What.FOLDED
    shown = {what: sum(h.what is what for h in told.heard) for what in (What.EVENT, What.RUN_STARTED)}
    assert folded.counts["event received"] == 1_000 - shown[What.EVENT]
    assert told.lines[-1].endswith("too many to show one by one")


def test_trouble_is_told_beside_a_burst(world: World) -> None:
    async def scenario() -> Told:
        told = Told(world)
        for _ in range(100):
            world.send("unheard")
        for _ in range(MOST_TROUBLE + 5):
            world.start("go")
            world.reply(throws("no", no_retry="true"))
        return told

    failed = [happening for happening in asyncio.run(scenario()).heard if happening.what is What.RUN_FAILED]
    assert len(failed) == MOST_TROUBLE


def test_nothing_is_looked_at_while_nobody_follows(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    activity: Any = Activity(lambda: 0)
    monkeypatch.setattr("holdfast.server.activity.turns.all_of", None)
    activity.turn(None, None)
    activity.tell(Happening(what=What.EVENT, time=0))
    assert activity._told == 0
    assert world.engine.view.live == 0


def test_texts_of_others_can_not_steer_a_terminal() -> None:
    line = text.line(Happening(what=What.EVENT, time=0, event="a\x1b[2Jb\nc", event_id="1"), color=True)
    assert "\x1b[2J" not in line
    assert "\n" not in line


def test_every_happening_can_be_logged_with_its_ids() -> None:
    with capture_logs() as entries:
        for what in What:
            log.write(
                Happening(what=what, time=1_000, event="paid", event_id="E", run_id="R", started_at=400, status="x")
            )
    assert [entry["event"] for entry in entries] == [str(what) for what in What]
    assert entries[0] | {"event_name": "paid", "event_id": "E", "run_id": "R", "duration_ms": 600} == entries[0]
    levels = {entry["event"]: entry["log_level"] for entry in entries}
    assert (levels["run failed"], levels["app refused"], levels["run ended"]) == ("warning", "warning", "info")


def test_a_follower_that_fails_keeps_no_turn_from_going_on(world: World) -> None:
    told = Told(world)

    def broken(_: Happening) -> None:
        raise RuntimeError("a defect")

    told.activity.follow(broken, everything=True)
    with capture_logs() as entries:
        world.start("go")
    assert "could not be reported" in entries[0]["event"]
