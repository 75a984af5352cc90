"""Which peers are proxies whose headers count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network


def trusting(proxies: Sequence[str]) -> Callable[[str], bool]:
    """Return a check of an address against addresses and networks; `*` stands for any."""
    if "*" in proxies:
        return lambda _address: True
    networks = [ip_network(text) for text in proxies]

    def trusted(address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in networks)

    return trusted
