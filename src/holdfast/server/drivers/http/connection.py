"""One TCP or TLS connection: writes a request, reads its answer, says what happened.

The parser calls back for every piece of an answer; none of these callbacks runs user code. Only when all bytes of a
chunk are parsed is the owner told, so a caller that sends its next request from ``done`` may get this very connection.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools

from holdfast.server.drivers.http import failures, framing, kernel
from holdfast.server.drivers.http.answer import Answer

if TYPE_CHECKING:
    from holdfast.server.drivers.http.call import Call
    from holdfast.server.drivers.http.failures import CallFailure

_MAX_OVERHEAD: Final = 256 * 1024  # heads, interim answers, trailers and chunk frames: all that is not body
_FRAME_ALLOWANCE: Final = 8  # a chunk of one byte takes six on the wire
_MAX_REPEATED: Final = 1000
_JOIN_BELOW: Final = 64 * 1024  # one copy of a small body is cheaper than a second write
_RESTED: Final = 0.05  # seconds idle after which the kernel is asked whether the peer has closed
_SYN: Final = 1  # the handshake counts as an acknowledged byte
_SWITCHING: Final = 101
_FIRST_INTERIM: Final = 100
_FIRST_FINAL: Final = 200
_HEAD: Final = b"HEAD"
_TLS_RECORD: Final = (b"\x15\x03", b"\x16\x03")

_header_names: dict[bytes, str] = {}


class Owner(Protocol):
    """Who opened a connection and hears what becomes of it. The connection has let go of the call by then."""

    def answered(self, connection: Connection, call: Call, answer: Answer, reusable: bool) -> None:
        """Take the answer of ``call``; a ``reusable`` connection may carry another call."""
        ...

    def broke(self, call: Call, failure: CallFailure, unheard: bool) -> None:
        """Hear that the connection broke; ``unheard``: the peer provably never received the request."""
        ...

    def closed(self, connection: Connection) -> None:
        """Hear that the connection is gone; any call was reported before."""
        ...


class Connection(asyncio.Protocol):
    """A connection to one origin, carrying at most one call at a time.

    Attributes:
        origin: What it is pooled by.
        resting_since: Loop time at which it became idle.
        idle_limit: Seconds that the server said it keeps an idle connection (Keep-Alive: timeout), or None.

    """

    __slots__ = (
        "_acked", "_call", "_chunks", "_complete", "_fault", "_first_ns", "_head", "_headers", "_keep_alive", "_odd",
        "_overhead", "_owner", "_parser", "_repeated", "_reused", "_secure", "_sent_ns", "_size", "_status", "_stuck",
        "_transport", "_written",
        "connect_ns", "dns_ns", "idle_limit", "origin", "resting_since", "tls_ns",
    )  # fmt: skip

    def __init__(self, owner: Owner, origin: str) -> None:
        self._owner = owner
        self.origin = origin
        self.resting_since = 0.0
        self.idle_limit: float | None = None
        self.dns_ns = self.connect_ns = self.tls_ns = 0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._call: Call | None = None
        self._reused = False
        self._stuck = False
        self._secure = origin.startswith("https:")
        self._written = 0
        self._acked = kernel.UNKNOWN
        self._sent_ns = 0
        self._clear()

    def _clear(self) -> None:
        self._headers: dict[str, str] = {}
        self._head: list[bytes] = []  # what came until the head was whole
        self._odd = False  # the head says a length that does not count
        self._chunks: list[bytes] = []
        self._size = 0
        self._status = 0
        self._first_ns = 0
        self._overhead = 0
        self._repeated = 0
        self._complete = False
        self._keep_alive = False
        self._fault: CallFailure | None = None

    # -- sending ---------------------------------------------------------------------------------------------------

    def usable(self, now: float) -> bool:
        """Look at a pooled connection before it is used again at loop time ``now``."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        idle = now - self.resting_since
        if self.idle_limit is not None and idle >= self.idle_limit:
            return False
        if idle < _RESTED and not self._secure:
            self._acked = self._written + _SYN
            return True
        alive, self._acked = kernel.peek(transport)
        return alive

    def send(self, call: Call, head: bytes) -> None:
        """Write ``call``; the owner hears of the outcome."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._owner.broke(call, failures.of_transport(None, sent=False), unheard=self._reused)
            return
        self._call = call
        call.connection = self
        self._sent_ns = monotonic_ns()
        self._written += len(head) + len(call.body)
        if len(call.body) < _JOIN_BELOW:
            transport.write(head + call.body)
        else:
            transport.write(head)
            transport.write(call.body)

    def drop(self) -> None:
        """Close at once, saying nothing about the call it carries."""
        self._call = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection in good order."""
        if self._transport is not None:
            self._transport.close()

    # -- what the event loop says ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = _parser(self)

    def data_received(self, data: bytes) -> None:
        """Parse; report if that was the end of the answer."""
        call, parser = self._call, self._parser
        if call is None or parser is None:  # nobody asked
            self.drop()
            return
        if not self._first_ns:
            self._first_ns = monotonic_ns()
        size = self._size
        if not self._status:
            self._head.append(data)
        if not self._odd:
            self._feed(parser, data)
        if self._odd:
            self._feed_mended()
        if self._fault is not None:
            self._fail(self._fault)
        elif self._complete:
            self._finish(call)
        else:
            self._meter(len(data) - (self._size - size))

    def _feed(self, parser: httptools.HttpResponseParser, data: bytes) -> None:
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep_alive = False
        except httptools.HttpParserError as error:
            self._keep_alive = False
            if not self._status and "Content-Length" in str(error):
                self._odd = True
            elif not self._complete and self._fault is None:
                self._fault = _malformed(data, self._status, error)

    def _feed_mended(self) -> None:
        """Parse the answer again from its start, with one length at most, as soon as its head is whole."""
        received = framing.mend(b"".join(self._head))
        if received is None:
            return
        self._headers, self._head, self._chunks = {}, [], []
        self._size = self._status = self._repeated = 0
        self._complete, self._odd, self._fault = False, False, None
        self._parser = parser = _parser(self)
        self._feed(parser, received)
        if self._odd:
            self._fault = failures.other("malformed HTTP response: bad or different Content-Length")
        self._keep_alive = False

    def pause_writing(self) -> None:
        """Note that the peer reads slowly; the transport keeps what is left of the request."""
        self._stuck = True

    def resume_writing(self) -> None:
        """Note that the request is all but sent."""
        self._stuck = False

    def eof_received(self) -> None:
        """Take the end of the stream; the transport closes itself."""
        if self._call is not None:
            self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a call that is left without an answer."""
        if self._call is not None:
            self._ended(exc)
        self._transport = None
        self._parser = None  # it holds our bound methods: a reference cycle
        self._owner.closed(self)

    # -- what the parser says --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another answer begins; after the one we wanted, it is one too many."""
        if self._complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field; trailers are ignored."""
        if self._status:
            return
        key = _header_names.get(name) or _intern(name)
        text = _text(value)
        headers = self._headers
        if key not in headers:
            headers[key] = text
            return
        self._repeated += 1
        if self._repeated > _MAX_REPEATED:
            self._fault = failures.other("too many repeated response headers")
        else:
            headers[key] = f"{headers[key]}, {text}"

    def on_headers_complete(self) -> None:
        """Decide what kind of answer this is."""
        call, parser = self._call, self._parser
        if call is None or parser is None or self._complete:
            return
        status = parser.get_status_code()
        if _FIRST_INTERIM <= status < _FIRST_FINAL and status != _SWITCHING:  # the real answer follows
            self._headers = {}
            return
        self._status = status
        self._keep_alive = parser.should_keep_alive()
        if "transfer-encoding" in self._headers:
            self._ignore_length(parser)
        if call.method == _HEAD:  # the parser does not know that no body will come
            self._complete, self._keep_alive = True, False
        else:
            self._fault = self._fault or _unacceptable(status, self._headers, call.limit)

    def _ignore_length(self, parser: httptools.HttpResponseParser) -> None:
        """Let chunks decide over a length; HTTP/1.0 has no chunks."""
        self._odd = parser.get_http_version() == "1.0"
        if self._headers.pop("content-length", None) is not None:
            self._keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        call = self._call
        if self._complete or call is None or self._odd:
            return
        self._size += len(body)
        if self._size > call.limit:
            self._fault = failures.too_large()
        else:
            self._chunks.append(body)
            if call.heard is not None:
                call.heard(self._status, self._headers, body)

    def on_message_complete(self) -> None:
        """Note that the answer is whole, unless it was an interim one."""
        if self._status:
            self._complete = True

    # -- outcomes --------------------------------------------------------------------------------------------------

    def _finish(self, call: Call) -> None:
        transport = self._transport
        first_ns = self._first_ns
        chunks = self._chunks
        answer = Answer(
            self._status,
            self._headers,
            chunks[0] if len(chunks) == 1 else b"".join(chunks),
            self.dns_ns,
            self.connect_ns,
            self.tls_ns,
            first_ns - self._sent_ns,
            monotonic_ns() - first_ns,
        )
        reusable = self._keep_alive and transport is not None and not transport.get_write_buffer_size()
        self._call = call.connection = None
        if reusable:
            self._rest()
        self._owner.answered(self, call, answer, reusable)

    def _rest(self) -> None:
        keep_alive = self._headers.get("keep-alive")
        self.idle_limit = _announced(keep_alive) if keep_alive else None
        self._clear()
        self._reused = True
        self.dns_ns = self.connect_ns = self.tls_ns = 0

    def _fail(self, failure: CallFailure, *, unheard: bool = False) -> None:
        call = self._call
        self.drop()
        if call is not None:
            call.connection = None
            self._owner.broke(call, failure, unheard)

    def _meter(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > _MAX_OVERHEAD + _FRAME_ALLOWANCE * self._size:
            self._fail(failures.other("the response's headers are too large"))

    def _ended(self, error: Exception | None) -> None:
        call, transport = self._call, self._transport
        if call is None or transport is None:
            return
        if self._status and error is None and self._ends_with_connection():
            self._keep_alive = False
            self._finish(call)
        elif self._first_ns and (error is None or isinstance(error, ConnectionError)):
            self._fail(failures.CallFailure(failures.RESET_READING))
        else:
            failure = failures.of_transport(error, sent=not self._stuck)
            self._fail(failure, unheard=self._unheard(error, transport))

    def _ends_with_connection(self) -> bool:
        return "content-length" not in self._headers and "transfer-encoding" not in self._headers

    def _unheard(self, error: Exception | None, transport: asyncio.Transport) -> bool:
        """Return whether the peer had closed before our request reached it, so that it can't have run anything.

        The peer's FIN acknowledges all that had arrived until then. If it acknowledges nothing of this request, the
        peer was gone before. A reset proves nothing: it may overtake the acknowledgement.
        """
        closed = error is None or isinstance(error, BrokenPipeError)
        if not closed or not self._reused or self._acked == kernel.UNKNOWN:
            return False
        return kernel.peek(transport)[1] == self._acked


def _parser(connection: Connection) -> httptools.HttpResponseParser:
    """Make a parser that takes what is sloppy but harmless, as the reference's does."""
    parser = httptools.HttpResponseParser(connection)
    parser.set_dangerous_leniencies(
        lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True, lenient_chunked_length=True
    )
    return parser


def _intern(name: bytes) -> str:
    key = name.decode("latin-1").lower()
    if len(_header_names) < 1024:  # apps send few names; whoever sends many shall not fill memory
        _header_names[name] = key
    return key


def _text(value: bytes) -> str:
    try:
        return value.decode().rstrip()
    except UnicodeDecodeError:
        return value.decode("latin-1").rstrip()


def _unacceptable(status: int, headers: dict[str, str], limit: int) -> CallFailure | None:
    """Return from an answer's head why its body must not be read, if so."""
    length = headers.get("content-length")
    if length is not None and int(length) > limit:
        return failures.too_large()
    coding = headers.get("transfer-encoding")
    if coding is not None and coding.lower() != "chunked":
        return failures.other(f'unsupported transfer encoding: "{coding}"')
    if status < _FIRST_INTERIM:
        return failures.other(f"malformed HTTP response: status code {status}")
    return None


def _announced(keep_alive: str) -> float | None:
    """Seconds after which to stop using a connection whose server sent this Keep-Alive field, with a margin."""
    for part in keep_alive.split(","):
        name, _, value = part.partition("=")
        if name.strip().lower() == "timeout" and value.strip().isdecimal() and len(value) < 9:
            return max(0.0, int(value) - 1.0)
    return None


def _malformed(data: bytes, status: int, error: httptools.HttpParserError) -> CallFailure:
    if data.startswith(_TLS_RECORD):
        return failures.other(
            "malformed HTTP response: the server speaks TLS on an http:// URL", failures.UNSUPPORTED_PROTOCOL
        )
    where = "response" if not status else "response body"
    return failures.other(f"malformed HTTP {where}: {error}")
