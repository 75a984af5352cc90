"""Slowing down those who guess, in memory: one per period (GCRA), or at growing intervals."""

from __future__ import annotations

import ipaddress
from itertools import islice
from typing import TypeVar

from holdfast.server.clock import now_ms

_MOST_KEYS, _KEPT_KEYS = 10_000, 9_000
_SITE_BITS = 64

T = TypeVar("T")


def site(address: str) -> str:
    """Return the bucket of an address: the address itself, or its /64 network for IPv6."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address) or known.ipv4_mapped:
        return str(known)
    return str(ipaddress.ip_network((int(known) >> _SITE_BITS << _SITE_BITS, _SITE_BITS)))


class Throttle:
    """At most `burst` attempts at once for each key, and one more every `period_ms`."""

    def __init__(self, burst: int, period_ms: int) -> None:
        self._slack = (burst - 1) * period_ms
        self._period = period_ms
        self._due: dict[str, int] = {}  # when the attempts so far are paid for

    def wait_ms(self, key: str) -> int:
        """Return how long a key has to wait before its next attempt; 0: not at all."""
        return max(0, self._due.get(key, 0) - now_ms() - self._slack)

    def spend(self, key: str) -> None:
        """Count an attempt."""
        now = now_ms()
        if len(self._due) >= _MOST_KEYS:
            self._due = _newest({known: due for known, due in self._due.items() if due > now})
        self._due[key] = max(now, self._due.pop(key, 0)) + self._period  # behind those that were quiet for longer

    def refund(self, key: str) -> None:
        """Take an attempt back that was none: it succeeded."""
        if key in self._due:
            self._due[key] -= self._period


class Backoff:
    """`burst` attempts for each key, then waits that double from `first_ms` to `most_ms`; a success forgets them all.

    So does a time of quiet that is twice as long as the longest wait.
    """

    def __init__(self, burst: int, first_ms: int, most_ms: int) -> None:
        self._burst = burst
        self._first = first_ms
        self._most = most_ms
        self._tried: dict[str, tuple[int, int]] = {}  # how often; when last

    def wait_ms(self, key: str) -> int:
        """Return how long a key has to wait before its next attempt; 0: not at all."""
        count, last = self._of(key)
        if count < self._burst:
            return 0
        wait = min(self._most, self._first << min(count - self._burst, 32))
        return max(0, last + wait - now_ms())

    def spend(self, key: str) -> None:
        """Count an attempt."""
        if len(self._tried) >= _MOST_KEYS:
            self._tried = _newest(self._tried)
        count, _ = self._of(key)
        self._tried.pop(key, None)
        self._tried[key] = (count + 1, now_ms())

    def forget(self, key: str) -> None:
        """An attempt succeeded: the key begins anew."""
        self._tried.pop(key, None)

    def _of(self, key: str) -> tuple[int, int]:
        count, last = self._tried.get(key, (0, 0))
        return (count, last) if now_ms() - last < 2 * self._most else (0, 0)


def _newest(known: dict[str, T]) -> dict[str, T]:
    """Return what was last spent on: many are dropped at a time, since each look goes through all of them."""
    surplus = len(known) - _KEPT_KEYS
    return dict(islice(known.items(), surplus, None)) if surplus > 0 else known
