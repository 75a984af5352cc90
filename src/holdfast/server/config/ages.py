"""Ages: how long something is kept."""

from __future__ import annotations

from typing import Final

from holdfast.protocol.durations import MILLISECOND, DurationError, parse_duration

#: Ages that never come.
_FOREVER: Final = frozenset({"off", "never", "forever"})


def parse_age(text: str) -> int | None:
    """Return an age in ms, None for one that never comes. Raises ValueError for what is neither."""
    if text in _FOREVER:
        return None
    try:
        age = parse_duration(text) // MILLISECOND
    except DurationError:
        age = 0
    if age <= 0:
        raise ValueError("a time span such as 12h or 30d, or off; of one function as <function>=<time span>")
    return age
