"""Date texts that SDKs send: `Retry-After`, sleeps until a date, CEL's `date()`.

Every layout that Go names is tried in the reference's order (`protocol/execution.md` §3.3, `flow-control.md` §3.4).
As in Go, a weekday's name is not checked against the date, an unknown zone abbreviation means UTC, and a text without
a year means year 0.
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.protocol.durations import ceil_ms, parse_duration
from holdfast.protocol.rfc3339 import (
    SECOND_MS,
    epoch_ms,
    format_rfc3339,
    has_finer_parts,
    offset_ms,
    parse_rfc3339,
)

__all__ = ["format_rfc3339", "parse_date", "parse_retry_after", "parse_rfc3339", "sleep_until"]

RETRY_AFTER_MIN_MS: Final = SECOND_MS
RETRY_AFTER_MAX_MS: Final = 24 * 3_600 * SECOND_MS

# Go takes at most this many characters for a number of seconds, the rest for a date.
_SECONDS_LENGTH: Final = 7
# A sleep's text may be a date from the length of "2026-01-02" on.
_DATE_LENGTH: Final = 10

_SHORT_YEAR_LENGTH: Final = 2
_FIRST_YEAR_OF_1900: Final = 69

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_PARTS: Final = {
    "WEEKDAY": r"(?:sunday|monday|tuesday|wednesday|thursday|friday|saturday)",
    "WDAY": r"(?:sun|mon|tue|wed|thu|fri|sat)",
    "MONTH": rf"(?P<month>{'|'.join(_MONTHS)})",
    "YYYY": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<year>[0-9]{2})",
    "MM": r"(?P<month>[0-9]{2})",
    "DD": r"(?P<day>[0-9]{2})",
    "_D": r" ?(?P<day>[0-9]{1,2})",
    "CLOCK": r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?",
    "HHMM": r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})",
    "OFFSET": r"(?P<offset>[+-][0-9]{4})",
    "ZONE": r"(?-i:GMT(?P<gmt>[+-][0-9]{1,2})|[A-Z]{3,5}|[+-][0-9]{2})",
}
_LAYOUTS: Final = (
    "YYYY-MM-DDTCLOCK",
    "WDAY, DD MONTH YYYY CLOCK ZONE",  # RFC 1123
    "DD MONTH YY HHMM ZONE",  # RFC 822
    "DD MONTH YY HHMM OFFSET",
    "WEEKDAY, DD-MONTH-YY CLOCK ZONE",  # RFC 850
    "WDAY MONTH DD CLOCK OFFSET YYYY",  # Ruby
    "WDAY MONTH _D CLOCK ZONE YYYY",  # Unix
    "WDAY MONTH _D CLOCK YYYY",  # ANSI C
    "MONTH _D CLOCK",
    "YYYY-MM-DD",
    "YYYY-MM-DD CLOCK OFFSET ZONE",  # Go's default text
)


def _compile(layout: str) -> re.Pattern[str]:
    names = "|".join(sorted(_PARTS, key=len, reverse=True))
    body = re.sub(names, lambda match: _PARTS[match[0]], layout.replace(" ", " +"))
    return re.compile(body, re.IGNORECASE | re.ASCII)


_PATTERNS: Final = tuple(map(_compile, _LAYOUTS))


def parse_date(text: str) -> int:
    """Read a date in any of the layouts above, RFC 3339 first; a text without a zone is in UTC.

    Answers milliseconds since the epoch; raises ValueError if no layout fits.
    """
    try:
        return parse_rfc3339(text)
    except ValueError:
        pass
    for pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is not None:
            return _read(match.groupdict())
    raise ValueError(f"unknown date format: {text}")


def parse_retry_after(text: str, now_ms: int) -> int | None:
    """Read a `Retry-After` header: seconds (up to 7 characters) or a date (`protocol/execution.md` §3.3).

    Return absolute milliseconds between 1 s and 24 h after now, never before the moment that was asked for (the
    reference cuts it to a whole second); None if it can't be read.
    """
    at = _seconds_after(text, now_ms)
    if at is None:
        try:
            at = _not_before(text)
        except ValueError:
            return None
    return min(max(at, now_ms + RETRY_AFTER_MIN_MS), now_ms + RETRY_AFTER_MAX_MS)


def sleep_until(text: str, now_ms: int) -> int:
    """Read when a sleep ends, from the op's duration or name (`protocol/execution.md` §4.3, Sleep).

    A date has at least 10 characters; anything else is an extended duration, nothing means at once. Return absolute
    milliseconds, neither before now nor before the moment that was asked for. Raise DurationError if it can't be read.
    """
    if not text:
        return now_ms
    try:
        at = _not_before(text) if len(text) >= _DATE_LENGTH else None
    except ValueError:
        at = None
    if at is None:
        at = now_ms + ceil_ms(parse_duration(text))
    return max(at, now_ms)


def _read(parts: dict[str, str | None]) -> int:
    month = parts["month"] or ""
    at = epoch_ms(
        _year(parts.get("year")),
        _MONTHS.get(month.lower()) or int(month),
        int(parts["day"] or 0),
        int(parts.get("hour") or 0),
        int(parts.get("minute") or 0),
        int(parts.get("second") or 0),
        parts.get("fraction"),
    )
    if gmt := parts.get("gmt"):
        return at - int(gmt) * 3_600 * SECOND_MS
    return at - offset_ms(parts.get("offset") or "Z")


def _year(text: str | None) -> int:
    if text is None:
        return 0
    year = int(text)
    if len(text) > _SHORT_YEAR_LENGTH:
        return year
    return year + (1900 if year >= _FIRST_YEAR_OF_1900 else 2000)


def _seconds_after(text: str, now_ms: int) -> int | None:
    if len(text) > _SECONDS_LENGTH or re.fullmatch(r"[+-]?[0-9]+", text) is None:
        return None
    return now_ms + int(text) * SECOND_MS


def _not_before(text: str) -> int:
    """Read a date; parts below a millisecond count as a whole one."""
    return parse_date(text) + has_finer_parts(text)
