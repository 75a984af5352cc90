"""The addresses that a server listens on: `localhost` by both of its names, whether or not there is IPv6."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, closing

import pytest

from holdfast.server.config import Config
from holdfast.server.serve.run import PortError, listen, listen_to_workers


def addresses(host: str, port: int = 0, kind: str = "cloud") -> set[str]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(one)) for one in listen(Config(host=host, port=port, kind=kind))]
        assert len({one.getsockname()[1] for one in listeners}) == 1
        return {one.getsockname()[0] for one in listeners}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "both"),
    [(Config().host, {"0.0.0.0", "::"}), ("localhost", {"127.0.0.1", "::1"})],
    ids=["default", "localhost"],
)
def test_localhost_is_reached_by_ipv4_and_ipv6(host: str, both: set[str]) -> None:
    expected = both if has_ipv6() else {address for address in both if ":" not in address}
    assert addresses(host) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_address_is_that_one_alone(host: str) -> None:
    assert addresses(host) == {host}


@pytest.mark.parametrize("refusal", ["no such family", "no such address"])
def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch, refusal: str) -> None:
    class OnlyIPv4(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *args: int, **kwargs: int) -> None:
            if family == socket.AF_INET6 and refusal == "no such family":
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(socket.AF_INET if family == socket.AF_INET6 else family, *args, **kwargs)

        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            if ":" in address[0]:
                raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", OnlyIPv4)
    assert addresses(Config().host) == {"0.0.0.0"}
    assert addresses("localhost") == {"127.0.0.1"}


def test_a_port_that_is_taken_on_one_address_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"port {port} is in use"):
            addresses("localhost", port)
        with ExitStack() as stack:  # `dev` goes on to the next
            found = [stack.enter_context(one) for one in listen(Config(host="localhost", port=port, kind="dev"))]
            assert all(one.getsockname()[1] > port for one in found)


def test_the_gateway_leaves_the_ports_of_apps_alone() -> None:
    with closing(listen(Config(host="127.0.0.1", port=0))[0]) as api, ExitStack() as stack:
        port = api.getsockname()[1]
        urls = (f"http://localhost:{port + 1}/api/inngest", "http://localhost:nonsense")
        config = Config(host="127.0.0.1", sdk_urls=urls, kind="dev")
        gateway = [stack.enter_context(closing(one)) for one in listen_to_workers(config, port)]
        assert gateway[0].getsockname()[1] > port + 1
