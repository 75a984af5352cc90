"""Cron schedules in the five-field dialect of robfig/cron v3 (`protocol/flow-control.md` §1.5).

Minute, hour, day of month, month, day of week; lists, ranges, steps (`N/step` runs to the field's end), `?` as `*`,
names of months and weekdays, and a zone in front (`TZ=Europe/Paris 0 9 * * 1-5`; UTC without one). When both day fields
are restricted, either may match; `*/2` counts as restricted.

A schedule fires at each instant whose local clock reads a matching minute. So a time that the clock skips in spring is
left out that day, and a time that it shows twice in autumn fires twice.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

HORIZON_YEARS: Final = 5

_MINUTE_MS: Final = 60_000
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ZONE: Final = re.compile(r"(?:CRON_)?TZ=([^ ]*) (.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"\+?[0-9]{1,9}")
_MONTHS: Final = {
    name: n
    for n, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_WEEKDAYS: Final = {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_BOUNDS: Final[tuple[tuple[int, int, dict[str, int]], ...]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _WEEKDAYS),
)


class CronError(ValueError):
    """A text that is no schedule; the message is the one that registrations show."""


class Schedule(Struct, frozen=True):
    """A parsed schedule: the sorted values of each field. `either_day` is the rule of two restricted day fields."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    zone: tzinfo

    @staticmethod
    def parse(text: str) -> Schedule:
        """Read a schedule; raises CronError, also for `@hourly` and its like and for six fields."""
        try:
            return _parse(text)
        except (ValueError, OSError, KeyError):
            # KeyError: the zone is unknown; OSError: its name is a directory of the zone database.
            raise CronError(f"'{text}' isn't a valid cron schedule") from None

    def next(self, after_ms: int) -> int | None:
        """Return the first firing after a time, both in milliseconds; None if there is none within five years."""
        try:
            # The next whole minute is the first that can fire.
            first = _EPOCH + _MINUTE * (after_ms // _MINUTE_MS + 1)
            local = first.astimezone(self.zone)
            for day in self._days_from(local.date()):
                found = self._first_in(day, first)
                if found is not None:
                    return (found - _EPOCH) // _MINUTE * _MINUTE_MS
        except OverflowError:  # the calendar's end
            return None
        return None

    def _days_from(self, start: date) -> Iterator[date]:
        for year in range(start.year, min(start.year + HORIZON_YEARS, date.max.year) + 1):
            for month in sorted(self.months):
                if (year, month) < (start.year, start.month):
                    continue
                day = max(date(year, month, 1), start)
                while day.month == month:
                    if self._matches(day):
                        yield day
                    day += _DAY

    def _matches(self, day: date) -> bool:
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week

    def _first_in(self, day: date, first: datetime) -> datetime | None:
        start, end = self._midnight(day), self._midnight(day + _DAY)
        if end <= first:
            return None
        if end - start != _DAY:
            return self._scan(day, max(start, first), end)
        # The clock runs evenly all day, so that fields can be looked up instead of tried.
        offset = max(0, (first - start) // _MINUTE)
        for hour in self.hours[bisect_left(self.hours, offset // 60) :]:
            earliest = offset % 60 if hour == offset // 60 else 0
            at = bisect_left(self.minutes, earliest)
            if at < len(self.minutes):
                return start + _MINUTE * (hour * 60 + self.minutes[at])
        return None

    def _scan(self, day: date, instant: datetime, end: datetime) -> datetime | None:
        while instant < end:
            local = instant.astimezone(self.zone)
            if local.minute in self.minutes and local.hour in self.hours and local.date() == day:
                return instant
            instant += _MINUTE
        return None

    def _midnight(self, day: date) -> datetime:
        # In a gap this is the first instant after it, in a repeated hour the earlier of the two.
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)


def _parse(text: str) -> Schedule:
    zone, rest = _split_zone(text)
    fields = rest.split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"expected {len(_BOUNDS)} fields")
    parsed = [_field(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)]
    (minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday) = parsed
    return Schedule(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=weekdays,
        either_day=not (any_day or any_weekday),
        zone=zone,
    )


def _split_zone(text: str) -> tuple[tzinfo, str]:
    if not text.startswith(("TZ=", "CRON_TZ=")):
        return UTC, text
    match = _ZONE.match(text)
    if match is None:
        raise ValueError("a zone without fields")
    # The reference's own local zone is always UTC.
    return (UTC if match[1] in {"", "UTC", "Local"} else ZoneInfo(match[1])), match[2]


def _field(text: str, low: int, high: int, names: dict[str, int]) -> tuple[frozenset[int], bool]:
    values: set[int] = set()
    unrestricted = False
    for part in filter(None, text.split(",")):
        part_values, star = _range(part, low, high, names)
        values.update(part_values)
        unrestricted |= star
    return frozenset(values), unrestricted


def _range(text: str, low: int, high: int, names: dict[str, int]) -> tuple[range, bool]:
    span, slash, step_text = text.partition("/")
    first, hyphen, last = span.partition("-")
    star = first in {"*", "?"}
    if star:
        start, end = low, high
    else:
        start = _value(first, names)
        end = _value(last, names) if hyphen else high if slash else start
    step = _value(step_text, {}) if slash else 1
    if not low <= start <= end <= high or step == 0:
        raise ValueError(f"out of bounds: {text}")
    return range(start, end + 1, step), star and step == 1


def _value(text: str, names: dict[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"not a number: {text}")
    return int(text)
