"""Durations and moments: what users write, and the texts that go over the wire."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from holdfast.sdk.errors import FunctionConfigInvalidError

#: Milliseconds, a timedelta, or a text such as `90s`, `1h30m` or `2w`.
Duration = int | dt.timedelta | str

_UNITS: Final = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_MILLISECONDS: Final = {**dict(_UNITS), "ms": 1}
_TEXT: Final = re.compile(r"(?:[0-9]+(?:ms|[wdhms]))+")
_TERM: Final = re.compile(r"([0-9]+)(ms|[wdhms])")


def to_milliseconds(duration: Duration) -> int:
    """Return a duration in milliseconds; raise FunctionConfigInvalidError for a text that is no duration."""
    if isinstance(duration, dt.timedelta):
        return int(duration.total_seconds() * 1000)
    if isinstance(duration, int):
        return duration
    if not _TEXT.fullmatch(duration):
        raise FunctionConfigInvalidError(f"invalid duration {duration!r}: write it as '30s', '1h30m' or '2d'")
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in _TERM.findall(duration))


def to_duration_str(duration: Duration) -> str:
    """Write a duration in the largest unit that divides it: `90s`, `2h`.

    Raise FunctionConfigInvalidError if it is shorter than a second, or no whole number of seconds.
    """
    milliseconds = to_milliseconds(duration)
    if milliseconds < 1000:
        raise FunctionConfigInvalidError("duration must be at least 1 second")
    for suffix, unit in _UNITS:
        if milliseconds % unit == 0:
            return f"{milliseconds // unit}{suffix}"
    raise FunctionConfigInvalidError("duration must be a whole number of seconds")


def to_wait_str(duration: Duration) -> str:
    """Write the timeout of a wait: like `to_duration_str`, but parts of a second count as a whole one."""
    return to_duration_str(max(1, -(-to_milliseconds(duration) // 1000)) * 1000)


def to_iso_utc(moment: dt.datetime) -> str:
    """Write a moment as UTC with milliseconds; a naive one is taken as local time."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def after(duration: Duration) -> dt.datetime:
    """Return the moment that lies a duration after now, in UTC."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=to_milliseconds(duration))
