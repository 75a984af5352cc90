from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.dates import format_rfc3339, parse_date, parse_retry_after, sleep_until
from holdfast.protocol.durations import DurationError

NOW = 1_700_000_000_250  # 2023-11-14T22:13:20.250Z
SECOND_OF_NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "rfc3339"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.678999Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05+02:30", "2026-01-02T00:34:05Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.25", "2026-01-02T03:04:05.25Z"),
        ("Mon, 02 Jan 2006 15:04:05 GMT", "2006-01-02T15:04:05Z"),
        ("Fri, 02 Jan 2006 15:04:05 MST", "2006-01-02T15:04:05Z"),
        ("Mon, 02 Jan 2006 15:04:05 GMT+3", "2006-01-02T12:04:05Z"),
        ("02 Jan 06 15:04 UTC", "2006-01-02T15:04:00Z"),
        ("02 Jan 06 15:04 -0700", "2006-01-02T22:04:00Z"),
        ("Monday, 02-Jan-70 15:04:05 UTC", "1970-01-02T15:04:05Z"),
        ("Mon Jan 02 15:04:05 -0700 2006", "2006-01-02T22:04:05Z"),
        ("Mon Jan  2 15:04:05 MST 2006", "2006-01-02T15:04:05Z"),
        ("Mon Jan 12 15:04:05 2006", "2006-01-12T15:04:05Z"),
        ("Jan  2 15:04:05", "0000-01-02T15:04:05Z"),
        ("Feb 29 15:04:05.123", "0000-02-29T15:04:05.123Z"),
        ("2026-01-02", "2026-01-02T00:00:00Z"),
        ("2026-01-02 03:04:05.5 +0200 CEST", "2026-01-02T01:04:05.5Z"),
        ("mon, 02 JAN 2006 15:04:05 GMT", "2006-01-02T15:04:05Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_layouts(text: str, rfc3339: str) -> None:
    assert format_rfc3339(parse_date(text), fraction=True) == rfc3339


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-02-30",
        "2026-13-01",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:00Z",
        "2026-01-02T03:04:05+25:00",
        "2026-1-2",
        "٢٠٢٦-01-02",
        "2026-01-02\n",
        "Xxx, 02 Jan 2006 15:04:05 GMT",
    ],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        parse_date(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_rfc3339_is_what_the_standard_library_says(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_date(moment.isoformat()) == ms
    assert parse_date(format_rfc3339(ms, fraction=True)) == ms
    assert format_rfc3339(ms, fraction=False) == moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_date, lambda text: parse_retry_after(text, NOW), lambda text: sleep_until(text, NOW)):
        try:
            read(text)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("header", "at"),
    [
        ("2", NOW + 2_000),
        ("0", NOW + 1_000),
        ("-5", NOW + 1_000),
        ("9999999", NOW + 86_400_000),
        ("2023-11-14T22:14:20.900Z", SECOND_OF_NOW + 60_900),
        ("2023-11-14T22:14:20.9001Z", SECOND_OF_NOW + 60_901),
        ("2020-01-01T00:00:00Z", NOW + 1_000),
        ("2033-01-01", NOW + 86_400_000),
        ("Tue, 14 Nov 2023 23:13:20 GMT", SECOND_OF_NOW + 3_600_000),
        ("10000000", None),
        ("", None),
        ("1.5", None),
        ("later", None),
    ],
)
def test_retry_after(header: str, at: int | None) -> None:
    assert parse_retry_after(header, NOW) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", NOW),
        ("10s", NOW + 10_000),
        ("1d12h", NOW + 36 * 3_600_000),
        ("-1h", NOW),
        ("2023-11-14T22:13:22.000Z", SECOND_OF_NOW + 2_000),
        ("2023-11-14T22:13:22.800Z", SECOND_OF_NOW + 2_800),
        ("2023-11-14T22:13:22.800001+00:00", SECOND_OF_NOW + 2_801),
        ("2023-11-14T22:13:20.400Z", SECOND_OF_NOW + 400),
        ("2023-11-15", SECOND_OF_NOW + 6_400_000),
        ("2020-01-01T00:00:00Z", NOW),
        ("0h0m0.0000000001s", NOW),
        ("1.5ms", NOW + 2),
    ],
)
def test_sleeps(text: str, at: int) -> None:
    assert sleep_until(text, NOW) == at


def test_a_sleep_that_cannot_be_read() -> None:
    with pytest.raises(DurationError, match='time: invalid duration "next week"'):
        sleep_until("next week", NOW)
