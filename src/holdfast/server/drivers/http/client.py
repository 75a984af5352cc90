"""The client: starts calls, hands them to connections, follows redirects, decodes, delivers outcomes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from holdfast.server.config.egress import Egress
from holdfast.server.drivers.deadlines import Deadlines
from holdfast.server.drivers.http import decoding, failures, redirects
from holdfast.server.drivers.http import headers as header_lines
from holdfast.server.drivers.http.call import Call, Done, Heard, Outcome
from holdfast.server.drivers.http.connection import Connection
from holdfast.server.drivers.http.dialing import Dialer
from holdfast.server.drivers.http.failures import CallFailure
from holdfast.server.drivers.http.pool import Pool
from holdfast.server.drivers.http.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.server.drivers.http.answer import Answer

MAX_BODY: Final = 8 * 1024 * 1024
_POST: Final = b"POST"
_BODILESS: Final = frozenset({b"GET", b"HEAD"})


class HttpClient:
    """HTTP/1.1 client of one event loop; make it inside that loop.

    The reference opens a connection per call. This client keeps them, for ``idle_timeout`` seconds or what the server
    announces in ``Keep-Alive``. A request is sent a second time only if the kernel shows that the peer had closed the
    kept connection before any byte of the request reached it: a step may have run otherwise, so the call fails.

    Args:
        max_body: Largest answer body in bytes, before and after decompression.
        connect_timeout: Seconds for name lookup and TCP handshake.
        tls_timeout: Seconds for the TLS handshake.
        total_timeout: Seconds for a whole call, redirects included.
        max_idle_per_host: Idle connections kept per origin. Calls in flight are not limited.
        idle_timeout: Seconds that an idle connection is kept; below the 5 s after which common app servers close.
        user_agent: The User-Agent of all requests that bring none.
        egress: Which hosts may be called, redirects included; all of them if not given.

    """

    def __init__(
        self,
        *,
        max_body: int = MAX_BODY,
        connect_timeout: float = 15.0,
        tls_timeout: float = 15.0,
        total_timeout: float = 7200.0,
        max_idle_per_host: int = 256,
        idle_timeout: float = 4.0,
        user_agent: str = "Inngest",
        egress: Egress | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_body = max_body
        self._agent = header_lines.render({"User-Agent": user_agent})
        self._pool = Pool(max_idle_per_host, idle_timeout)
        self._dialer = Dialer(connect_timeout, tls_timeout, egress or Egress())
        self._calls: Deadlines[Call] = Deadlines(total_timeout, self._expired)
        self._closed = False

    def post(self, target: Target, headers: bytes, body: bytes, done: Done) -> Call:
        """Send a POST; the hot path.

        Args:
            target: Where to.
            headers: Header lines, each ending in CRLF, without Host, Content-Length, User-Agent, Accept-Encoding.
            body: The body.
            done: Called exactly once, never from within ``post``, with the answer or the failure, unless the call is
                cancelled before. What it raises goes to the loop's exception handler.

        """
        call = Call(self, _POST, target, self._agent + headers, body, self._max_body, done)
        self._begin(call)
        return call

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a timeout of the call is a CallFailure like any other
        max_body: int | None = None,
        heard: Heard | None = None,
    ) -> Answer:
        """Send any request and wait for its answer.

        Args:
            method: HTTP method.
            url: Absolute http or https URL.
            headers: Fields to send; those about framing and connection are ignored.
            body: The body.
            timeout: Seconds for the whole call, if shorter than the client's.
            max_body: Largest answer body, if another than the client's.
            heard: Told of each piece of an answer's body while it arrives; the server is asked not to compress it.

        Raises:
            CallFailure: No answer, with the text for the user.

        """
        lines = header_lines.render(headers)
        if not header_lines.has(lines, b"user-agent"):
            lines = self._agent + lines
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        limit = self._max_body if max_body is None else max_body
        done = partial(_resolve, outcome)
        target = Target.parse(url)
        call = Call(
            self, header_lines.method(method), target.uncompressed() if heard else target, lines, body, limit, done
        )
        call.heard = heard
        self._begin(call)
        try:
            async with asyncio.timeout(timeout):
                result = await outcome
        except TimeoutError:
            raise CallFailure(failures.TIMED_OUT) from None
        finally:
            call.cancel()
        if isinstance(result, CallFailure):
            raise result
        return result

    async def close(self) -> None:
        """Close all connections; calls still in flight fail with the code ``client_closed``."""
        self._closed = True
        self._pool.close()
        dialing = [call.dialing for call in self._calls if call.dialing is not None]
        for call in self._calls.drain():
            self._abandon(call)
            self._loop.call_soon(self._deliver, call, _client_closed())
        await asyncio.gather(*dialing, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the loop's next turn

    # -- a call's way ----------------------------------------------------------------------------------------------

    def _begin(self, call: Call) -> None:
        if self._closed:
            self._loop.call_soon(self._deliver, call, _client_closed())
            return
        self._calls.add(call)
        self._send(call)

    def _send(self, call: Call) -> None:
        connection = self._pool.take(call.target.origin)
        if connection is None:
            self._dial(call)
        else:
            connection.send(call, _head(call))

    def _dial(self, call: Call) -> None:
        target = call.target
        call.dialing = self._loop.create_task(self._dialer.dial(target, partial(Connection, self, target.origin)))
        call.dialing.add_done_callback(partial(self._dialed, call))

    def _dialed(self, call: Call, dialing: asyncio.Task[Connection]) -> None:
        call.dialing = None
        if dialing.cancelled():
            return
        error = dialing.exception()
        if error is None and call in self._calls:
            dialing.result().send(call, _head(call))
        elif error is None:
            dialing.result().drop()
        else:
            self._settle(call, error if isinstance(error, CallFailure) else failures.other(str(error)))

    def _settle(self, call: Call, outcome: Outcome) -> None:
        self._calls.discard(call)
        self._deliver(call, outcome)

    def _deliver(self, call: Call, outcome: Outcome) -> None:
        if call.open:
            call.open = False
            call.done(outcome)

    def _abandon(self, call: Call) -> None:
        if call.dialing is not None:
            call.dialing.cancel()
        if call.connection is not None:
            call.connection.drop()
            call.connection = None

    def _redirect(self, call: Call, answer: Answer, where: str) -> None:
        call.hops += 1
        if call.hops > redirects.MAX_HOPS:
            self._settle(call, failures.other(f"stopped after {redirects.MAX_HOPS} redirects"))
            return
        try:
            redirects.advance(call, answer.status, where)
        except CallFailure as failure:
            self._settle(call, failure)
            return
        self._send(call)

    # -- what connections, callers and clocks say ------------------------------------------------------------------

    def answered(self, connection: Connection, call: Call, answer: Answer, reusable: bool) -> None:
        """Deliver or follow ``answer``; keep or close ``connection``."""
        if reusable and not self._closed:
            self._pool.put(connection)
        else:
            connection.drop()
        where = redirects.location(answer)
        if where is not None:
            self._redirect(call, answer, where)
        else:
            self._settle(call, _decoded(answer, call.limit) if "content-encoding" in answer.headers else answer)

    def broke(self, call: Call, failure: CallFailure, unheard: bool) -> None:
        """Fail ``call``, or send it again on a fresh connection if the peer never received it."""
        if unheard and call in self._calls:
            self._dial(call)
        else:
            self._settle(call, failure)

    def closed(self, connection: Connection) -> None:
        """Forget ``connection``."""
        self._pool.discard(connection)

    def cancelled(self, call: Call) -> None:
        """Stop working on ``call``: its caller gave it up."""
        if call.open:
            call.open = False
            self._calls.discard(call)
            self._abandon(call)

    def _expired(self, call: Call) -> None:
        self._abandon(call)
        self._loop.call_soon(self._deliver, call, CallFailure(failures.TIMED_OUT))


def _head(call: Call) -> bytes:
    target, length = call.target, len(call.body)
    if not length and call.method in _BODILESS:
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (call.method, target.path, target.fixed, call.headers)
    lines = (call.method, target.path, target.fixed, call.headers, length)
    return b"%b %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % lines


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():  # its waiter may have been cancelled in this very turn of the loop
        future.set_result(outcome)


def _decoded(answer: Answer, limit: int) -> Outcome:
    try:
        answer.body = decoding.decode(answer.body, answer.headers.pop("content-encoding"), limit)
    except CallFailure as failure:
        return failure
    answer.headers.pop("content-length", None)  # it counted the encoded bytes
    return answer


def _client_closed() -> CallFailure:
    return failures.other("client closed", failures.CLIENT_CLOSED)
