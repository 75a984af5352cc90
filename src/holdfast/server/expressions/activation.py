"""What an expression looks at: one event, or a run's event and the one that just came in."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final, cast

from holdfast.protocol.durations import MILLISECOND
from holdfast.protocol.limits import EXPRESSION_VALUES, EXPRESSION_WORK
from holdfast.server.expressions.errors import Exhausted, ExpressionError
from holdfast.server.expressions.large import Large, values
from holdfast.server.expressions.values import MISSING, Missing, Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Callable

_DECODER: Final = json.JSONDecoder(parse_int=float)
_ALWAYS: Final = ("data", "user")

Document = dict[object, Value] | Missing


class Activation:
    """The variables of one evaluation round, decoded at first use and then kept.

    Build one per event and share it among all expressions (not among threads).

    Args:
        event: the JSON text of the event that starts runs, `event` in the text; None if there is none.
        async_event: the JSON text of the event that just came in, `async`; None if there is none.
        now_ms: what `now()` answers, in milliseconds since the epoch; None asks the clock, once.
        on_exceeded: called with the text of an expression that used its budget up.

    """

    __slots__ = (
        "_async_raw", "_event_raw", "_large", "_now", "_on_exceeded", "async_whole", "event_whole", "left", "variables",
    )  # fmt: skip

    def __init__(
        self,
        event: bytes | None = None,
        async_event: bytes | None = None,
        *,
        now_ms: int | None = None,
        on_exceeded: Callable[[str], None] | None = None,
    ) -> None:
        self._event_raw = event
        self._async_raw = async_event
        self.event_whole: Document | None = None
        """The decoded event; None before it is looked at, and always for one that is too large to be decoded whole."""
        self.async_whole: Document | None = None
        self._large: dict[bytes, Large] | None = None
        self._now = None if now_ms is None else Timestamp(now_ms * MILLISECOND)
        self._on_exceeded = on_exceeded
        self.variables: dict[str, Value] = {}
        """The variables that macros have bound, while their body is evaluated."""
        self.left = EXPRESSION_WORK
        """The work that the evaluation at hand may still do."""

    @property
    def event(self) -> Document:
        """The whole event in the shape of `flow-control.md` §3.1; MISSING if there is none."""
        whole = self.event_whole
        return cast("Document", self.look_up_event(())) if whole is None else whole

    @property
    def async_event(self) -> Document:
        """The newly arrived event, in the same shape."""
        whole = self.async_whole
        return cast("Document", self.look_up_async(())) if whole is None else whole

    def look_up_event(self, names: tuple[str, ...]) -> Value:
        """Return what the names lead to below `event`. Raises Exhausted for a part that is too large."""
        if self.event_whole is None:
            same = self._async_raw is self._event_raw
            self.event_whole = (self.async_whole if same else None) or self._decode(self._event_raw)
        return self._look_up(self.event_whole, self._event_raw, names)

    def look_up_async(self, names: tuple[str, ...]) -> Value:
        """Return what the names lead to below `async`. Raises Exhausted for a part that is too large."""
        if self.async_whole is None:
            same = self._async_raw is self._event_raw
            self.async_whole = (self.event_whole if same else None) or self._decode(self._async_raw)
        return self._look_up(self.async_whole, self._async_raw, names)

    @property
    def now(self) -> Timestamp:
        """The time of this evaluation; the same for all expressions of the activation."""
        if self._now is None:
            self._now = Timestamp(time.time_ns())
        return self._now

    def pay(self, units: int) -> None:
        """Take work off the budget of the evaluation at hand. Raises Exhausted if there is not so much left."""
        self.left -= units
        if self.left < 0:
            raise Exhausted

    def exceeded(self, text: str) -> None:
        """Tell who is interested that an expression used its budget up."""
        if self._on_exceeded is not None:
            self._on_exceeded(text)

    def _decode(self, raw: bytes | None) -> Document | None:
        """Decode an event, unless it is large: then None."""
        if raw is None:
            return MISSING
        if len(raw) > EXPRESSION_VALUES and values(raw) > EXPRESSION_VALUES and raw.lstrip()[:1] == b"{":
            return None
        event = decoded(raw)
        if not isinstance(event, dict):
            raise ExpressionError("the event is no JSON object")
        for name in _ALWAYS:
            if event.get(name) is None:
                event[name] = {}
        return event

    def _look_up(self, whole: Document | None, raw: bytes | None, names: tuple[str, ...]) -> Value:
        if whole is not None:
            return below(whole, names)
        assert raw is not None  # nothing is large that is not there
        if self._large is None:
            self._large = {}
        large = self._large.get(raw)
        if large is None:
            large = self._large[raw] = Large(raw, decoded)
        found = large.look_up(names, self.pay)
        return {} if len(names) == 1 and names[0] in _ALWAYS and not isinstance(found, dict) else found


def decoded(raw: bytes) -> Value:
    """Read JSON with the standard library's decoder, because it alone reads every number as a double."""
    try:
        return cast("Value", _DECODER.decode(raw.decode()))
    except (ValueError, RecursionError):
        raise ExpressionError("the event is no JSON") from None


def below(value: Value, names: tuple[str, ...]) -> Value:
    """Return what the names lead to; MISSING if they lead nowhere."""
    for name in names:
        if not isinstance(value, dict):
            return MISSING
        value = value.get(name, MISSING)
    return value
