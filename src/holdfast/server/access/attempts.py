"""Attempts to log in: who guesses is slowed down, and keeps nobody else out.

Bounds hold for a name at an address, for an address, and for a name at addresses that it never logged in from. A place
that a user has logged in from has a bound of its own, which strangers elsewhere can't use up.
"""

from __future__ import annotations

from holdfast.server.access.sessions import Sessions
from holdfast.server.access.throttle import Backoff, Throttle, site
from holdfast.server.model.account import User


class Attempts:
    """All attempts of late, in memory."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.by_pair = Backoff(10, 1_000, 15 * 60_000)
        self.by_address = Throttle(30, 5_000)
        self.by_name = Throttle(100, 10_000)
        self.by_known_place = Throttle(20, 1_000)

    def begin(self, name: str, address: str, user: User | None) -> Attempt:
        """Return an attempt of somebody at an address to log in under a name; `user` is who is called so."""
        origin, name = site(address), name.casefold()[:128]
        known = user is not None and origin in self._sessions.places(user.id)
        return Attempt(self, f"{origin} {name}", origin, name, known=known)


class Attempt:
    """One attempt: what it has to wait for, and what it is counted by."""

    def __init__(self, all: Attempts, pair: str, origin: str, name: str, *, known: bool) -> None:
        self._all = all
        self._pair = pair
        self._throttles = (
            ((all.by_known_place, pair),) if known else ((all.by_address, origin), (all.by_name, name))
        )  # fmt: skip
        self._known = known

    def wait_ms(self) -> int:
        """How long it has to wait; 0: not at all."""
        backoff = 0 if self._known else self._all.by_pair.wait_ms(self._pair)
        return max(backoff, *(throttle.wait_ms(key) for throttle, key in self._throttles))

    def spend(self) -> None:
        """Count it, before it is known how it ends."""
        if not self._known:
            self._all.by_pair.spend(self._pair)
        for throttle, key in self._throttles:
            throttle.spend(key)

    def succeed(self) -> None:
        """It was the right password: no guess."""
        self._all.by_pair.forget(self._pair)
        for throttle, key in self._throttles:
            throttle.refund(key)
