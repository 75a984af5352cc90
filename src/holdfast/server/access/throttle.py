"""Slowing down those who guess: so many attempts at once, then one per period (GCRA, in memory)."""

from __future__ import annotations

import ipaddress
from itertools import islice

from holdfast.server.access.records import now_ms

_MOST_KEYS, _KEPT_KEYS = 10_000, 9_000
_SITE_BITS = 64


def site(address: str) -> str:
    """Where an address is from: of IPv6 the network of 64 bits, since who has one address has them all."""
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
        """How long a key has to wait before its next attempt; 0: not at all."""
        return max(0, self._due.get(key, 0) - now_ms() - self._slack)

    def spend(self, key: str) -> None:
        """Counts an attempt."""
        now = now_ms()
        if len(self._due) >= _MOST_KEYS:
            self._due = {known: due for known, due in self._due.items() if due > now}
            if len(self._due) > _KEPT_KEYS:  # many at a time: each look goes through all of them
                self._due = dict(islice(self._due.items(), len(self._due) - _KEPT_KEYS, None))
        self._due[key] = max(now, self._due.pop(key, 0)) + self._period  # behind those that were quiet for longer

    def refund(self, key: str) -> None:
        """Takes an attempt back that was none: it succeeded."""
        if key in self._due:
            self._due[key] -= self._period
