"""The HTTP side of the port: bounds on what a request may be, and a clock for every state of a connection (`pace`).

Uvicorn with httptools reads heads of any size and waits for any client for ever. This protocol counts and looks at the
clock; one timer per connection, which asks at long intervals what the connection is doing, and for how long already.
"""

from __future__ import annotations

import asyncio
import http
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.protocol.limits import MAX_HEAD, MAX_HEADERS, MAX_MESSAGE, MAX_PIPELINED, MAX_URL
from holdfast.server.serve.crowd import Budget, Guest, Room
from holdfast.server.serve.joined import Joined
from holdfast.server.serve.pace import Pace, State

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState


class _RefusedError(Exception):
    """Raised in the parser's callbacks, so that it stops; what is answered is in `_refusal`."""


class GuardedHttp(HttpToolsProtocol, Guest):
    """HTTP/1.1 for clients that may be slow, greedy or hostile. Each port has a subclass, with its own `room`."""

    parser: httptools.HttpRequestParser
    pace: Pace = Pace()
    budget: ClassVar[Budget] = Budget()
    room: ClassVar[Room] = Room()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.room = Room()

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False  # the head of a request has come
        self._reading = False  # a request has begun and isn't whole
        self._in_head = False
        self._began = self._last = self._answered = 0.0  # of this request; of the newest bytes; of the last answer
        self._chunk = self._first = 0  # bytes: of this read; of the one that the request began in
        self._received = 0  # since then
        self.sent = 0  # bytes of answers, those included that wait to be read
        self._taken = 0  # of which the client had these
        self._taken_at = 0.0  # when it was last seen to read
        self._hosts = 0
        self._codings: list[bytes] = []
        self._refusal = _NO_HTTP
        self._half_closed_at: float | None = None  # when the client said that it sends no more
        self._deaf = False  # what still comes is dropped; what came is answered
        self._ended = False  # refused

    # --- the connection ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or tell it that there are too many."""
        super().connection_made(transport)
        self._began = self._last = self.loop.time()
        most = self.pace.connections
        if self.room.take(self, self.connections, most):
            self._timer = self.loop.call_later(self.pace.head_s, self._look)
        elif len(self.connections) > most + _TOLD:
            transport.abort()
        else:
            self._refuse(503, f"The server has reached its limit of {most} connections; try again")

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Answer a client that sends no more, if it has sent a whole request. Returns whether it stays connected."""
        if self._ended or self._reading or not self._answering() or self.cycle.response_started:
            return False
        self._half_closed_at = self.loop.time()
        self._answer_and_close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.pace.half_closed_s, self._look)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the protocol of WebSockets, which has clocks of its own."""
        self._stop_clock()
        super().handle_websocket_upgrade()

    def _stop_clock(self) -> None:
        self.budget.release(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what comes -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Count, and parse."""
        if self._deaf:
            return
        self._last = self.loop.time()
        if not self._reading and b"h2c" in data:
            data = _H2C.sub(b"\r\n", data, 1)
        self._chunk = len(data)
        self._received += self._chunk
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError:
            if not self._deaf:
                self._upgrade() if self.parser.should_upgrade() and not self._reading else self._refuse(*self._refusal)
        if self._reading and not self._deaf:
            self._check_size()

    def _check_size(self) -> None:
        """Refuse what grows without end: heads, trailers, chunks that are mostly extensions."""
        if self._in_head and self._received > MAX_HEAD:
            self._refuse(431, f"The head of the request is over the max size: Max {MAX_HEAD} bytes")
        elif len(self.headers) > MAX_HEADERS:
            self._refuse(431, _TOO_MANY)
        elif self._received > MAX_MESSAGE:
            self._refuse(413, f"The request is over the max size: Max {MAX_MESSAGE} bytes with its framing")
        elif not self._in_head and (self._known() or self.cycle.response_complete):
            self.budget.release(self)
        else:
            self.budget.hold(self, self._first + self._received)

    def on_message_begin(self) -> None:
        """A request begins: its clock, too."""
        super().on_message_begin()
        self._reading = self._in_head = True
        self._began, self._first = self._last, self._chunk
        self._received = self._hosts = 0
        self._codings.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; note those that say where a request goes and how long it is."""
        name = name.lower()
        if name in _NOTED:
            if name == b"host":
                self._hosts += 1 if _HOST.fullmatch(value) else _FAULTY
            elif name == b"transfer-encoding":
                self._codings.append(value.strip().lower())
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large, or ambiguous; else the request starts."""
        if len(self.url) > MAX_URL:
            self._stop(414, f"The URL is over the max size: Max {MAX_URL} bytes")
        if len(self.headers) > MAX_HEADERS:
            self._stop(431, _TOO_MANY)
        if (self._received or self._chunk > MAX_HEAD) and _size(self.headers) > MAX_HEAD:
            self._stop(431, f"The head of the request is over the max size: Max {MAX_HEAD} bytes")
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() != "1.0"):
            self._stop(400, _ONE_HOST)
        if self._codings:
            self._check_codings()
        if self.parser.should_upgrade() and (self._answering() or self._has_body()):
            self._stop(400, "A request with an upgrade must have no body, and must not follow an unanswered request")
        if len(self.pipeline) >= MAX_PIPELINED:
            self._answer_and_close()
            raise _RefusedError
        self._in_head = False
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # no upgrade
            self.cycle.transport = Joined(self.transport, self.loop, self)
            self._asked = True

    def _check_codings(self) -> None:
        if self.parser.get_http_version() == "1.0":
            self._stop(400, "HTTP/1.0 does not allow Transfer-Encoding")
        if self._codings != [b"chunked"]:
            self._stop(501, "Transfer-Encoding must be chunked, and only once")

    def _has_body(self) -> bool:
        return bool(self._codings) or any(name == b"content-length" and value != b"0" for name, value in self.headers)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading = False
        self.budget.release(self)
        super().on_message_complete()

    def _upgrade(self) -> None:
        """Go on as a WebSocket; any other offer is ignored, and the connection ends with the answer."""
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        elif not self._reading:  # the parser tells of it before the body is whole
            self._answer_and_close()

    def _answer_and_close(self) -> None:
        """Answer what came, read no more, and close."""
        self._deaf = True
        self._reading = False
        self.budget.release(self)
        if self.cycle.response_complete:
            self._hang_up()
        else:
            self.cycle.keep_alive = False

    def _stop(self, status: int, text: str) -> None:
        self._refusal = (status, text)
        raise _RefusedError(text)

    def on_response_complete(self) -> None:
        """An answer is given: the next request that waits is served, or the connection is idle."""
        self.server_state.total_requests += 1
        self._answered = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.cycle.body = bytearray()  # what nobody read of it would stay for as long as the connection does

    # --- the clock --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The timer: ends what is too slow, and comes back when it next may be."""
        now = self.loop.time()
        unread_until = self._unread_deadline(now)
        state = self._state()
        due = min(self._deadline(state, now), unread_until)
        if due > now:
            self._timer = self.loop.call_later(min(due - now, self.pace.shortest_s) + 0.01, self._look)
        elif unread_until <= now or self._ended:
            self.transport.abort()
        else:
            self._expire(state)

    def _state(self) -> State:
        if self._ended:
            return State.REFUSED
        if not self._reading:
            return self._between()
        if self._in_head:
            return State.HEAD
        if self._asked and self.cycle.response_complete:
            return State.ANSWERED
        return State.STREAM if self.url.startswith(_STREAMS) else State.BODY

    def _between(self) -> State:
        """The state while no request comes."""
        if not self._asked:
            return State.FRESH
        if not self._answering():
            return State.IDLE
        return State.WORKING if self._half_closed_at is None else State.HALF_CLOSED

    def _deadline(self, state: State, now: float) -> float:
        pace = self.pace
        if self.flow.read_paused and state in _COMING:
            # The client waits for us: its clock starts anew.
            self._began, self._last, self._received = now, now, 0
        match state:
            case State.REFUSED:
                return now
            case State.FRESH | State.HEAD:
                return self._began + pace.head_s
            case State.BODY:
                steady = self._began + pace.body_idle_s + self._received / pace.body_rate
                return min(self._last + pace.body_idle_s, steady)
            case State.STREAM:
                return self._last + pace.stream_idle_s
            case State.ANSWERED:
                return self._answered + pace.body_idle_s
            case State.HALF_CLOSED:
                return (self._half_closed_at or 0.0) + pace.half_closed_s
            case State.IDLE:
                return self._answered + pace.keep_alive_s
            case State.WORKING:
                return _NEVER

    def _unread_deadline(self, now: float) -> float:
        """Return when an answer is given up that waits, and is not read, or too slowly."""
        waiting = self.transport.get_write_buffer_size()
        taken = self.sent - waiting
        if not waiting or taken - self._taken >= self.pace.body_rate * (now - self._taken_at):
            self._taken, self._taken_at = taken, now
        if not waiting:
            return _NEVER
        self._answered = now  # at the earliest, for the client
        return self._taken_at + self.pace.write_idle_s

    def _expire(self, state: State) -> None:
        if state is State.HEAD:
            self._refuse(408, f"The head of the request took longer than {self.pace.head_s:g} seconds")
        elif state in {State.BODY, State.STREAM}:
            self._refuse(408, "The body of the request comes too slowly")
        else:
            self._hang_up()

    def _answering(self) -> bool:
        return self._asked and not self.cycle.response_complete

    # --- the others -------------------------------------------------------------------------------------------------

    def _known(self) -> bool:
        """Return whether the last request that came had a credential."""
        return self._asked and "known" in self.cycle.scope.get("state", ())

    def idle_since(self) -> tuple[bool, float] | None:
        """Return whether it has shown a credential, and when it last did something; None: it is being served."""
        if self._ended or self.transport.is_closing():
            return None
        known = self._known()
        if self._answering() and (known or not self._reading):
            return None
        return known, self._began if self._reading or not self._asked else self._answered

    def give_way(self) -> None:
        """End it: others need its place, or its bytes."""
        if self._reading:
            self._refuse(503, "The server has too many incomplete requests; try again")
        else:
            self._hang_up()

    # --- ends -------------------------------------------------------------------------------------------------------

    def _refuse(self, status: int, text: str) -> None:
        """Answer an error and hang up; in the middle of its own answer only the latter, after another one only that.

        What the client still sends is dropped for a moment: a socket closed with unread bytes resets the connection,
        and the client would lose the answer.
        """
        if self._ended or self.transport.is_closing():
            return
        if self._answering() and (self._in_head or not self._reading):
            self._answer_and_close()
            return
        self._ended = self._deaf = True
        self._stop_clock()
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

    def _hang_up(self) -> None:
        """Close once everything is written, and soon in any case."""
        self._ended = self._deaf = True
        self._stop_clock()
        self.transport.close()
        self._timer = self.loop.call_later(self.pace.linger_s, self._look)


_NEVER: Final = float("inf")
_COMING: Final = frozenset({State.HEAD, State.BODY, State.STREAM})
#: What is published while it is made (realtime streams, durable endpoints).
_STREAMS: Final = b"/v1/realtime/publish"
_NO_HTTP: Final = (400, "The request is not valid HTTP/1.1")
_ONE_HOST: Final = "The request needs one Host header: a name or an address, and a port if it is not the usual one"
_NOTED: Final = frozenset({b"host", b"transfer-encoding", b"expect"})
_HOST: Final = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)
_FAULTY: Final = 1_000
#: So many connections that are one too many are told so; those beyond are cut off.
_TOLD: Final = 64
#: An offer of HTTP/2 that some clients (Java's) make with their first request. It may be ignored; the parser, however,
#: would take the body for HTTP/2 and drop it.
_H2C: Final = re.compile(rb"(?<!\r\n)\r\nupgrade:[ \t]*h2c[ \t]*\r\n", re.IGNORECASE)
_TOO_MANY: Final = f"The request has too many headers: Max {MAX_HEADERS}"
_HEADERS: Final = b"content-type: application/json\r\naccess-control-allow-origin: *\r\nconnection: close\r\n"


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
