"""What the server does not call: networks and names, in every form that an address can have."""

from __future__ import annotations

import socket

import pytest

from holdfast.server.config import Config
from holdfast.server.config.egress import DeniedError, Egress


def addresses(*texts: str) -> list[tuple[int, tuple[str, int]]]:
    return [(socket.AF_INET6 if ":" in text else socket.AF_INET, (text, 80)) for text in texts]


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
    ],
)  # fmt: skip
def test_metadata_services_are_denied_in_all_their_forms(address: str) -> None:
    with pytest.raises(DeniedError, match=r"does not call db\.example: denied by --egress-deny"):
        Egress(["link-local"]).allowed("db.example", addresses(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "8.8.8.8", "::1", "2001:db8::1", "169.253.255.255"])
def test_others_are_not(address: str) -> None:
    assert Egress(["link-local"]).allowed("app", addresses(address)) == addresses(address)


def test_of_several_addresses_the_denied_ones_are_left_out() -> None:
    found = Egress(["private"]).allowed("app", addresses("10.0.0.1", "8.8.8.8", "fd00::1"))
    assert found == addresses("8.8.8.8")


@pytest.mark.parametrize(
    ("rule", "host"),
    [("db.internal", "DB.internal."), ("*.internal", "a.b.internal"), ("link-local", "metadata.google.internal")],
)
def test_names(rule: str, host: str) -> None:
    with pytest.raises(DeniedError):
        Egress([rule]).check_name(host)


@pytest.mark.parametrize(("rule", "host"), [("*.internal", "internal"), ("db.internal", "a.db.internal")])
def test_names_that_no_rule_is_for(rule: str, host: str) -> None:
    Egress([rule]).check_name(host)


@pytest.mark.parametrize("rule", ["", "10.0.0.0/40", "10.0.0.1/8", "a b", "300.1.1.1", "*", "http://x", "a..b"])
def test_what_is_no_rule(rule: str) -> None:
    with pytest.raises(ValueError, match="is not a network, address or name"):
        Egress([rule])


def test_start_denies_metadata_services_and_dev_nothing() -> None:
    assert Config(kind="cloud").egress == ("link-local",)
    assert Config(kind="dev").egress == ()
    assert Config(kind="cloud", egress_deny=("none",)).egress == ("none",)
    assert Egress(["none"]).allowed("app", addresses("169.254.169.254")) == addresses("169.254.169.254")
