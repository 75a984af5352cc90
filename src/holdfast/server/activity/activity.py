"""Who is told what happens, and how much of it: a burst is told by its numbers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from holdfast.server.activity import turns
from holdfast.server.activity.happening import ALWAYS, TROUBLE, Happening, What
from holdfast.server.engine.changes import Changes
from holdfast.server.engine.view import View

#: What is told in a second, one by one; of trouble, so much more.
MOST_A_SECOND: Final = 40
MOST_TROUBLE: Final = 20

log = structlog.get_logger(__name__)

Follower = Callable[[Happening], object]


class Activity:
    """Hands what happens to its followers, some of whom want only trouble and news of apps. Nobody follows: no cost."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now = now_ms
        self._all: list[Follower] = []
        self._some: list[Follower] = []
        self._second = 0
        self._told = 0
        self._trouble = 0
        self._folded: Counter[What] = Counter()

    def follow(self, follower: Follower, *, everything: bool) -> Callable[[], None]:
        """Return somebody from now on: everything, or only failed runs and apps. Answers what ends it."""
        followers = self._all if everything else self._some
        followers.append(follower)
        return lambda: followers.remove(follower)

    def turn(self, changes: Changes, view: View) -> None:
        """Tells of a committed turn."""
        if self._all:
            self._safely(turns.all_of(changes, view, self._now()))
        elif self._some and changes.ended:
            self._safely(turns.failed_runs(changes, view))

    def tell(self, happening: Happening) -> None:
        """Tells one thing."""
        if self._all or (self._some and happening.what in ALWAYS):
            self._safely([(happening.what, lambda: happening)])

    def _safely(self, told: Iterable[turns.Told]) -> None:
        """Tells; a defect in that keeps no turn from going on."""
        try:
            self._tell_each(told)
        except Exception as error:
            log.exception("activity could not be reported", error=repr(error))

    def _tell_each(self, told: Iterable[turns.Told]) -> None:
        self._begin()
        for what, make in told:
            if self._has_room(what):
                self._hand_out(make())
            else:
                self._fold(what)

    def _begin(self) -> None:
        """Look at the clock, once a turn: with a new second there is room again."""
        second = self._now() // 1_000
        if second != self._second:
            self._second, self._told, self._trouble = second, 0, 0

    def _has_room(self, what: What) -> bool:
        if self._told < MOST_A_SECOND:
            self._told += 1
            return True
        if what in TROUBLE and self._trouble < MOST_TROUBLE:
            self._trouble += 1
            return True
        return False

    def _hand_out(self, happening: Happening) -> None:
        for follower in list(self._all):
            follower(happening)
        if self._some and happening.what in ALWAYS:
            for follower in list(self._some):
                follower(happening)

    def _fold(self, what: What) -> None:
        if not self._folded:
            asyncio.get_running_loop().call_later(1.0, self._unfold)
        self._folded[what] += 1

    def _unfold(self) -> None:
        if not self._folded:
            return
        counts = {str(what): count for what, count in self._folded.items()}
        self._folded.clear()
        happening = Happening(what=What.FOLDED, time=self._now(), counts=counts)
        for follower in [*self._all, *self._some]:
            follower(happening)
