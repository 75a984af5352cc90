from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol.cron import CronError, Schedule

MINUTE_MS = 60_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def iso(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def firings(cron: str, after: str, count: int) -> list[str | None]:
    schedule, at, found = Schedule.parse(cron), ms(after), []
    for _ in range(count):
        following = schedule.next(at)
        found.append(iso(following))
        if following is None:
            break
        at = following
    return found


@pytest.mark.parametrize(
    ("cron", "after", "next_at"),
    [
        ("* * * * *", "2026-03-01T10:00:00Z", "2026-03-01T10:01"),
        ("* * * * *", "2026-03-01T10:00:59.999Z", "2026-03-01T10:01"),
        ("* * * * *", "2026-03-01T09:59:59.999Z", "2026-03-01T10:00"),
        ("*/15 8-10 * * *", "2026-03-01T10:45:00Z", "2026-03-02T08:00"),
        ("5/20 * * * *", "2026-03-01T10:06:00Z", "2026-03-01T10:25"),
        ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00"),
        ("0 12 * jan-MAR mon,Wed", "2026-03-31T12:00:00Z", "2027-01-04T12:00"),
        ("0 0 ? * SUN", "2026-03-02T00:00:00Z", "2026-03-08T00:00"),
        ("+5 0 * * *", "2026-03-02T00:00:00Z", "2026-03-02T00:05"),
        ("  0   0 1 1 *  ", "2026-03-02T00:00:00Z", "2027-01-01T00:00"),
        ("CRON_TZ=America/New_York 0 9 * * *", "2026-01-10T00:00:00Z", "2026-01-10T14:00"),
        ("TZ=Asia/Kolkata 30 5 * * *", "2026-01-10T00:00:00Z", "2026-01-11T00:00"),
        ("TZ= 0 9 * * *", "2026-01-10T00:00:00Z", "2026-01-10T09:00"),
        ("TZ=Local 0 9 * * *", "2026-01-10T00:00:00Z", "2026-01-10T09:00"),
    ],
)
def test_next(cron: str, after: str, next_at: str) -> None:
    assert firings(cron, after, 1) == [next_at]


def test_two_restricted_day_fields_are_alternatives() -> None:
    # 2026-03-13 is a Friday.
    assert firings("0 0 1 * 5", "2026-02-27T01:00:00Z", 3) == [
        "2026-03-01T00:00",
        "2026-03-06T00:00",
        "2026-03-13T00:00",
    ]
    assert firings("0 0 13 * *", "2026-02-27T01:00:00Z", 2) == ["2026-03-13T00:00", "2026-04-13T00:00"]
    assert firings("0 0 13-14 * */1", "2026-02-27T01:00:00Z", 3)[2] == "2026-04-13T00:00"


def test_a_stepped_star_restricts() -> None:
    # Odd days or Mondays: 2026-03-02 is a Monday.
    assert firings("0 0 */2 * 1", "2026-03-01T00:00:00Z", 2) == ["2026-03-02T00:00", "2026-03-03T00:00"]


def test_what_never_matches() -> None:
    assert firings("0 0 30 2 *", "2026-03-01T00:00:00Z", 1) == [None]
    assert firings(", * * * *", "2026-03-01T00:00:00Z", 1) == [None]
    # 2100 is no leap year, and 2104 is beyond the horizon.
    assert firings("0 0 29 2 *", "2097-03-01T00:00:00Z", 1) == [None]
    assert Schedule.parse("* * * * *").next(10**16) is None


def test_a_time_that_the_clock_skips_is_left_out() -> None:
    cron = "TZ=Europe/Berlin 30 2 * * *"
    assert firings(cron, "2026-03-27T12:00:00Z", 2) == ["2026-03-28T01:30", "2026-03-30T00:30"]


def test_a_time_that_the_clock_shows_twice_fires_twice() -> None:
    cron = "TZ=Europe/Berlin 30 2 * * *"
    assert firings(cron, "2026-10-24T12:00:00Z", 3) == ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:30"]


def test_a_midnight_that_the_clock_skips() -> None:
    cron = "TZ=America/Sao_Paulo 0 0,1 * * *"
    assert firings(cron, "2018-11-03T12:00:00Z", 2) == ["2018-11-04T03:00", "2018-11-05T02:00"]


def test_a_date_that_the_zone_skips() -> None:
    assert firings("TZ=Pacific/Apia 0 12 30 12 *", "2011-01-01T00:00:00Z", 1) == ["2012-12-29T22:00"]


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "every minute",
        "x",
        "@hourly",
        "@every 1m",
        "*/5 * * * * *",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "-1 * * * *",
        "1_0 * * * *",
        "٣ * * * *",
        "99999999999999999999 * * * *",
        "TZ=Nowhere/Land * * * * *",
        "TZ=Europe * * * * *",
        "TZ=../etc/passwd * * * * *",
        "TZ=/etc/localtime * * * * *",
        "TZ=Europe/Paris",
        "TZ=Europe/Paris @daily",
        "TZ=\0 * * * * *",
    ],
)
def test_what_is_no_schedule(cron: str) -> None:
    with pytest.raises(CronError) as caught:
        Schedule.parse(cron)
    assert str(caught.value) == f"'{cron}' isn't a valid cron schedule"


@given(st.text(alphabet="*/,-?0123456789 TZ=@monJAN\0é", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(CronError):
        Schedule.parse(text).next(0)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    part = st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.tuples(st.one_of(st.just("*"), number.map(str), span), st.integers(1, high)).map(lambda p: f"{p[0]}/{p[1]}"),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
TURNS = [ms("2026-03-29T01:00Z"), ms("2026-10-25T01:00Z"), ms("2026-04-04T15:00Z"), ms("2018-11-04T03:00Z")]


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
    st.sampled_from(ZONES),
    st.sampled_from(TURNS),
    st.integers(-36 * 60, 12 * 60),
)
def test_as_a_scan_of_every_minute(fields: tuple[str, ...], zone: str, around: int, minutes: int) -> None:
    start = around + minutes * MINUTE_MS
    found = Schedule.parse(f"TZ={zone} {' '.join(fields)}").next(start)
    expected = scan(fields, zone, start, days=3)
    if expected is None:
        assert found is None or found > start + 3 * 24 * 60 * MINUTE_MS
    else:
        assert found == expected


def scan(fields: tuple[str, ...], zone: str, start: int, days: int) -> int | None:
    """The definition, tried minute by minute with a naive reading of the fields."""
    bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    allowed = [naive(text, *bound) for text, bound in zip(fields, bounds, strict=True)]
    starred = any(part in {"*", "*/1"} for text in (fields[2], fields[4]) for part in text.split(","))
    at = datetime.fromtimestamp(start // MINUTE_MS * 60, UTC)
    for _ in range(days * 24 * 60):
        at += timedelta(minutes=1)
        local = at.astimezone(ZoneInfo(zone))
        in_month, in_week = local.day in allowed[2], local.isoweekday() % 7 in allowed[4]
        day = (in_month and in_week) if starred else (in_month or in_week)
        if day and local.minute in allowed[0] and local.hour in allowed[1] and local.month in allowed[3]:
            return int(at.timestamp() * 1000)
    return None


def naive(text: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = map(int, span.split("-"))
        else:
            first, last = int(span), high if step else int(span)
        values |= {value for value in range(first, last + 1) if (value - first) % int(step or 1) == 0}
    return values
