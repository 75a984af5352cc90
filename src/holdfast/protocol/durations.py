"""Duration texts of the protocol: reading the two dialects, writing Go's form.

*Extended* durations (flow control, sleeps, timeouts) know weeks and days; *plain Go* ones (the batch timeout) do not.
Both are integers of nanoseconds with Go's bounds and error texts (`protocol/flow-control.md` §0.2).
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.protocol.limits import MAX_DURATION_TEXT
from holdfast.protocol.rfc3339 import has_finer_parts, parse_rfc3339

MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

_MAX: Final = 2**63 - 1
_MAX_DIGITS: Final = len(str(_MAX))
_SHOWN: Final = 100  # characters of a text that is too long
_GO_UNITS: Final = {
    "ns": 1,
    "us": MICROSECOND,
    "µs": MICROSECOND,  # U+00B5, the micro sign
    "μs": MICROSECOND,  # U+03BC, the Greek letter: Go reads both
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_EXTENDED_UNITS: Final = {**_GO_UNITS, "d": DAY, "w": WEEK}
_TERM: Final = re.compile(r"([0-9]*)(\.[0-9]*)?([^.0-9]*)")


class DurationError(ValueError):
    """A text that is no duration; its message is the one clients see."""


def parse_duration(text: str) -> int:
    """Read an extended duration such as `1w2d`, `1.5h` or `90s`; answers nanoseconds, negative after a `-`.

    Raises DurationError with `time: invalid duration "<text>"` or Go's texts for a missing or an unknown unit.
    """
    return _parse(text, _EXTENDED_UNITS)


def parse_go_duration(text: str) -> int:
    """Read a plain Go duration: like `parse_duration`, but `d` and `w` are unknown units."""
    return _parse(text, _GO_UNITS)


def parse_timeout(text: str, now_ms: int) -> int:
    """Read the end of a wait: an extended duration from now, else an RFC 3339 time (`flow-control.md` §0.2).

    Return absolute milliseconds since the epoch, which may lie in the past; parts below a millisecond count as a whole
    one. Raise DurationError with `invalid duration "<text>"`, or `invalid RFC 3339 timestamp "<text>"` for a text with
    a `T`.
    """
    try:
        return now_ms + ceil_ms(parse_duration(text))
    except DurationError:
        pass
    try:
        return parse_rfc3339(text) + has_finer_parts(text)
    except ValueError:
        kind = "RFC 3339 timestamp" if "T" in text else "duration"
        raise DurationError(f"invalid {kind} {quoted(text)}") from None


def ceil_ms(ns: int) -> int:
    """Return the milliseconds of a duration, rounded up: what waits for them must not go on early."""
    return -(-ns // MILLISECOND)


def format_go_duration(ns: int) -> str:
    """Write nanoseconds as Go does: `24h0m0s`, `1m0s`, `1.5s`, `10ms`, `0s`."""
    if ns < 0:
        return "-" + format_go_duration(-ns)
    if ns < SECOND:
        return _format_below_second(ns)
    hours, rest = divmod(ns, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = _decimal(rest, SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def quoted(text: str) -> str:
    r"""Quote a text as Go's ``time`` package does in its errors: ASCII stays, other bytes become `\\x..`.

    A text that is too long for a duration is cut, so that an error about it stays short.
    """
    shown = text if len(text) <= MAX_DURATION_TEXT else text[:_SHOWN] + "..."
    out = ['"']
    for char in shown:
        if char in '"\\':
            out.append("\\" + char)
        elif " " <= char < "\x7f":
            out.append(char)
        else:
            out.extend(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return "".join([*out, '"'])


def _parse(text: str, units: dict[str, int]) -> int:
    negative = text.startswith("-")
    at = 1 if text[:1] in {"-", "+"} else 0
    if text[at:] == "0":
        return 0
    if not at < len(text) <= MAX_DURATION_TEXT:
        raise _invalid(text)
    total = 0
    while at < len(text):
        value, at = _term(text, at, units)
        total += value
        # Go counts in 64 bits and lets only the negative side reach 2**63.
        if total > _MAX + negative:
            raise _invalid(text)
    return -total if negative else total


def _term(text: str, at: int, units: dict[str, int]) -> tuple[int, int]:
    match = _TERM.match(text, at)
    assert match is not None  # every part of the pattern is optional
    whole, fraction, unit = match[1], (match[2] or "")[1:], match[3]
    if not whole and not fraction:
        raise _invalid(text)
    if not unit:
        raise DurationError(f"time: missing unit in duration {quoted(text)}")
    if unit not in units:
        raise DurationError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
    scale = units[unit]
    whole = whole.lstrip("0")
    if len(whole) > _MAX_DIGITS:
        raise _invalid(text)
    # No unit is long enough for more digits of a fraction to matter.
    fraction = fraction[:_MAX_DIGITS]
    return int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction), match.end()


def _invalid(text: str) -> DurationError:
    return DurationError(f"time: invalid duration {quoted(text)}")


def _format_below_second(ns: int) -> str:
    if ns == 0:
        return "0s"
    if ns < MICROSECOND:
        return f"{ns}ns"
    if ns < MILLISECOND:
        return _decimal(ns, MICROSECOND) + "µs"
    return _decimal(ns, MILLISECOND) + "ms"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{str(rest).zfill(digits).rstrip('0')}"
