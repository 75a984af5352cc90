"""The limits of the port, over real sockets: each refusal's status and text, and that the server lives on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import uvicorn

from holdfast.protocol.limits import MAX_HEAD, MAX_HEADERS, MAX_PIPELINED, MAX_URL
from holdfast.server.api.common.asgi import vouch
from holdfast.server.serve import http as guarded
from holdfast.server.serve.crowd import Budget
from holdfast.server.serve.http import GuardedHttp
from holdfast.server.serve.pace import Pace

from .serving import Served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from holdfast.server.api.common.asgi import Receive, Scope, Send

HOST = b"Host: x\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST
POST = b"POST /a HTTP/1.1\r\n" + HOST
CLOSE = b"Connection: close\r\n"
LARGE = 30_000_000
CONNECTIONS = 8


class Hurried(GuardedHttp):
    """The server's protocol, with times that tests can wait for."""

    pace = Pace(
        head_s=0.6, body_idle_s=1.0, body_rate=500, write_idle_s=0.6, linger_s=0.5, connections=CONNECTIONS
    )  # fmt: skip


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body; `/large` with much; `/stream` with a little, again and again."""
    body, more = b"", True
    if scope["path"] == "/known":
        vouch(scope)
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message["body"], message["more_body"]
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(12):
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b""})
        return
    text = b"x" * LARGE if scope["path"] == "/large" else b"%d bytes" % len(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


class Port:
    """The protocol on a port, in a thread; and a client."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.address = self._listener.getsockname()
        config = uvicorn.Config(echo, http=Hurried, ws="none", lifespan="off", log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._listener])))
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.address)
        client.settimeout(10)
        return client

    def ask(self, *parts: bytes, pause: float = 0.0) -> tuple[int, Any]:
        """Sends the parts with pauses; the answer's status and body, once the server has hung up."""
        with self.connect() as client:
            try:
                for part in parts:
                    client.sendall(part)
                    time.sleep(pause)
            except OSError:
                pass  # hung up meanwhile
            return parse(read(client))


def read(client: socket.socket) -> bytes:
    got = b""
    while chunk := client.recv(1 << 20):
        got += chunk
    return got


def read_one(client: socket.socket) -> tuple[int, Any]:
    """An answer on a connection that stays open."""
    got = b""
    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < length(got):
        chunk = client.recv(1_000)
        assert chunk, got
        got += chunk
    return parse(got)


def length(answer: bytes) -> int:
    return int(re.findall(rb"content-length: (\d+)", answer)[0])


def parse(answer: bytes) -> tuple[int, Any]:
    if not answer:
        return 0, None
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"] if body[:1] == b"{" else body


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    port = Port()
    yield port
    port.close()


@pytest.fixture(autouse=True)
def _lives_on(port: Port) -> Iterator[None]:
    yield
    assert port.ask(GET + CLOSE + b"\r\n") == (200, b"0 bytes")


HEAD_TEXT = f"The head of the request is over the max size: Max {MAX_HEAD} bytes"
HEADERS_TEXT = f"The request has too many headers: Max {MAX_HEADERS}"
URL_TEXT = f"The URL is over the max size: Max {MAX_URL} bytes"


@pytest.mark.parametrize(
    ("head", "status", "text"),
    [
        (GET + b"A: " + b"x" * (MAX_HEAD + 1) + b"\r\n\r\n", 431, HEAD_TEXT),
        (GET + b"A: " + b"x" * 1_000_000, 431, HEAD_TEXT),
        (GET + b"x" * 1_000_000, 431, HEAD_TEXT),
        (b"GET /" + b"x" * 1_000_000, 431, HEAD_TEXT),
        (b"GET /" + b"x" * MAX_URL + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, URL_TEXT),
        (b"GET /?" + b"a=b&" * MAX_URL + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, URL_TEXT),
        (GET + b"".join(b"A%d: b\r\n" % n for n in range(MAX_HEADERS)) + b"\r\n", 431, HEADERS_TEXT),
    ],
    ids=["header", "endless header", "endless name", "endless url", "url", "query", "headers"],
)
def test_heads(port: Port, head: bytes, status: int, text: str) -> None:
    assert port.ask(head) == (status, text)


def test_heads_just_within(port: Port) -> None:
    headers = b"".join(b"A%d: b\r\n" % n for n in range(MAX_HEADERS - 2))
    assert port.ask(GET + headers + CLOSE + b"\r\n")[0] == 200
    assert port.ask(GET + b"A: " + b"x" * (MAX_HEAD - 100) + b"\r\n" + CLOSE + b"\r\n")[0] == 200
    assert port.ask(b"GET /" + b"x" * (MAX_URL - 1) + b" HTTP/1.1\r\n" + CLOSE + HOST + b"\r\n")[0] == 200


def test_a_head_that_trickles(port: Port) -> None:
    lines = [b"A%d: b\r\n" % n for n in range(24)]
    assert port.ask(GET, *lines, pause=0.05) == (408, "The head of the request took longer than 0.6 seconds")


def test_a_connection_that_never_asks(port: Port) -> None:
    with port.connect() as client:
        assert read(client) == b""


def test_a_second_request_that_trickles(port: Port) -> None:
    with port.connect() as client:
        client.sendall(GET + b"\r\n")
        assert read_one(client)[0] == 200
        time.sleep(0.8)  # an idle connection is kept
        client.sendall(b"GET /b HT")
        assert parse(read(client))[0] == 408


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n"])
def test_a_body_that_stops(port: Port, framing: bytes) -> None:
    assert port.ask(POST + framing + b"abc") == (408, "The body of the request comes too slowly")


def test_a_body_that_trickles(port: Port) -> None:
    """Each byte comes in time, all of them don't."""
    parts = [b"x"] * 30
    assert port.ask(POST + b"Content-Length: 100\r\n\r\n", *parts, pause=0.05)[0] == 408


def test_a_body_that_is_slow_and_steady(port: Port) -> None:
    parts = [b"x" * 100] * 15
    assert port.ask(POST + CLOSE + b"Content-Length: 1500\r\n\r\n", *parts, pause=0.1) == (200, b"1500 bytes")


def test_trailers_without_end(port: Port) -> None:
    trailers = b"".join(b"T%d: x\r\n" % n for n in range(MAX_HEADERS + 1))
    assert port.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + trailers) == (431, HEADERS_TEXT)


def test_framing_without_end(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunk extensions are no body: what they may come to is bounded all the same."""
    monkeypatch.setattr(guarded, "MAX_MESSAGE", 500_000)
    chunk = b"1;" + b"e" * 100_000 + b"\r\na\r\n"
    status, text = port.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 10)
    assert (status, text) == (413, "The request is over the max size: Max 500000 bytes with its framing")


ODD = {
    "length and chunks": POST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded header": GET + b"A: b\r\n c\r\n\r\n",
    "bare line feeds": b"GET /a HTTP/1.1\nHost: x\n\n",
    "no chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + b"x" * 60,
    "NUL in the path": b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in a header": GET + b"A: b\0c\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown method": b"FROB /a HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize(
    "codings",
    [
        b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
    ],
)  # fmt: skip
def test_codings_that_nobody_undoes(port: Port, codings: bytes) -> None:
    """What would be taken for the body is none: an app would read gzip where it expects JSON."""
    status, text = port.ask(POST + codings + b"\r\n0\r\n\r\n")
    assert (status, text) in {(501, "Transfer-Encoding must be chunked, and only once"), _INVALID}


_INVALID = (400, "The request is not valid HTTP/1.1")


def test_http_1_0_has_no_chunks(port: Port) -> None:
    head = b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert port.ask(head) in {(400, "HTTP/1.0 does not allow Transfer-Encoding"), _INVALID}


@pytest.mark.parametrize(
    "hosts",
    [
        b"", HOST + HOST, HOST + b"Host: y\r\n", b"Host: a b\r\n", b"Host: user@evil\r\n", b"Host: x/y\r\n",
        b"Host: \xff\r\n",
    ],
)  # fmt: skip
def test_one_host_is_asked_for(port: Port, hosts: bytes) -> None:
    assert port.ask(b"GET /a HTTP/1.1\r\n" + hosts + b"\r\n") == (400, guarded._ONE_HOST)


@pytest.mark.parametrize("hosts", [b"", HOST, b"Host: [::1]:80\r\n", b"Host:\r\n"])
def test_http_1_0_needs_no_host(port: Port, hosts: bytes) -> None:
    assert port.ask(b"GET /a HTTP/1.0\r\n" + hosts + b"\r\n") == (200, b"0 bytes")


def test_an_offer_of_another_protocol_is_ignored(port: Port) -> None:
    """The request is answered as it stands; the connection ends, since the parser reads no further."""
    offer = b"Connection: Upgrade\r\nUpgrade: foo\r\n"
    assert port.ask(GET + offer + b"\r\n") == (200, b"0 bytes")
    text = "A request with an upgrade must have no body, and must not follow an unanswered request"
    assert port.ask(POST + offer + b"Content-Length: 5\r\n\r\nabcde") == (400, text)


def test_pipelined_requests(port: Port) -> None:
    """So many may wait; who sends more has these answered, and the connection ends."""
    with port.connect() as client:
        client.sendall((GET + b"\r\n") * MAX_PIPELINED + GET + CLOSE + b"\r\n")
        assert read(client).count(b" 200 ") == MAX_PIPELINED + 1
    with port.connect() as client:
        client.sendall((GET + b"\r\n") * (MAX_PIPELINED * 3))
        assert read(client).count(b" 200 ") == MAX_PIPELINED + 1


def test_what_follows_a_good_request_costs_it_nothing(port: Port) -> None:
    with port.connect() as client:
        client.sendall(GET + b"\r\n" + b"junk")
        answers = read(client)
        assert answers.count(b"HTTP/1.1 ") == answers.count(b" 200 OK") == 1


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_http(port: Port, name: str) -> None:
    assert port.ask(ODD[name]) == (400, "The request is not valid HTTP/1.1")


def test_an_offer_of_http_2_is_ignored(port: Port) -> None:
    """Java's client makes it with each first request: the body must not get lost."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with port.connect() as client:
        client.sendall(POST + offer + b"Content-Length: 3\r\n\r\nabc")
        assert read_one(client) == (200, b"3 bytes")
        client.sendall(POST + CLOSE + b"Content-Length: 12\r\n\r\nUpgrade: h2c")
        assert read(client).endswith(b"12 bytes")


def test_a_client_that_does_not_read(port: Port) -> None:
    """It is cut off; what the kernel had taken already may still arrive."""
    got = 0
    with port.connect() as client:
        client.sendall(b"GET /large HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
        time.sleep(1.5)
        with contextlib.suppress(ConnectionResetError):
            while chunk := client.recv(1 << 20):
                got += len(chunk)
    assert 0 < got < LARGE


def test_a_client_that_reads(port: Port) -> None:
    status, body = port.ask(b"GET /large HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert (status, len(body)) == (200, LARGE)


def test_a_long_answer_with_pauses(port: Port) -> None:
    """An answer may take longer than any of the times, as long as it is read."""
    status, body = port.ask(b"GET /stream HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert (status, body.count(b"tick")) == (200, 12)


def test_too_many_connections(port: Port) -> None:
    """Those that are being served keep their places."""
    clients = [port.connect() for _ in range(CONNECTIONS)]
    text = f"The server has reached its limit of {CONNECTIONS} connections; try again"
    try:
        for client in clients:
            client.sendall(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
            assert client.recv(10)
        assert port.ask(GET + b"\r\n") == (503, text)
    finally:
        for client in clients:
            client.close()
    wait_for_room(port)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /a HT", GET + b"\r\n", POST + b"Content-Length: 9\r\n\r\n"])
def test_who_does_nothing_gives_its_place(port: Port, sent: bytes) -> None:
    """Strangers can't keep others out by holding all connections that there are: the oldest one goes."""
    clients = [port.connect() for _ in range(CONNECTIONS)]
    try:
        for client in clients:
            client.sendall(sent)
            if sent.endswith(b"\r\n\r\n") and sent.startswith(b"GET"):
                read_one(client)
        time.sleep(0.2)
        assert port.ask(GET + CLOSE + b"\r\n") == (200, b"0 bytes")
        assert parse(read(clients[0]))[0] in {0, 503}
    finally:
        for client in clients:
            client.close()
    wait_for_room(port)


@pytest.mark.parametrize("half", [GET + b"A: ", POST + b"Content-Length: 100000\r\n\r\n"])
def test_half_sent_requests_of_strangers_have_one_budget(
    port: Port, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    """The oldest one makes room: a client that sends what it has to say is served all the while."""
    monkeypatch.setattr(Hurried, "budget", Budget(100_000))
    text = "The server has too many incomplete requests; try again"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(port.connect()) for _ in range(4)]
        for client in clients:
            client.sendall(half + b"x" * 30_000)
            time.sleep(0.05)
        assert port.ask(POST + CLOSE + b"Content-Length: 30000\r\n\r\n" + b"x" * 30_000) == (200, b"30000 bytes")
        assert parse(read(clients[0])) == (503, text)
        assert parse(read(clients[3]))[0] == 408
    assert Hurried.budget.held == 0


def test_who_is_known_is_not_on_the_budget(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hurried, "budget", Budget(100_000))
    parts = [b"x" * 40_000] * 5
    head = b"POST /known HTTP/1.1\r\n" + HOST + CLOSE + b"Content-Length: 200000\r\n\r\n"
    assert port.ask(head, *parts, pause=0.05) == (200, b"200000 bytes")
    status, _ = port.ask(head.replace(b"/known", b"/other"), *parts, pause=0.05)
    assert status == 503


def test_connections_leave_room_for_files() -> None:
    """In a process of its own: the limit of files is the process's."""
    code = """if True:
        import resource
        from holdfast.server.serve.pace import make_room
        for hard, wanted in ((100_000, 10_000), (1_000, 744), (200, 16)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
            assert make_room().connections == wanted, hard
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 100_000:
        code = code.replace("(100_000, 10_000), ", "")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def wait_for_room(port: Port) -> None:
    deadline = time.monotonic() + 10
    while port.ask(GET + CLOSE + b"\r\n")[0] != 200:
        assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("limits")
    with Served(folder) as server:
        yield server


JSON = {"content-type": "application/json"}
DEEP = b"[" * 100_000
NESTED = b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"  # valid, in a member that nobody knows


def cursor(json: bytes) -> str:
    return quote(base64.b64encode(json), safe="")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/e/key", b'{"name": "a", "data": ' + DEEP, 400),
        ("POST", "/e/key", DEEP, 400),
        ("POST", "/e/key", b'{"name": "a\xff", "data": {}}', 400),
        ("POST", "/e/key", b'{"name": "a", "data": {"x": "\\ud800"}}', None),
        ("POST", "/e/key", b'{"name": "a", "data": {"n": 1' + b"0" * 100_000 + b"}}", None),
        ("POST", "/e/key", b'{"name": "a", "data": {"n": 1}, "data": {"n": 2}}', 200),
        ("POST", "/e/key", b'{"name": "a\\u0000b", "data": {}}', None),
        ("POST", "/invoke/" + "x" * 10_000, b"{}", None),
        ("POST", "/invoke/x", DEEP, 400),
        ("POST", "/fn/register", DEEP, 400),
        ("POST", "/v1/signals", DEEP, 400),
        ("POST", "/v1/cancellations", DEEP, 400),
        ("POST", "/v0/gql", DEEP, 400),
        ("POST", "/v0/gql", b'{"query": "{ apps { id } }"}', 200),
        ("GET", "/v1/runs/" + "x" * 10_000, None, None),
        ("GET", "/v1/events/%00%ff", None, None),
        ("GET", "/v1/events?" + "&".join(f"a{n}=b" for n in range(2_000)), None, None),
        ("GET", "/v1/events?limit=99999999999999999999999", None, None),
        ("GET", "/v1/events?limit=--5", None, 200),
        ("GET", "/v1/events?limit=" + "9" * 5_000, None, 200),
        ("GET", "/v0/access/audit?limit=" + "9" * 5_000, None, 400),
        ("POST", "/fn/step-limit?functionId=00000000-0000-4000-b000-000000000000&limit=" + "9" * 5_000, b"", 400),
        ("POST", "/v2/events", b'{"name": "a", "data": {}, "ts": "' + b"9" * 5_000 + b'"}', 400),
        (
            "GET",
            "/v2/runs?timeField=startedAt&cursor=" + cursor(b'{"id":"","c":{"started_at":{"f":"","v":%d}}}' % 2**63),
            None,
            400,
        ),
        ("GET", "/v2/runs?cursor=" + cursor(b'{"id":"x","y":' + b"[" * 2_000 + b"]" * 2_000 + b"}"), None, None),
        ("POST", "/v2/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/scores", b'[{"name": "a", "value": 1' + b"0" * 400 + b"}]", 400),
        (
            "POST",
            "/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/metadata",
            b'{"metadata": [{"kind": "x", "op": "add", "values": {"a": 1' + b"0" * 400 + b"}}]}",
            400,
        ),
        ("GET", "/" + "%2e%2e%2f" * 100 + "etc/passwd", None, 404),
        ("GET", "/" + "x" * MAX_URL, None, 414),
        ("DELETE", "/v1/runs/%ed%a0%80", None, None),
    ],
)
def test_odd_requests_of_a_whole_server(
    served: Served, method: str, path: str, body: bytes | None, status: int | None
) -> None:
    found, answer = served.request(method, path, body, JSON)
    assert found == status or (status is None and found < 500), answer[:300]
    assert b"Traceback" not in answer
    assert served.errors() == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/login", 413),
        ("/v0/access/users", 400),
        ("/v1/signals", 400),
        ("/v1/functions/x/pause", 400),
        ("/v1/cancellations", 400),
        ("/v2/events", 400),
        ("/v2/env/webhooks", 400),
        ("/v2/runs/x/rerun", 400),
        ("/v2/runs/x/scores", 400),
        ("/v1/realtime/token", 400),
        ("/v1/checkpoint", 400),
        ("/v1/checkpoint/x/async", 400),
        ("/v1/traces/userland", 400),
        ("/v0/gql", 400),
        ("/invoke/x", 400),
    ],
)
def test_bodies_that_nest_where_nobody_looks(served: Served, path: str, status: int) -> None:
    for body in (NESTED, b"[" + NESTED + b"]"):
        found, answer = served.request("POST", path, body, JSON)
        assert found == status, answer[:300]
    assert served.errors() == []


def test_a_publisher_that_goes_away_is_no_error(served: Served) -> None:
    for path in (b"/v1/realtime/publish", b"/v1/realtime/token"):
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            with contextlib.suppress(ConnectionError):
                client.recv(1_000)  # to its end
    assert served.request("GET", "/health")[0] == 200
    assert served.errors() == []
