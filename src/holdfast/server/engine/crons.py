"""Cron schedules (`protocol/flow-control.md` §1.5).

Ticks survive restarts: the last one of each schedule is stored. What becomes of the ticks that were missed while no
server ran, or while the machine slept, is the schedule's policy: `latest` makes up for the latest one, once; `none` for
no tick; `all` for each of them, at most the newest 1,000 of a schedule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from holdfast.protocol.cron import Schedule
from holdfast.protocol.dates import format_rfc3339
from holdfast.protocol.events import Event, render_event
from holdfast.protocol.ids import xxh36
from holdfast.server.engine.admission import offer
from holdfast.server.engine.core import Core
from holdfast.server.engine.queue import Tick
from holdfast.server.engine.registry import Function
from holdfast.server.engine.schedule import Request

TIMER_EVENT = "inngest/scheduled.timer"
#: How many missed ticks of a schedule `all` makes up for.
MOST_REPLAYED = 1_000
#: A tick that comes up later than this was missed: the machine slept.
LATE_MS = 60_000
_MINUTE_MS = 60_000
_LOOK_BACK_MS = (3_600_000, 86_400_000, 31 * 86_400_000)


class Crons:
    """The schedules of all functions: which are armed, and when each fired last."""

    __slots__ = ("_armed", "_last", "_replayed")

    def __init__(self) -> None:
        self._replayed: dict[tuple[str, str], int] = {}  # up to when missed ticks have been counted
        self._armed: dict[tuple[str, str], Tick] = {}
        self._last: dict[tuple[str, str], int] = {}

    def remember(self, function_id: str, cron: str, tick: int) -> None:
        """Take the last tick of a schedule from the store."""
        self._last[function_id, cron] = tick

    def rearm(self, core: Core, before: Mapping[str, Function | None]) -> None:
        """Set the timers of schedules that are new, and drop those that are gone.

        `before` is what was known of each function that may have changed, by id.
        """
        for id, known in before.items():
            function = core.registry.functions.get(id)
            wanted = _schedules(function)
            for cron in _schedules(known) - wanted:
                self._forget((id, cron))
            for cron in sorted(wanted):
                if function is not None and (id, cron) not in self._armed:
                    self._arm(core, function, cron, self._first_from(core, (id, cron), function))

    def forget_others(self, core: Core) -> None:
        """Forget what was stored of schedules that no function has."""
        functions = core.registry.functions
        for id, cron in [key for key in self._last if key[1] not in _schedules(functions.get(key[0]))]:
            self._forget((id, cron))

    def _forget(self, key: tuple[str, str]) -> None:
        self._armed.pop(key, None)
        self._last.pop(key, None)
        self._replayed.pop(key, None)

    def fire(self, core: Core, tick: Tick) -> None:
        """Start the run of a tick, and set the next timer."""
        key = (tick.function_id, tick.cron)
        if self._armed.get(key) is not tick:
            return
        function = core.registry.functions[tick.function_id]
        del self._armed[key]
        self._last[key] = tick.at
        core.changes.crons[key] = tick.at
        policy = _policy(core, function, tick.cron)
        if policy != "none" or core.now - tick.at < LATE_MS:
            _start(core, function, tick)
        self._arm(core, function, tick.cron, self._next_from(core, policy, tick))

    def went_back(self, core: Core) -> None:
        """The clock was ahead: ticks are due again as the right time has them; one that was made up for is skipped."""
        self._replayed = {key: min(at, core.now) for key, at in self._replayed.items()}
        for key, at in self._last.items():
            if at > core.now:
                self._last[key] = core.changes.crons[key] = core.now
        for key, tick in list(self._armed.items()):
            function = core.registry.functions.get(key[0])
            following = Schedule.parse(tick.cron).next(core.now)
            if function is not None and following is not None and following < tick.at:
                self._arm(core, function, tick.cron, core.now)

    def _first_from(self, core: Core, key: tuple[str, str], function: Function) -> int:
        last = self._last.get(key)
        if last is None:
            self._last[key] = core.now
            core.changes.crons[key] = core.now
            return core.now
        last = min(last, core.now)  # a later one was a tick of a clock that was ahead
        return self._next_from(core, _policy(core, function, key[1]), Tick(key[0], key[1], last, 0))

    def _next_from(self, core: Core, policy: str, last: Tick) -> int:
        """The moment after which the next tick to start is looked for."""
        if policy == "none":
            return max(last.at, core.now - 1)  # a tick that is due this very moment is not missed
        if policy == "latest":
            return max(last.at, _latest_missed(last, core.now))
        key = (last.function_id, last.cron)
        if last.at >= self._replayed.get(key, 0):  # else it is one of those that were counted before
            last = msgspec.structs.replace(last, at=_newest_missed(last, core.now))
            self._replayed[key] = core.now
        return last.at

    def _arm(self, core: Core, function: Function, cron: str, after: int) -> None:
        at = Schedule.parse(cron).next(after)
        if at is not None:
            tick = self._armed[function.id, cron] = Tick(function.id, cron, at, function.version)
            core.queue.timers.add(at, tick)


def _latest_missed(tick: Tick, now: int) -> int:
    """The moment after which the latest missed tick is the next: `tick.at` if at most one was missed."""
    schedule_ = Schedule.parse(tick.cron)
    before, at = tick.at, schedule_.next(tick.at)
    for back in _LOOK_BACK_MS:  # a long time away holds many ticks: begin near its end
        recent = schedule_.next(now - back) if now - back > tick.at else None
        if recent is not None and recent <= now:
            before, at = now - back, recent
            break
    while at is not None and at <= now:
        following = schedule_.next(at)
        if following is None or following > now:
            return before
        before, at = at, following
    return before


def _newest_missed(tick: Tick, now: int) -> int:
    """Return the moment after which the newest 1,000 missed ticks follow: `tick.at` if there are no more."""
    schedule_, back = Schedule.parse(tick.cron), MOST_REPLAYED * _MINUTE_MS
    while True:  # a long time away holds many ticks: count from its end
        after = max(tick.at, now - back)
        newest: deque[int] = deque(maxlen=MOST_REPLAYED + 1)
        newest.append(after)
        at = schedule_.next(after)
        while at is not None and at <= now:
            newest.append(at)
            at = schedule_.next(at)
        if len(newest) > MOST_REPLAYED or after == tick.at:
            return newest[0]
        back *= 8


def _policy(core: Core, function: Function, cron: str) -> str:
    """Return what becomes of a schedule's missed ticks."""
    own = next((t.catch_up for t in function.config.triggers if t.cron == cron), "")
    settings = core.settings
    return own or settings.cron_catch_ups.get(function.slug, settings.cron_catch_up)


def _start(core: Core, function: Function, tick: Tick) -> None:
    fire_at = tick.at + _jitter(function, tick)
    scheduled = format_rfc3339(tick.at, fraction=False)
    data = msgspec.json.encode({
        "cron": tick.cron, "fireAt": format_rfc3339(fire_at, fraction=False), "scheduledAt": scheduled,
    })  # fmt: skip
    json = render_event(TIMER_EVENT, scheduled, fire_at, data)
    event = Event(core.new_id(core.now), TIMER_EVENT, scheduled, fire_at, core.now, json, deduplicated=True)
    core.changes.events.append(event)
    offer(core, Request(function, [event], key=scheduled, cron=tick.cron, due=fire_at))


def _jitter(function: Function, tick: Tick) -> int:
    """Return the offset of a tick, ms: the same however often it is asked for."""
    spread = next((t.jitter_ns or 0 for t in function.config.triggers if t.cron == tick.cron), 0)
    if not spread:
        return 0
    digest = int(xxh36(f"{function.id}:{tick.cron}:{tick.at}"), 36)
    return 1_000 + digest % max(1, spread // 1_000_000 - 1_000)


def _schedules(function: Function | None) -> set[str]:
    return {trigger.cron for trigger in function.config.triggers if trigger.cron} if function is not None else set()
