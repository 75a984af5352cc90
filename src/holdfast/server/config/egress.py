"""Which hosts the server calls: denied networks and names, looked at once the name is resolved.

Apps, gateway steps and redirects name URLs. Addresses that answer for the machine itself or for its cloud account (the
metadata services of 169.254.169.254 and its kin) are denied by default in `start`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

NONE: Final = "none"
#: Groups of networks and names, by the word that stands for them.
GROUPS: Final = {
    "link-local": (
        "169.254.0.0/16", "fe80::/10",
        "fd00:ec2::254/128", "fd20:ce::254/128", "100.100.100.200/32", "168.63.129.16/32",  # metadata, elsewhere
        "metadata.google.internal", "metadata.goog",
    ),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    "loopback": ("127.0.0.0/8", "::1/128", "0.0.0.0/32", "::/128", "localhost"),
}  # fmt: skip
#: IPv6 addresses that stand for the IPv4 address in their last four bytes: a gateway translates them (RFC 6052).
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")


class DeniedError(Exception):
    """The policy denies a host; the text says which rule does."""


class Egress:
    """A policy of denied networks and names.

    Args:
        rules: Networks (`10.0.0.0/8`), addresses, names (`db.internal`, `*.internal` for all below one), and the words
            of `GROUPS`; `none` denies nothing.

    Raises:
        ValueError: A rule is none of these.

    """

    def __init__(self, rules: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._names: set[str] = set()
        for rule in rules:
            for part in GROUPS.get(rule, (rule,) if rule != NONE else ()):
                self._add(part)

    def _add(self, rule: str) -> None:
        network = _network(rule)
        if network is not None:
            self._networks.append(network)
        elif _is_name(rule):
            self._names.add(rule.lower().rstrip("."))
        else:
            raise ValueError(f"{rule!r} is not a network, address or name")

    def check_name(self, host: str) -> None:
        """Refuse a denied name, before it is looked up. Raises DeniedError."""
        if not self._names:
            return
        name = host.lower().rstrip(".")
        labels = name.split(".")
        below = ("*." + ".".join(labels[start:]) for start in range(1, len(labels)))
        denied = name if name in self._names else next((rule for rule in below if rule in self._names), None)
        if denied is not None:
            raise DeniedError(_TEXT.format(host=host, rule=denied))

    def allowed(self, host: str, addresses: list[tuple[Any, tuple[Any, ...]]]) -> list[tuple[Any, tuple[Any, ...]]]:
        """Return the addresses of a host (family, socket address) that may be called. Raises DeniedError if none."""
        if not self._networks:
            return addresses
        rules = [self._rule(address[1][0]) for address in addresses]
        kept = [address for address, rule in zip(addresses, rules, strict=True) if rule is None]
        if addresses and not kept:
            raise DeniedError(_TEXT.format(host=host, rule=rules[0]))
        return kept

    def _rule(self, text: str) -> Network | None:
        forms = _forms(text)
        return next((network for network in self._networks if any(form in network for form in forms)), None)


_TEXT: Final = "this server does not call {host}: denied by --egress-deny {rule}"


def check_rule(rule: str) -> None:
    """Raise ValueError unless a rule can be read."""
    Egress([rule])


def _network(rule: str) -> Network | None:
    try:
        return ipaddress.ip_network(rule)
    except ValueError:
        return None


def _is_name(rule: str) -> bool:
    labels = rule.removeprefix("*.").rstrip(".").split(".")
    return not labels[-1].isdigit() and all(
        label and all(letter.isalnum() or letter in "-_" for letter in label) for label in labels
    )


def _forms(text: str) -> list[Address]:
    """Return an address, and the IPv4 address that it stands for."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _TRANSLATED:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return [address, inner] if inner is not None else [address]
