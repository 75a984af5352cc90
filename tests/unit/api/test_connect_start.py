from __future__ import annotations

import pytest

from holdfast.server.api.connect import _host, encode_strings


def test_strings_are_encoded_as_protobuf_does() -> None:
    assert encode_strings(("ab", "", "c" * 300)) == b"\x0a\x02ab\x1a\xac\x02" + b"c" * 300


@pytest.mark.parametrize(
    ("header", "host"), [("localhost:8288", "localhost"), ("10.0.0.1", "10.0.0.1"), ("[::1]:8288", "[::1]")]
)
def test_the_gateway_is_on_the_host_that_was_asked(header: str, host: str) -> None:
    assert _host(header) == host
