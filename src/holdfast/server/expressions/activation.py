"""What an expression looks at: one event, or a run's event and the one that just came in."""

from __future__ import annotations

import json
import time
from typing import Final, cast

from holdfast.protocol.durations import MILLISECOND
from holdfast.server.expressions.errors import ExpressionError
from holdfast.server.expressions.values import MISSING, Missing, Timestamp, Value

_DECODER: Final = json.JSONDecoder(parse_int=float)


class Activation:
    """The variables of one evaluation round, decoded at first use and then kept.

    Build one per event and share it among all expressions (not among threads).

    Args:
        event: the JSON text of the event that starts runs, `event` in the text; None if there is none.
        async_event: the JSON text of the event that just came in, `async`; None if there is none.
        now_ms: what `now()` answers, in milliseconds since the epoch; None asks the clock, once.

    """

    __slots__ = ("_async", "_async_raw", "_event", "_event_raw", "_now", "turns", "variables")

    def __init__(
        self, event: bytes | None = None, async_event: bytes | None = None, *, now_ms: int | None = None
    ) -> None:
        self._event_raw = event
        self._async_raw = async_event
        self._event: dict[object, Value] | Missing | None = None
        self._async: dict[object, Value] | Missing | None = None
        self._now = None if now_ms is None else Timestamp(now_ms * MILLISECOND)
        self.variables: dict[str, Value] = {}
        """The variables that macros have bound, while their body is evaluated."""
        self.turns = -1
        """How many elements the macro at hand, and those within it, have looked at; -1: there is none."""

    @property
    def event(self) -> dict[object, Value] | Missing:
        """The event in the shape of `flow-control.md` §3.1; MISSING if there is none."""
        value = self._event
        if value is None:
            value = self._event = _decode(self._event_raw)
        return value

    @property
    def async_event(self) -> dict[object, Value] | Missing:
        """The newly arrived event, in the same shape."""
        value = self._async
        if value is None:
            value = self._async = _decode(self._async_raw)
        return value

    @property
    def now(self) -> Timestamp:
        """The time of this evaluation; the same for all expressions of the activation."""
        if self._now is None:
            self._now = Timestamp(time.time_ns())
        return self._now


def _decode(raw: bytes | None) -> dict[object, Value] | Missing:
    """Read an event. The standard library's decoder, because it alone reads every number as a double."""
    if raw is None:
        return MISSING
    try:
        event = cast("Value", _DECODER.decode(raw.decode()))
    except (ValueError, RecursionError):
        raise ExpressionError("the event is no JSON") from None
    if not isinstance(event, dict):
        raise ExpressionError("the event is no JSON object")
    for name in ("data", "user"):
        if event.get(name) is None:
            event[name] = {}
    return event
