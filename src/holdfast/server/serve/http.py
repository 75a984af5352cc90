"""The HTTP side of the port: bounds on the head of a request, on its pace, and on how long an answer waits to be read.

Uvicorn with httptools reads heads of any size and waits for any client for ever. This protocol counts and looks at the
clock; one timer per connection, which runs only while a request or an answer is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.protocol.limits import (
    BODY_IDLE_S,
    BODY_RATE,
    HEAD_TIMEOUT_S,
    LINGER_S,
    MAX_CONNECTIONS,
    MAX_HEAD,
    MAX_HEADERS,
    MAX_MESSAGE,
    MAX_URL,
    WRITE_IDLE_S,
)
from holdfast.server.serve.joined import Joined

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState


class Pace(msgspec.Struct, frozen=True):
    """Times in seconds, a rate in bytes per second, and a number of connections."""

    head_s: float = HEAD_TIMEOUT_S
    body_idle_s: float = BODY_IDLE_S
    body_rate: float = BODY_RATE
    write_idle_s: float = WRITE_IDLE_S
    linger_s: float = LINGER_S
    connections: int = MAX_CONNECTIONS


def make_room() -> Pace:
    """Allows this process as many open files as it may have; answers a pace with the connections that fit in."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return Pace()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return Pace() if soft == resource.RLIM_INFINITY else Pace(connections=max(min(MAX_CONNECTIONS, soft - _FILES), 16))


class _RefusedError(Exception):
    """Raised in the parser's callbacks, so that it stops; what is answered is in `_refusal`."""


class GuardedHttp(HttpToolsProtocol):
    """HTTP/1.1 for clients that may be slow, greedy or hostile."""

    pace: Pace = Pace()

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False  # there was a request
        self._reading = False  # a request has begun and isn't whole
        self._in_head = False
        self._began = self._last = 0.0  # of this request; of the newest bytes
        self._chunk = self._received = 0  # bytes: this read; since the one that the request began in
        self._unread = 0  # bytes of answers that waited at the last look
        self._unread_since = 0.0
        self._refusal = (400, "The request is no valid HTTP/1.1")
        self._ended = False  # refused: nothing that comes is read any more

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection, or tells it that there are too many."""
        super().connection_made(transport)
        self._began = self.loop.time()
        if len(self.connections) > self.pace.connections:
            self._refuse(503, f"The server has {self.pace.connections} connections, and takes no more; try again")
        else:
            self._timer = self.loop.call_later(self.pace.head_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leaves the connection to the protocol of WebSockets, which has clocks of its own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Counts, and parses."""
        if self._ended:
            return
        self._last = self.loop.time()
        if not self._reading and b"h2c" in data:
            data = _H2C.sub(b"\r\n", data, 1)
        self._chunk = len(data)
        self._received += self._chunk
        super().data_received(data)
        if self._reading and not self._ended:
            self._check_size()

    def _check_size(self) -> None:
        """Refuses what grows without end: heads, trailers, chunks that are mostly extensions."""
        if self._in_head and self._received > MAX_HEAD:
            self._refuse(431, f"The head of the request is over the max size: Max {MAX_HEAD} bytes")
        elif len(self.headers) > MAX_HEADERS:
            self._refuse(431, _TOO_MANY)
        elif self._received > MAX_MESSAGE:
            self._refuse(413, f"The request is over the max size: Max {MAX_MESSAGE} bytes with its framing")

    def on_message_begin(self) -> None:
        """A request begins: its clock, too."""
        super().on_message_begin()
        self._reading = self._in_head = True
        self._began = self._last
        self._received = 0
        if self._timer is None:
            self._timer = self.loop.call_later(self.pace.head_s, self._look)

    def on_headers_complete(self) -> None:
        """Refuses a head that is too large; else the request starts."""
        if len(self.url) > MAX_URL:
            self._stop(414, f"The URL is over the max size: Max {MAX_URL} bytes")
        if len(self.headers) > MAX_HEADERS:
            self._stop(431, _TOO_MANY)
        if (self._received or self._chunk > MAX_HEAD) and _size(self.headers) > MAX_HEAD:
            self._stop(431, f"The head of the request is over the max size: Max {MAX_HEAD} bytes")
        self._in_head = False
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # no upgrade
            self.cycle.transport = Joined(self.transport, self.loop)
        self._asked = True

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says more
        """Answers what the parser stopped at."""
        self._refuse(*self._refusal)

    def _stop(self, status: int, text: str) -> None:
        self._refusal = (status, text)
        raise _RefusedError(text)

    def _look(self) -> None:
        """The timer: ends what is too slow, and comes back when it next may be."""
        self._timer = None
        now = self.loop.time()
        if self._ended:
            self.transport.abort()
            return
        due = min(self._read_deadline(now), self._write_deadline(now))
        if due > now:
            if due != _NEVER:
                self._timer = self.loop.call_later(min(due - now, self.pace.head_s) + 0.01, self._look)
        elif self._unread and self._write_deadline(now) <= now:
            self.transport.abort()
        elif not self._reading:
            self.transport.close()  # it never asked for anything
        elif self._in_head:
            self._refuse(408, f"The head of the request took longer than {self.pace.head_s:g} seconds")
        else:
            self._refuse(408, "The body of the request comes too slowly")

    def _read_deadline(self, now: float) -> float:
        pace = self.pace
        if not self._reading:
            return _NEVER if self._asked else self._began + pace.head_s
        if self._in_head:
            return self._began + pace.head_s
        if self.flow.read_paused:
            # The client waits for us: its clock starts anew.
            self._began, self._last, self._received = now, now, 0
            return now + pace.body_idle_s
        if self._answering() and self.url.startswith(_STREAMS):
            return self._last + _STREAM_IDLE_S
        return min(self._last + pace.body_idle_s, self._began + pace.body_idle_s + self._received / pace.body_rate)

    def _write_deadline(self, now: float) -> float:
        """When an answer that isn't read is given up: the client took nothing of it since we last looked."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._unread = 0
            return now + self.pace.write_idle_s if self._answering() else _NEVER
        if not self._unread or waiting < self._unread:
            self._unread_since = now
        self._unread = waiting
        return self._unread_since + self.pace.write_idle_s

    def _answering(self) -> bool:
        return self._asked and not self.cycle.response_complete

    def _refuse(self, status: int, text: str) -> None:
        """Answers an error and hangs up; in the middle of another answer only the latter.

        What the client still sends is dropped for a moment: a socket closed with unread bytes resets the connection,
        and the client would lose the answer.
        """
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._answering():
            started = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if started or self.pipeline:
                self.transport.abort()
                return
        body = msgspec.json.encode({"error": text, "data": None, "status": status})
        self.transport.write(b"HTTP/1.1 %d %s\r\n%scontent-length: %d\r\n\r\n%s" % (
            status, http.HTTPStatus(status).phrase.encode(), _HEADERS, len(body), body
        ))  # fmt: skip
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(self.pace.linger_s, self._look)


#: Open files that aren't connections of clients: the database, calls to apps.
_FILES: Final = 256
_NEVER: Final = float("inf")
#: What is published while it is made (realtime streams, durable endpoints) comes as slowly as a model thinks.
_STREAMS: Final = b"/v1/realtime/publish"
_STREAM_IDLE_S: Final = 15 * 60.0
#: An offer of HTTP/2 that some clients (Java's) make with their first request. It may be ignored; the parser, however,
#: would take the body for HTTP/2 and drop it.
_H2C: Final = re.compile(rb"(?<!\r\n)\r\nupgrade:[ \t]*h2c[ \t]*\r\n", re.IGNORECASE)
_TOO_MANY: Final = f"The request has too many headers: Max {MAX_HEADERS}"
_HEADERS: Final = b"content-type: application/json\r\naccess-control-allow-origin: *\r\nconnection: close\r\n"


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
