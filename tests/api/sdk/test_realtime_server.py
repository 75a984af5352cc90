"""Realtime at a real server's port: WebSocket and SSE, what is refused, who is slow, how it ends."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.api.serving import Served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from holdfast.protocol.limits import ENV_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAM = {"content-type": "text/stream"}
KEY = "0f" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("realtime")) as served:
        yield served
    assert served.errors() == []


def token(server: Served, *topics: tuple[str, str], **headers: str) -> str:
    listed = [{"channel": channel, "name": name, "kind": "run"} for channel, name in topics]
    answer = httpx.post(f"{server.url}/v1/realtime/token", json=listed, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jwt"])


def follow(server: Served, *topics: tuple[str, str]) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/v1/realtime/connect?token={token(server, *topics)}")


@contextlib.contextmanager
def events(server: Served, *topics: tuple[str, str]) -> Iterator[Iterator[bytes]]:
    with httpx.stream("GET", f"{server.url}/v1/realtime/sse?token={token(server, *topics)}", timeout=10) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["access-control-allow-origin"] == "*"
        pieces = answer.iter_raw()
        assert next(pieces) == b":\n\n"
        yield pieces


def publish(server: Served, channel: str, topic: str, body: Any, **more: Any) -> httpx.Response:
    query = urlencode({"channel": channel, "topic": topic, **more.pop("query", {})})
    content = body if not isinstance(body, dict) else json.dumps(body)
    return httpx.post(f"{server.url}/v1/realtime/publish?{query}", content=content, **more)


def heard(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(10))
    return message


def test_a_message_over_websocket(server: Served) -> None:
    with follow(server, ("user:1", "ai")) as socket:
        run_id = "01J00000000000000000000000"
        answer = publish(server, "user:1", "ai", {"n": 1}, query={"run_id": run_id, "metadata": '{"m": 2}'})
        assert (answer.status_code, answer.content) == (200, b"")
        message = heard(socket)
        created = message.pop("created_at")
        assert created.endswith("Z")
        assert message == {
            "kind": "data", "data": {"n": 1}, "metadata": {"m": 2}, "channel": "user:1", "env_id": ENV_ID,
            "topic": "ai", "run_id": run_id,
        }  # fmt: skip
        publish(server, "user:1", "ai", b"plain \xc3\xbc", query={"run_id": "none"})
        message = heard(socket)
        assert message["data"] == "plain ü"
        assert "run_id" not in message


def test_several_topics_of_one_message(server: Served) -> None:
    with follow(server, ("many", "a"), ("many", "b")) as socket:
        httpx.post(f"{server.url}/v1/realtime/publish?channel=many&topic=a&topic=b&topic=a", content="1")
        assert [heard(socket)["topic"] for _ in range(2)] == ["a", "b"]
        publish(server, "many", "a", "last")
        assert heard(socket)["data"] == "last"


def test_a_message_over_sse(server: Served) -> None:
    with events(server, ("user:2", "ai")) as pieces:
        publish(server, "user:2", "ai", b'{"n":\n 1}')
        event = next(pieces)
        assert event.startswith(b"data: ")
        assert event.endswith(b"\n\n")
        assert json.loads(event[6:])["data"] == {"n": 1}


def test_a_stream_arrives_while_it_is_made(server: Served) -> None:
    with follow(server, ("user:3", "ai")) as socket:

        def made() -> Iterator[bytes]:
            yield "grü".encode()[:3]
            assert heard(socket)["kind"] == "datastream-start"
            assert heard(socket)["data"] == "gr"
            yield "ü".encode()[1:]
            assert heard(socket)["data"] == "ü"

        assert publish(server, "user:3", "ai", made(), headers=STREAM).status_code == 200
        assert heard(socket)["kind"] == "datastream-end"


def test_raw_bytes_arrive_while_the_request_is_open(server: Served) -> None:
    with events(server, ("run-1", "$stream")) as pieces, follow(server, ("run-1", "$stream")) as socket:

        def made() -> Iterator[bytes]:
            yield b"event: a\n"
            assert next(pieces) == b"event: a\n"
            assert socket.recv(10) == "event: a\n"
            yield b"data: 1\n\n"

        answer = httpx.post(f"{server.url}/v1/realtime/publish/tee?channel=run-1", content=made())
        assert (answer.status_code, answer.content) == (200, b"")
        assert next(pieces) == b"data: 1\n\n"


@pytest.mark.parametrize(
    ("path", "size", "headers", "text"),
    [
        ("?channel=big&topic=a", 512 * 1024 + 1, {}, "The message is larger than 524288 bytes"),
        ("?channel=big&topic=a", 1_024_001, STREAM, "The stream is larger than 1024000 bytes"),
        ("/tee?channel=big", 1_024_001, {}, "The stream is larger than 1024000 bytes"),
    ],
)
def test_what_is_too_large_is_an_error(
    server: Served, path: str, size: int, headers: dict[str, str], text: str
) -> None:
    answer = httpx.post(f"{server.url}/v1/realtime/publish{path}", content=b"x" * size, headers=headers)
    assert answer.status_code == 413
    assert text in answer.text


def test_the_largest_stream_reaches_a_client_that_reads(server: Served) -> None:
    with follow(server, ("large", "a")) as socket:
        assert publish(server, "large", "a", b"x" * 1_024_000, headers=STREAM).status_code == 200
        assert heard(socket)["kind"] == "datastream-start"
        size = 0
        while (message := heard(socket))["kind"] == "chunk":
            size += len(message["data"])
        assert (size, message["kind"]) == (1_024_000, "datastream-end")


def test_topics_change_while_connected(server: Served) -> None:
    with follow(server) as socket:
        socket.send("no json")
        socket.send(b"binary")
        socket.send('{"kind":"sub","data":"forged"}')
        socket.send('{"kind":"dance"}')
        socket.send(json.dumps({"kind": "sub", "data": token(server, ("change", "a"), ("change", "b"))}))
        topic = {"kind": "run", "env_id": ENV_ID, "channel": "change", "name": "a"}
        until(lambda: (publish(server, "change", "a", "1"), try_hear(socket))[1])
        socket.send(json.dumps({"kind": "unsub", "data": [{**topic, "env_id": "another"}]}))
        socket.send(json.dumps({"kind": "unsub", "data": [topic]}))

        def gone() -> bool:
            publish(server, "change", "a", "still")
            publish(server, "change", "b", "mark")
            return heard(socket)["topic"] == "b" or (heard(socket), False)[1]

        until(gone)


def try_hear(socket: ClientConnection) -> bool:
    try:
        return bool(socket.recv(0.05))
    except TimeoutError:
        return False


def until(done: Any) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline


def test_a_frame_that_is_too_large_ends_the_connection(server: Served) -> None:
    with follow(server, ("frame", "a")) as socket:
        socket.send("x" * 40_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(("query", "text"), [("", "Not authenticated"), ("?token=forged", "none of this server's")])
def test_subscribing_needs_a_token(server: Served, query: str, text: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/v1/realtime/connect{query}")
    assert refused.value.response.status_code == 401
    assert text in json.loads(refused.value.response.body)["error"]
    for path in ("connect", "sse"):
        answer = httpx.get(f"{server.url}/v1/realtime/{path}{query}")
        assert answer.status_code == 401
        assert answer.json()["error"].startswith("Not authenticated")


def test_other_mistakes_are_told(server: Served) -> None:
    bearer = {"authorization": f"Bearer {token(server)}"}
    for answer, status, text in (
        (publish(server, "a", "b", "1", headers=bearer), 401, "Not authenticated for publishing"),
        (publish(server, "a", "b", "1", query={"metadata": "{"}), 400, "metadata must be JSON"),
        (publish(server, "a", "", "1"), 400, "topic query parameter required"),
        (httpx.post(f"{server.url}/v1/realtime/publish/tee", content="x"), 400, "channel query parameter required"),
        (httpx.post(f"{server.url}/v1/realtime/token", json={}), 400, "must provide a list of topics"),
        (httpx.get(f"{server.url}/v1/realtime/connect", headers=bearer), 426, "This is a WebSocket"),
    ):
        assert answer.status_code == status
        assert text in answer.text
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server.port}/elsewhere")


def test_a_slow_client_is_dropped_and_nobody_else_notices(server: Served) -> None:
    with follow(server, ("slow", "a")) as quick, socket.create_connection(("127.0.0.1", server.port)) as slow:
        path = f"/v1/realtime/connect?token={token(server, ('slow', 'a'))}"
        slow.sendall(
            f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert slow.recv(12) == b"HTTP/1.1 101"
        took = list[float]()
        with httpx.Client() as client:  # 25 MB, far more than buffers and queue hold
            for n in range(50):
                began = time.perf_counter()
                body = json.dumps(f"{n}" + "x" * 500_000)
                answer = client.post(f"{server.url}/v1/realtime/publish?channel=slow&topic=a", content=body)
                assert answer.status_code == 200
                assert heard(quick)["data"].startswith(f"{n}x")
                took.append(time.perf_counter() - began)
        assert sorted(took)[25] < 0.5
        slow.settimeout(20)
        tail = b""
        while b"too slow" not in tail:  # the last that it hears is why
            data = slow.recv(1 << 20)
            assert data
            tail = (tail + data)[-300:]


def test_the_end_of_the_server_is_told(tmp_path: Path) -> None:
    with Served(tmp_path) as server, events(server, ("end", "a")) as pieces, follow(server, ("end", "a")) as socket:
        began = time.perf_counter()
        assert server.stop() == 0
        assert time.perf_counter() - began < 3
        assert heard(socket)["kind"] == "closing"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        text = b"".join(pieces)
        assert b'"kind":"closing"' in text
        assert text.endswith(b": the server is shutting down; reconnect\n\n")
        assert server.errors() == []


def test_with_a_signing_key(tmp_path: Path) -> None:
    with Served(tmp_path, "--signing-key", KEY, "--event-key", "test", mode="start") as server:
        key = {"authorization": f"Bearer {KEY}"}
        for path in ("token", "publish?channel=a&topic=b", "publish/tee?channel=a"):
            answer = httpx.post(f"{server.url}/v1/realtime/{path}", content="[]")
            assert (answer.status_code, answer.text) == (401, "Authentication failed\n")
            assert httpx.post(f"{server.url}/v1/realtime/{path}", content="[]", headers=key).status_code in {200, 201}
        jwt = token(server, ("a", "b"), **key)
        again = httpx.post(f"{server.url}/v1/realtime/token", json=[], headers={"authorization": f"Bearer {jwt}"})
        assert again.status_code == 401, "a token is not exchanged for another"
        assert httpx.get(f"{server.url}/v1/realtime/sse").text == "Authentication failed\n"
        assert httpx.get(f"{server.url}/v1/realtime/sse", headers=key).json()["error"].startswith("Not authenticated")
        with connect(f"ws://127.0.0.1:{server.port}/v1/realtime/connect?token={jwt}") as socket:
            publish(server, "a", "b", "1", headers=key)
            assert heard(socket)["data"] == 1


def test_tokens_are_good_after_a_restart(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        jwt = token(server, ("a", "b"))
        server.stop()
        server.start()
        with connect(f"ws://127.0.0.1:{server.port}/v1/realtime/connect?token={jwt}") as socket:
            publish(server, "a", "b", "1")
            assert heard(socket)["data"] == 1
