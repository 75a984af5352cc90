"""Every state that a connection can be in, with its clock: one row each, over real sockets, one by one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import uvicorn

from holdfast.server.serve.http import GuardedHttp
from holdfast.server.serve.pace import Pace, State
from holdfast.server.serve.websocket import WebSocket

if TYPE_CHECKING:
    from holdfast.server.api.common.asgi import Receive, Scope, Send

PACE = Pace(
    head_s=0.5, body_idle_s=0.8, body_rate=100, stream_idle_s=1.2, write_idle_s=0.6, keep_alive_s=1.0, linger_s=0.3,
    handshake_s=0.7, half_closed_s=0.9,
)  # fmt: skip
PING_S = 0.3
#: How much later than its clock says a connection may end: it is looked at again after its shortest clock.
LATE_S = 3.0
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Watched(GuardedHttp):
    pace = PACE
    ended_in: list[State]

    def _look(self) -> None:
        state = self._state()
        super()._look()
        if self._deaf or self.transport.is_closing():
            self.ended_in.append(state)


class WatchedSocket(WebSocket):
    pace = PACE
    most_waiting = 0  # bytes that a peer did not read

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)

    def handle_ping(self) -> None:
        super().handle_ping()
        WatchedSocket.most_waiting = max(self.most_waiting, self.transport.get_write_buffer_size())


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await _converse(scope, receive, send)
        return
    if scope["path"] in {"/slow", "/soon"}:
        await asyncio.sleep(3 if scope["path"] == "/slow" else 0.5)
    elif scope["path"] != "/refused":
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
    body = b"x" * 20_000_000 if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _converse(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if scope["path"] == "/never":
        await receive()
        return
    await send({"type": "websocket.accept"})
    if scope["path"] == "/closes":
        await send({"type": "websocket.close", "code": 1000})
    while (await receive())["type"] != "websocket.disconnect":
        pass


class Row(msgspec.Struct, frozen=True):
    """What brings a connection into a state, and what the server does when its clock has run out."""

    state: State | str
    sent: bytes
    clock_s: float  # inf: it stays
    answer: bytes  # begins so
    then: bytes = b""  # sent again and again, to hold it
    reads: bool = True
    closes: bool = False  # its side, after what it sent


def head(method: bytes = b"GET", path: bytes = b"/", more: bytes = b"") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"


LONG = b"Content-Length: 1000000\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n"
LATE, GOOD, SWITCHED = b"HTTP/1.1 408", b"HTTP/1.1 200", b"HTTP/1.1 101"
TABLE = [
    Row(State.FRESH, b"", PACE.head_s, b""),
    Row(State.FRESH, b"\r\n", PACE.head_s, b"", then=b"\r\n"),
    Row(State.HEAD, b"GET / HT", PACE.head_s, LATE),
    Row(State.HEAD, b"GET / HTTP/1.1\r\nA: ", PACE.head_s, LATE, then=b"x"),
    Row(State.HEAD, head() + b"GET / HT", PACE.head_s, GOOD, then=b""),
    Row(State.BODY, head(b"POST", more=LONG), PACE.body_idle_s, LATE),
    Row(State.BODY, head(b"POST", more=CHUNKS) + b"5;a", PACE.body_idle_s, LATE, then=b"x"),
    Row(State.BODY, head(b"POST", more=b"Expect: 100-continue\r\n" + LONG), PACE.body_idle_s, b"HTTP/1.1 100"),
    Row(State.STREAM, head(b"POST", b"/v1/realtime/publish", CHUNKS), PACE.stream_idle_s, LATE),
    Row(State.ANSWERED, head(b"POST", b"/refused", LONG), PACE.body_idle_s, GOOD, then=b"x" * 1_000),
    Row(State.WORKING, head(path=b"/slow", more=b"Connection: close\r\n"), 3.0, GOOD, then=b"\r\n"),
    Row(State.WORKING, head(b"POST", b"/soon", b"Content-Length: 2\r\n") + b"{}", 0.5, GOOD, closes=True),
    Row(State.HALF_CLOSED, head(path=b"/slow"), PACE.half_closed_s, b"", closes=True),
    Row(State.IDLE, head(), PACE.keep_alive_s, GOOD),
    Row(State.IDLE, head(), PACE.keep_alive_s, GOOD, then=b"\r\n"),
    Row(State.IDLE, head(path=b"/large"), PACE.write_idle_s, GOOD, reads=False),
    Row(State.REFUSED, b"junk\r\n\r\n", PACE.linger_s, b"HTTP/1.1 400", then=b"junk"),
    Row("handshake", head(path=b"/never", more=UPGRADE), PACE.handshake_s, b""),
    Row("handshake", head(more=UPGRADE.replace(b"Key", b"Kee")), 0, b"HTTP/1.1 400"),
    Row("handshake", head(more=UPGRADE + b"Content-Length: 1\r\n"), 0, b"HTTP/1.1 400"),
    Row("handshake", head(more=UPGRADE + b"A: " + b"x" * 20_000 + b"\r\n"), 0, b"HTTP/1.1 400"),
    Row("open", head(path=b"/chat", more=UPGRADE), 3 * PING_S, SWITCHED),
    Row("open", head(path=b"/chat", more=UPGRADE), 3 * PING_S, SWITCHED, then=b"\x89\x80abcd"),  # pings of its own
    Row("closing", head(path=b"/closes", more=UPGRADE), PACE.handshake_s, SWITCHED),
    Row("closing", head(path=b"/closes", more=UPGRADE), PACE.handshake_s, SWITCHED, then=b"\x89\x80abcd"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    Watched.ended_in = []
    config = uvicorn.Config(
        app, http=Watched, ws=WatchedSocket, lifespan="off", log_config=None, ws_ping_interval=PING_S,
        ws_ping_timeout=2 * PING_S,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


def test_each_state_is_in_the_table() -> None:
    assert {row.state for row in TABLE if isinstance(row.state, State)} == set(State)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.state}-{row.sent[:30]!r}-{row.then[:4]!r}")
def test_a_clock_ends_it(address: tuple[str, int], row: Row) -> None:
    Watched.ended_in.clear()
    with socket.create_connection(address) as client:
        began = time.monotonic()
        client.sendall(row.sent)
        if row.closes:
            client.shutdown(socket.SHUT_WR)
        got = _until_closed(client, row, began + row.clock_s + LATE_S + 5)
        took = time.monotonic() - began
    assert got.startswith(row.answer)
    assert row.clock_s * 0.9 <= took <= row.clock_s + LATE_S
    if isinstance(row.state, State) and row.state not in {State.WORKING, State.REFUSED}:
        assert _ended_in() == [row.state]


def _ended_in() -> list[State]:
    """The states in which connections ended. The server may notice a moment after the client."""
    latest = time.monotonic() + LATE_S
    while not (ended := [state for state in Watched.ended_in if state is not State.REFUSED]):
        if time.monotonic() > latest:
            break
        time.sleep(0.01)
    return ended


def _until_closed(client: socket.socket, row: Row, latest: float) -> bytes:
    """What came until the server closed. A client that does not read notices when it can't send any more."""
    got = bytearray()
    client.settimeout(0.1)
    while time.monotonic() < latest:
        try:
            if row.then or not row.reads:
                client.sendall(row.then or b"\r\n")
            if not row.reads:
                got = got or bytearray(client.recv(100))
                time.sleep(0.1)
                continue
            if not (piece := client.recv(65_536)) and _gone(client, row):
                return bytes(got)
            got += piece
        except TimeoutError:
            continue
        except ConnectionError:
            return bytes(got)
    raise AssertionError(f"still open after {row.clock_s + LATE_S + 5:.1f} s: {bytes(got[:100])!r}")


def _gone(client: socket.socket, row: Row) -> bool:
    """Whether the connection is closed both ways: what was refused may still send for a moment."""
    if row.state is not State.REFUSED:
        return True
    time.sleep(0.05)
    client.sendall(row.then)
    return False


def test_an_idle_stream_of_the_server_stays(address: tuple[str, int]) -> None:
    """Server-sent events that have nothing to tell: no clock of the port ends them."""
    with socket.create_connection(address) as client:
        client.settimeout(6)
        client.sendall(head(path=b"/slow"))
        time.sleep(2 * max(PACE.keep_alive_s, PACE.write_idle_s))
        assert client.recv(100).startswith(GOOD)


def test_a_web_socket_that_pings_and_never_reads_holds_little(address: tuple[str, int]) -> None:
    """Each ping is owed an answer: those of a peer that takes none are forgotten."""
    pings = (b"\x89\xfdabcd" + b"x" * 125) * 2_000
    sent, began = 0, time.monotonic()
    with socket.create_connection(address) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.sendall(head(path=b"/chat", more=UPGRADE))
        assert client.recv(4_096).startswith(SWITCHED)
        client.settimeout(0.5)
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 3:
                client.sendall(pings)
                sent += len(pings)
    assert 32_768 < WatchedSocket.most_waiting < 200_000 < sent
