"""A gateway and its API by a test's own hand: what a worker sends is read frame by frame, and answered at will."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection, serve

from holdfast.protocol import connect_pb2 as pb
from holdfast.sdk.connect.link import SUBPROTOCOL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

WAIT_S = 10.0


class Peer:
    """The gateway's end of one socket."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.hello = pb.Connect()

    async def say(self, kind: pb.Kind, message: Any = None) -> None:
        payload = b"" if message is None else message.SerializeToString()
        await self.socket.send(pb.Frame(kind=kind, payload=payload).SerializeToString())

    async def hear(self, kind: pb.Kind) -> bytes:
        """Wait for a frame of a kind; heartbeats are answered meanwhile, other frames fail the test."""
        while True:
            async with asyncio.timeout(WAIT_S):
                frame = pb.Frame.FromString(await self.socket.recv(decode=False))
            if frame.kind == kind:
                return frame.payload
            assert frame.kind == pb.WORKER_HEARTBEAT, pb.Kind.Name(frame.kind)
            await self.say(pb.GATEWAY_HEARTBEAT)

    async def call(self, request: pb.Request) -> None:
        """Send a call, and wait until it is accepted."""
        await self.say(pb.GATEWAY_EXECUTOR_REQUEST, request)
        accepted = pb.RequestAck.FromString(await self.hear(pb.WORKER_REQUEST_ACK))
        assert accepted.request_id == request.request_id

    async def reply(self, *, acknowledge: bool = True) -> pb.Reply:
        reply = pb.Reply.FromString(await self.hear(pb.WORKER_REPLY))
        if acknowledge:
            await self.say(pb.WORKER_REPLY_ACK, pb.ReplyAck(request_id=reply.request_id))
        return reply

    async def closed(self) -> tuple[int, str]:
        async with asyncio.timeout(WAIT_S):
            await self.socket.wait_closed()
        return self.socket.close_code or 0, self.socket.close_reason or ""


class Gateway:
    """Both ports. `start_statuses` are answers to the next requests for a gateway that are not 200."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.starts: list[tuple[pb.StartRequest, dict[str, str]]] = []
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.start_statuses: list[int] = []
        self.flush_statuses: list[int] = []
        self.flushed: asyncio.Queue[pb.Reply] = asyncio.Queue()
        self.ready = pb.Ready(heartbeat_interval="10s", extend_lease_interval="30s", status_interval="0s")
        self.url = ""
        self.endpoint = ""
        self._done = asyncio.Event()

    async def accept(self) -> Peer:
        """Wait for a worker, and shake hands."""
        peer = await self.dialled()
        await self.welcome(peer)
        return peer

    async def dialled(self) -> Peer:
        """Wait for a worker up to its first message."""
        async with asyncio.timeout(WAIT_S):
            peer = await self.peers.get()
        await peer.socket.send(b"")
        peer.hello = pb.Connect.FromString(await peer.hear(pb.WORKER_CONNECT))
        return peer

    async def welcome(self, peer: Peer, kind: pb.Kind = pb.WORKER_READY) -> None:
        await peer.say(pb.GATEWAY_CONNECTION_READY, self.ready)
        await peer.hear(kind)

    async def on_socket(self, socket: ServerConnection) -> None:
        await self.peers.put(Peer(socket))
        await socket.wait_closed()

    async def on_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, answer = self._answer(head[0].split()[1], headers, body)
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)))
        writer.write(answer)
        await writer.drain()
        writer.close()

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path == "/v0/connect/flush":
            if self.flush_statuses and (status := self.flush_statuses.pop(0)) != 200:
                return status, b"{}"
            self.flushed.put_nowait(pb.Reply.FromString(body))
            return 200, pb.FlushResponse().SerializeToString()
        assert path == "/v0/connect/start"
        self.asked.put_nowait(path)
        self.starts.append((pb.StartRequest.FromString(body), headers))
        if self.start_statuses and (status := self.start_statuses.pop(0)) != 200:
            return status, b'{"error": "no"}'
        number = len(self.starts)
        return 200, pb.StartResponse(
            connection_id=f"01M7Y8W75WQG6YCXHQJJ81TM{number:02}", gateway_endpoint=self.endpoint,
            gateway_group=f"group-{number}", session_token="session", sync_token="sync",
        ).SerializeToString()  # fmt: skip


@asynccontextmanager
async def running() -> AsyncGenerator[Gateway]:
    gateway = Gateway()
    http = await asyncio.start_server(gateway.on_http, "127.0.0.1", 0)
    gateway.url = f"http://127.0.0.1:{http.sockets[0].getsockname()[1]}"
    async with serve(gateway.on_socket, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as sockets:
        gateway.endpoint = f"ws://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}/v0/connect"
        try:
            yield gateway
        finally:
            http.close()
