"""The states of a connection to the port, and the clock of each (`docs/reference/limits.md`)."""

from __future__ import annotations

import contextlib
from enum import Enum, auto
from typing import Final

import msgspec

from holdfast.protocol.limits import (
    BODY_IDLE_S,
    BODY_RATE,
    HALF_CLOSED_S,
    HANDSHAKE_S,
    HEAD_TIMEOUT_S,
    KEEP_ALIVE_S,
    LINGER_S,
    MAX_CONNECTIONS,
    STREAM_IDLE_S,
    WRITE_IDLE_S,
)


class State(Enum):
    """What a connection is doing. Beside any of these an answer may wait to be read, with a clock of its own."""

    FRESH = auto()  # nothing has come yet; empty lines are nothing
    HEAD = auto()  # a request has begun, its head is not whole
    BODY = auto()  # the head is whole, the body is not
    STREAM = auto()  # likewise, for what is published while it is made
    ANSWERED = auto()  # the request is answered, and its body still comes
    WORKING = auto()  # the request is whole, the answer is not: the route has a clock
    HALF_CLOSED = auto()  # likewise, and the client sends no more: it may have gone
    IDLE = auto()  # everything is answered
    REFUSED = auto()  # an error was sent; what comes is dropped


class Pace(msgspec.Struct, frozen=True):
    """The clocks in seconds, a rate in bytes per second, and a number of connections."""

    head_s: float = HEAD_TIMEOUT_S
    body_idle_s: float = BODY_IDLE_S
    body_rate: float = BODY_RATE
    stream_idle_s: float = STREAM_IDLE_S
    write_idle_s: float = WRITE_IDLE_S
    half_closed_s: float = HALF_CLOSED_S
    keep_alive_s: float = KEEP_ALIVE_S
    linger_s: float = LINGER_S
    handshake_s: float = HANDSHAKE_S
    connections: int = MAX_CONNECTIONS

    @property
    def shortest_s(self) -> float:
        """The clock that a state may begin with which ends first: connections are looked at that often."""
        return min(self.head_s, self.body_idle_s, self.write_idle_s, self.keep_alive_s)


def make_room() -> Pace:
    """Allow this process as many open files as it may have; return a pace with the connections that fit in."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return Pace()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return Pace() if soft == resource.RLIM_INFINITY else Pace(connections=max(min(MAX_CONNECTIONS, soft - _FILES), 16))


#: Open files that aren't connections of clients: the database, calls to apps.
_FILES: Final = 256
