from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.durations import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    WEEK,
    DurationError,
    format_go_duration,
    parse_duration,
    parse_go_duration,
    parse_timeout,
)

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1w2d", WEEK + 2 * DAY),
        ("1h30m", HOUR + 30 * MINUTE),
        ("30m1h", HOUR + 30 * MINUTE),
        ("1.5h", 90 * MINUTE),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("1ms2us3µs4μs5ns", 1_009_005),
        ("0", 0),
        ("-0", 0),
        ("+5s", 5 * SECOND),
        ("-1.5h", -90 * MINUTE),
        ("00000000000000000000000001s", SECOND),
        ("0.00000000000000000000000000001s", 0),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("soon", 'time: invalid duration "soon"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("1", 'time: missing unit in duration "1"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("3x", 'time: unknown unit "x" in duration "3x"'),
        ("1 h", 'time: unknown unit " h" in duration "1 h"'),
        ("1H", 'time: unknown unit "H" in duration "1H"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("20000w", 'time: invalid duration "20000w"'),
        ("1" * 500 + "s", f'time: invalid duration "{"1" * 500}s"'),
        ("1h" * 1_000_000, f'time: invalid duration "{"1h" * 50}..."'),
        ("é" * 1_000_000, 'time: invalid duration "' + r"\xc3\xa9" * 100 + '..."'),
        ('a"\\é', 'time: invalid duration "a\\"\\\\\\xc3\\xa9"'),
        ("٣s", 'time: invalid duration "\\xd9\\xa3s"'),
    ],
)
def test_what_is_no_duration(text: str, message: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert str(caught.value) == message


def test_a_duration_of_many_terms() -> None:
    assert parse_duration("1ns" * 300) == 300
    assert parse_duration("-" + "1ns" * 300) == -300


def test_plain_go_knows_neither_days_nor_weeks() -> None:
    assert parse_go_duration("24h") == DAY
    with pytest.raises(DurationError, match='unknown unit "d" in duration "1d"'):
        parse_go_duration("1d")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (10_000_000, "10ms"),
        (SECOND, "1s"),
        (1_500_000_000, "1.5s"),
        (MINUTE, "1m0s"),
        (5 * MINUTE, "5m0s"),
        (DAY, "24h0m0s"),
        (WEEK, "168h0m0s"),
        (HOUR + SECOND + 1, "1h0m1.000000001s"),
        (-MINUTE, "-1m0s"),
    ],
)
def test_go_form(ns: int, text: str) -> None:
    assert format_go_duration(ns) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_go_form_is_read_back(ns: int) -> None:
    assert parse_duration(format_go_duration(ns)) == ns


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(DurationError):
        assert -(2**63) <= parse_duration(text) < 2**63


def test_timeouts_are_durations_or_times() -> None:
    assert parse_timeout("1d", NOW) == NOW + 86_400_000
    assert parse_timeout("-5s", NOW) == NOW - 5_000
    assert parse_timeout("2023-11-14T22:13:21.5Z", NOW) == NOW + 1_500
    assert parse_timeout("2023-11-14T22:13:21.5000001Z", NOW) == NOW + 1_501
    assert parse_timeout("0.1ms", NOW) == NOW + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", 'invalid duration "soon"'),
        ("", 'invalid duration ""'),
        ("2023-11-14", 'invalid duration "2023-11-14"'),
        ("2023-11-14T", 'invalid RFC 3339 timestamp "2023-11-14T"'),
        ("2023-02-30T00:00:00Z", 'invalid RFC 3339 timestamp "2023-02-30T00:00:00Z"'),
    ],
)
def test_timeouts_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_timeout(text, NOW)
    assert str(caught.value) == message
