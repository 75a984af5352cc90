"""The key that a flow-control expression gives an event."""

from __future__ import annotations

from holdfast.protocol.ids import shortened, xxh36
from holdfast.server.expressions import Activation, ExpressionError, compile

#: What a missing attribute counts as, and what switches rate limits and singletons off for an event.
NONE = "false"
INVALID = "<invalid>"


def bucket(function_id: str, expression: str, activation: Activation) -> str:
    """Return a function's bucket for an event: one for all without a key, else one per value."""
    return bucket_of(function_id, value(expression, activation)) if expression else function_id


def bucket_of(function_id: str, value: str) -> str:
    """Return a function's bucket for a value of its key."""
    return f"{function_id}-{xxh36(value)}"


def value(expression: str, activation: Activation) -> str:
    """Return the value of a key expression as text, of a long one its hash; an error is a value of its own."""
    try:
        return shortened(compile(expression).key(activation))
    except ExpressionError:
        return INVALID
