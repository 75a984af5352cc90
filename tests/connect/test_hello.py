"""From the first byte of a socket to the first call: what is taken, what is refused and how."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from holdfast.protocol import connect_pb2 as pb
from holdfast.server.config import Config
from holdfast.server.connect import session, socket

from .rig import App, Rig, TestWorker, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

SHOP = App("shop", "order")
INVALID = (1008, "connect_worker_hello_invalid_payload")


def test_the_frames_of_a_handshake(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        started = await rig.start({"host": "holdfast.local:8288", "authorization": "Bearer abcdef"})
        assert started.gateway_endpoint == f"ws://holdfast.local:{rig.server.gateway.port}/v0/connect"
        assert (started.gateway_group, started.sync_token) == ("gw-dev", "abcdef")
        worker = TestWorker(await rig.dial(), started, [SHOP])
        rig.workers.append(worker)
        assert worker.socket.subprotocol == "v0.connect.inngest.com"
        assert await worker.raw() == b""
        await worker.say(pb.WORKER_CONNECT, worker.hello())
        assert await worker.raw() == bytes.fromhex("08 02 12 0E 0A 03 31 30 73 12 03 33 30 73 1A 02 30 73")
        await worker.socket.send(bytes.fromhex("08 09"))
        assert await worker.raw() == bytes.fromhex("08 0A")
        (conn,) = await rig.conns()
        assert (conn["status"], conn["instance_id"]) == (1, "worker-1")

    play(scene)


def test_the_endpoint_as_workers_reach_it(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        assert (await rig.start({"host": "[::1]:8288"})).gateway_endpoint.startswith("ws://[::1]:")
        assert (await rig.start({"host": ""})).gateway_endpoint.startswith("ws://localhost:")

    play(scene)

    async def told(rig: Rig) -> None:
        assert (await rig.start()).gateway_endpoint == "wss://connect.example.com/v0/connect"

    play(told, Config(discovery=False, poll=False, gateway_url="wss://connect.example.com/v0/connect"))


def _changed(**fields: Any) -> Callable[[pb.Connect], None]:
    def change(hello: pb.Connect) -> None:
        for name, value in fields.items():
            setattr(hello, name, value)

    return change


def _token(**claims: Any) -> Callable[[pb.Connect], None]:
    def change(hello: pb.Connect) -> None:
        known = jwt.decode(hello.auth_data.session_token, options={"verify_signature": False})
        hello.auth_data.session_token = jwt.encode({**known, **claims}, "another secret " * 3, "HS256")

    return change


def _apps(*apps: App) -> Callable[[pb.Connect], None]:
    def change(hello: pb.Connect) -> None:
        del hello.apps[:]
        hello.apps.extend(app.message() for app in apps)

    return change


def _functions(text: bytes) -> Callable[[pb.Connect], None]:
    def change(hello: pb.Connect) -> None:
        hello.apps[0].functions = text

    return change


REFUSED = {
    "no ULID": (_changed(connection_id="x"), INVALID),
    "no instance": (_changed(instance_id=""), INVALID),
    "long instance": (_changed(instance_id="x" * 300), INVALID),
    "no app": (_apps(), INVALID),
    "an app without a name": (_apps(App("", "f")), INVALID),
    "an app twice": (_apps(SHOP, SHOP), INVALID),
    "too many apps": (
        _apps(*(App(f"a{n}", "f") for n in range(101))), (1008, "connect_too_many_apps_per_connection"),
    ),
    "another's token": (_token(), (1008, "connect_authentication_failed")),
    "functions are no JSON": (_functions(b"{"), (1011, "connect_internal_error")),
    "functions are no array": (_functions(b"{}"), (1011, "connect_internal_error")),
    "capabilities are no object": (_changed(capabilities=b"[]"), (1011, "connect_internal_error")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_first_message_that_is_refused(play: Callable[..., None], name: str) -> None:
    change, expected = REFUSED[name]

    async def scene(rig: Rig) -> None:
        worker = TestWorker(await rig.dial(), await rig.start(), [SHOP])
        await worker.raw()
        hello = worker.hello()
        change(hello)
        await worker.say(pb.WORKER_CONNECT, hello)
        assert await worker.closed() == expected
        assert await rig.conns() == []
        assert rig.server.gateway.refused[expected[1]] == 1
        await eventually(lambda: len(rig.server.gateway) == 0 and rig.server.gateway.pending_bytes == 0)

    play(scene)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xff\xff", (1007, "failed to unmarshal Protobuf")),
        (b"\x08\x09", (1008, "connect_worker_hello_invalid_msg")),
        (b"\x08\x01\x12\x02\xff\xff", INVALID),
        (b"x" * (8 * 1024 * 1024 + 1), (1009, "over size limit (8388609 > 8388608 bytes)")),
    ],
)
def test_a_first_frame_that_is_refused(play: Callable[..., None], data: bytes, expected: tuple[int, str]) -> None:
    async def scene(rig: Rig) -> None:
        worker = TestWorker(await rig.dial(), await rig.start(), [SHOP])
        await worker.raw()
        with contextlib.suppress(ConnectionClosed):  # while it still sends
            await worker.socket.send(data)
        code, reason = await worker.closed()
        assert code == expected[0]
        assert reason == expected[1] or code == 1009

    play(scene)


def test_a_token_expires(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        started = await rig.start()
        secret = rig.server.gateway.secret
        started.session_token = session.issue(secret, "x", int(time.time()) - session.LIFETIME_S - 1)
        worker = TestWorker(await rig.dial(), started, [SHOP])
        await worker.raw()
        await worker.say(pb.WORKER_CONNECT, worker.hello())
        assert await worker.closed() == (1008, "connect_authentication_failed")

    play(scene)


def test_who_says_nothing_is_sent_away(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "HELLO_S", 0.2)

    async def scene(rig: Rig) -> None:
        worker = TestWorker(await rig.dial(), await rig.start(), [SHOP])
        assert await worker.closed() == (1008, "connect_worker_hello_timeout")
        _, writer = await asyncio.open_connection("127.0.0.1", rig.server.gateway.port)
        await eventually(lambda: len(rig.server.gateway) == 0)
        writer.close()

    play(scene)


def test_an_app_that_cannot_be_registered_is_told_and_shown(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = TestWorker(
            await rig.dial(), await rig.start(), [App("shop", "order", cancel=[{"event": "x", "if": "((("}])]
        )
        await worker.raw()
        await worker.say(pb.WORKER_CONNECT, worker.hello())
        failed = pb.SyncError.FromString(await worker.hear(pb.SYNC_FAILED))
        assert failed.code
        assert failed.message
        assert await worker.closed() == (1008, failed.code)
        data = await rig.gql("{ apps { name error } }")
        assert data["apps"][0]["error"]

    play(scene)


def test_a_worker_that_says_itself_when_it_is_ready(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(SHOP, manual=True)
        event = await rig.send("order")
        await worker.hears_nothing()
        assert "status" not in (await rig.conns())[0]
        await worker.say(pb.WORKER_READY)
        await worker.complete("done")
        await rig.ended(event)

    play(scene)


def test_other_requests_of_the_port(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        async def get(path: str, *headers: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.gateway.port)
            writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answer

        assert (await get("/v0/")).endswith(b"\r\n\r\n.")
        assert (await get("/ready")).startswith(b"HTTP/1.1 200")
        assert (await get("/other")).startswith(b"HTTP/1.1 404")
        assert (await get("/v0/connect")).startswith(b"HTTP/1.1 426")
        assert (await get("/v0/connect", "Origin: https://evil.example")).startswith(b"HTTP/1.1 403")
        rig.server.gateway.drain()
        assert (await get("/ready")).startswith(b"HTTP/1.1 503")

    play(scene)


def test_a_full_gateway_takes_nobody(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.server.connect import gateway

    monkeypatch.setattr(gateway, "MAX_CONNECTIONS", 1)

    async def scene(rig: Rig) -> None:
        worker = await rig.worker(SHOP)
        status, _ = await rig.request("POST", "/v0/connect/start")
        assert status == 429
        with pytest.raises(InvalidStatus) as refused:
            await rig.dial()
        assert refused.value.response.status_code == 503
        await worker.close()

    play(scene)


def test_a_drain_refuses_new_sockets_and_a_stop_tells_the_old_ones(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(SHOP)
        await rig.send("order")
        request = await worker.request()
        rig.server.gateway.drain()
        other = TestWorker(await rig.dial(), await rig.start(), [SHOP])
        assert await other.closed() == (1001, "connect_gateway_closing")
        await worker.reply(request, "done")
        await worker.acknowledged(request)
        rig.server.gateway.dismiss()
        assert await worker.hear(pb.GATEWAY_CLOSING) == b""
        await rig.server.gateway.close()
        assert await worker.closed() == (1001, "connect_gateway_closing")

    play(scene)


def test_bytes_before_a_token_are_bounded(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MOST_PENDING", 100_000)

    async def scene(rig: Rig) -> None:
        peers = [TestWorker(await rig.dial(), await rig.start(), [SHOP]) for _ in range(3)]
        for peer in peers:
            await peer.raw()
            await peer.socket.send([b"x" * 60_000] * 4)
        await eventually(lambda: len(rig.server.gateway) < 3)
        for peer in peers:
            peer.cut()
        await eventually(lambda: rig.server.gateway.pending_bytes == 0)

    play(scene)
