"""RFC 3339 times: the one form the protocol both reads and writes, and the calendar arithmetic under every date."""

from __future__ import annotations

import re
from datetime import date, time
from functools import lru_cache
from typing import Final

SECOND_MS: Final = 1_000
DAY_S: Final = 86_400

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
# Four centuries are a whole number of days, and the calendar repeats after them.
_CYCLE_YEARS: Final = 400
_CYCLE_DAYS: Final = 146_097
_MAX_OFFSET_HOURS: Final = 24
_SECONDS: Final = 1_000
_FINER: Final = re.compile(r":[0-9]{2}[.,][0-9]{3}[0-9]*[1-9]")
_PATTERN: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def parse_rfc3339(text: str) -> int:
    """Read `2026-01-02T03:04:05.678Z` or `…+02:00`; answers milliseconds since the epoch, finer parts cut off.

    Raises ValueError if the text is anything else.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    return epoch_ms(year, month, day, hour, minute, second, match[7]) - offset_ms(match[8])


def has_finer_parts(text: str) -> bool:
    """Return whether a time has parts below a millisecond, which the readers here cut off."""
    return _FINER.search(text) is not None


def format_rfc3339(ms: int, fraction: bool) -> str:
    """Write milliseconds since the epoch in UTC: `2026-01-02T03:04:05Z`; years 0000 to 9999.

    With `fraction`, milliseconds are written too, without trailing zeros and only if there are any.
    """
    seconds, millis = divmod(ms, SECOND_MS)
    text = _second(seconds)
    return f"{text}.{millis:03d}".rstrip("0") + "Z" if fraction and millis else f"{text}Z"


@lru_cache(_SECONDS)
def _second(seconds: int) -> str:
    """Return a time up to its second. Lists and traces write many that are close together."""
    days, clock = divmod(seconds, DAY_S)
    shift = _CYCLE_YEARS if days < 0 else 0
    day = date.fromordinal(days + _EPOCH_DAY + (_CYCLE_DAYS if shift else 0))
    hour, rest = divmod(clock, 3_600)
    return f"{day.year - shift:04d}-{day.month:02d}-{day.day:02d}T{hour:02d}:{rest // 60:02d}:{rest % 60:02d}"


def epoch_ms(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, fraction: str | None = None
) -> int:
    """Milliseconds since the epoch of a UTC reading; `fraction` holds the digits after the second.

    Raises ValueError if a part is out of its range.
    """
    time(hour, minute, second)  # checks the ranges
    # Python's calendar starts at year 1; a text without a year means Go's year 0.
    shift = _CYCLE_YEARS if year < 1 else 0
    days = date(year + shift, month, day).toordinal() - _EPOCH_DAY - (_CYCLE_DAYS if shift else 0)
    seconds = days * DAY_S + hour * 3_600 + minute * 60 + second
    return seconds * SECOND_MS + int(f"{fraction or '':0<3.3}")


def offset_ms(zone: str) -> int:
    """Milliseconds east of UTC of `Z`, `±hh:mm` or `±hhmm`; ValueError if a part is out of its range."""
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > _MAX_OFFSET_HOURS or minutes >= 60:
        raise ValueError("time zone offset out of range")
    size = (hours * 60 + minutes) * 60 * SECOND_MS
    return -size if zone[0] == "-" else size
