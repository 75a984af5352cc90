"""Reading of path and query parameters of the REST APIs."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from holdfast.protocol.dates import parse_date
from holdfast.protocol.durations import MILLISECOND, DurationError, parse_duration
from holdfast.protocol.ids import is_ulid

#: What a column of SQLite holds in any case.
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_EPOCH: Final = re.compile(r"[0-9]{10}(?:[0-9]{3})?")  # seconds or milliseconds, from 2001 to 2286
_EPOCH_SECONDS: Final = 10
#: What people write besides the protocol's own layouts and ISO 8601; the month is first, as in the reference.
_LAYOUTS: Final = ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%b %d, %Y", "%b %d %Y", "%d %b %Y", "%B %d, %Y", "%d %B %Y")


def read_int(text: str) -> int | None:
    """Return a whole number of at most 18 digits; None for a text that is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def read_ulid(text: str) -> str | None:
    """Return a ULID in upper case, None for a text that is none."""
    return text.upper() if is_ulid(text) else None


def read_uuid(text: str) -> str | None:
    """Return a UUID in lower case, None for a text that is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def read_time(text: str) -> int | None:
    """A date in any common form, in UTC if it has no zone, as ms since the epoch; None for a text that is none."""
    if _EPOCH.fullmatch(text):
        return int(text) * (1_000 if len(text) == _EPOCH_SECONDS else 1)
    for read in (parse_date, _iso, _written):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def read_moment(text: str, now: int) -> int | None:
    """A date, or an age such as `7d` before `now` (ms), as ms since the epoch; None for a text that is neither."""
    with suppress(DurationError):
        return now - parse_duration(text) // MILLISECOND
    return read_time(text)


def _iso(text: str) -> int:
    return _ms(datetime.fromisoformat(text))


def _written(text: str) -> int:
    for layout in _LAYOUTS:
        with suppress(ValueError):
            return _ms(datetime.strptime(text, layout))  # noqa: DTZ007 - a zone is added below
    raise ValueError(text)


def _ms(at: datetime) -> int:
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
