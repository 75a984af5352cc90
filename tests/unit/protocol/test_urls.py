from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.urls import normalize_url, set_step_id, with_scheme


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://127.0.0.1:3000/api/inngest", "http://localhost:3000/api/inngest"),
        ("http://0.0.0.0:3000/x", "http://localhost:3000/x"),
        ("http://localhost:80/x", "http://localhost/x"),
        ("http://127.0.0.1:80/x", "http://localhost/x"),
        ("http://127.0.0.1/x", "http://127.0.0.1/x"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("https://example.com:80/x", "https://example.com:80/x"),
        ("ws://example.com:80/x", "ws://example.com/x"),
        ("wss://example.com:443/x", "wss://example.com/x"),
        ("http://u:p@127.0.0.1:3000/x", "http://u:p@localhost:3000/x"),
        ("http://[::1]:3000/x", "http://[::1]:3000/x"),
        ("http://h/x?deployId=1&b=2&probe=trust&a=1&b=1", "http://h/x?a=1&b=2&b=1"),
        ("http://h/x?deployId=1", "http://h/x"),
        ("http://h/x?a=%2F+%20&b", "http://h/x?a=%2F++&b="),
        ("http://h/x?a=1;b=2&c=3", "http://h/x?c=3"),
        ("http://h/x?fnId=a-b&stepId=step#top", "http://h/x?fnId=a-b&stepId=step#top"),
        ("", ""),
        ("http://h:port/x", "http://h:port/x"),
        ("http://[half/x", "http://[half/x"),
        ("http://h/%zz?deployId=1", "http://h/%zz?deployId=1"),
    ],
)
def test_normalising(url: str, normal: str) -> None:
    assert normalize_url(url) == normal
    assert normalize_url(normal) == normal


@given(st.text())
def test_any_text_can_be_normalised(text: str) -> None:
    normal = normalize_url(text)
    assert normalize_url(normal) == normal
    set_step_id(text, "step")
    with_scheme(text)


def test_scheme() -> None:
    assert with_scheme("localhost:3000/api") == "http://localhost:3000/api"
    assert with_scheme("https://example.com") == "https://example.com"
    assert with_scheme("wss://example.com") == "wss://example.com"


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("http://h/x?fnId=a-b&stepId=step", "http://h/x?fnId=a-b&stepId=3f4a"),
        ("http://h/x?stepId=step&fnId=a%20b&z=1&a=2", "http://h/x?a=2&fnId=a+b&stepId=3f4a&z=1"),
        ("http://h/x?stepId=1&stepId=2", "http://h/x?stepId=3f4a"),
        ("http://h/x", "http://h/x?stepId=3f4a"),
        ("http://h/x?z=1#top", "http://h/x?stepId=3f4a&z=1#top"),
        ("http://[half/x", "http://[half/x"),
    ],
)
def test_setting_the_step(url: str, called: str) -> None:
    assert set_step_id(url, "3f4a") == called


def test_a_step_id_is_escaped() -> None:
    assert set_step_id("http://h/x", "a&b c") == "http://h/x?stepId=a%26b+c"
