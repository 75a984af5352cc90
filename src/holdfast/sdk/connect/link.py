"""One socket to a gateway: its handshake, its frames, its heartbeats, its end (`connect.md` §5, §7)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.protocol import State
from websockets.typing import Subprotocol

from holdfast.protocol import connect_pb2 as pb
from holdfast.sdk.connect import frames

SUBPROTOCOL: Final = Subprotocol("v0.connect.inngest.com")
#: Largest frame that a gateway takes, less what is around a reply.
MOST_FRAME: Final = 8 * 1024 * 1024 - 1024
#: Largest frame that is read: state that is larger is fetched over HTTP.
_MOST_READ: Final = 64 * 1024 * 1024
_OPEN_S: Final = 10.0
#: Seconds in which a gateway registers the apps and says that it is ready.
_HANDSHAKE_S: Final = 60.0
#: Heartbeats in a row that a gateway may leave unanswered.
_MOST_UNANSWERED: Final = 3


class LinkError(Exception):
    """A socket that could not be opened; the text says why."""


class RefusedError(LinkError):
    """The server refused to register an app: other attempts will end like this one."""


class Link:
    """An open socket, after its handshake. `ended`: when it must be replaced; True if the gateway asked for it."""

    def __init__(self, socket: ClientConnection, started: pb.StartResponse, ready: pb.Ready) -> None:
        self._socket = socket
        self.id = started.connection_id
        self.group = started.gateway_group
        self.heartbeat_s = frames.seconds(ready.heartbeat_interval, 10.0)
        self.extend_s = frames.seconds(ready.extend_lease_interval, 30.0)
        self.opened_at = asyncio.get_running_loop().time()
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""
        return self._socket.state is State.OPEN

    def serve(self, on_frame: Callable[[Link, pb.Frame], None]) -> None:
        """Read frames from now on, and send heartbeats."""
        self._tasks = [asyncio.create_task(self._read(on_frame)), asyncio.create_task(self._beat())]

    async def send(self, frame: bytes) -> bool:
        """Send a frame; return whether the socket took it."""
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            return False
        return True

    async def close(self) -> None:
        """Close the socket in an orderly way."""
        for task in self._tasks:
            task.cancel()
        await self._socket.close(1000, "WORKER_SHUTDOWN")
        self._end(asked=False)

    async def _read(self, on_frame: Callable[[Link, pb.Frame], None]) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for data in self._socket:
                self._take(data, on_frame)
        self._end(asked=False)

    def _take(self, data: str | bytes, on_frame: Callable[[Link, pb.Frame], None]) -> None:
        try:
            frame = pb.Frame.FromString(data if isinstance(data, bytes) else data.encode())
        except DecodeError:
            self._socket.transport.abort()
            return
        if frame.kind == pb.GATEWAY_HEARTBEAT:
            self._unanswered = 0
        elif frame.kind == pb.GATEWAY_CLOSING:
            self._end(asked=True)
        else:
            on_frame(self, frame)

    async def _beat(self) -> None:
        while self._unanswered < _MOST_UNANSWERED and await self.send(frames.HEARTBEAT):
            self._unanswered += 1
            await asyncio.sleep(self.heartbeat_s)
        self._socket.transport.abort()

    def _end(self, *, asked: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(asked)


async def open_link(endpoint: str, started: pb.StartResponse, hello: bytes) -> Link:
    """Open a socket and shake hands. Raises LinkError; RefusedError if the apps were refused."""
    try:
        socket = await dial(
            endpoint, subprotocols=[SUBPROTOCOL], compression=None, max_size=_MOST_READ, open_timeout=_OPEN_S,
            close_timeout=1,
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise LinkError(f"{endpoint} can't be reached: {error or type(error).__name__}") from error
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            return Link(socket, started, await _shake_hands(socket, hello))
    except TimeoutError:
        socket.transport.abort()
        raise LinkError("the gateway did not say that it is ready") from None
    except ConnectionClosed as closed:
        reason = closed.rcvd.reason if closed.rcvd is not None else ""
        raise LinkError(f"the gateway closed the connection: {reason or 'no reason was given'}") from None
    except BaseException:
        socket.transport.abort()
        raise


async def _shake_hands(socket: ClientConnection, hello: bytes) -> pb.Ready:
    await _hear(socket, pb.GATEWAY_HELLO)
    await socket.send(hello)
    return pb.Ready.FromString(await _hear(socket, pb.GATEWAY_CONNECTION_READY))


async def _hear(socket: ClientConnection, kind: pb.Kind) -> bytes:
    data = await socket.recv(decode=False)
    try:
        frame = pb.Frame.FromString(data)
        if frame.kind == pb.SYNC_FAILED:
            raise RefusedError(f"the server refused an app: {pb.SyncError.FromString(frame.payload).message}")
    except DecodeError:
        raise LinkError("the gateway sent what is no frame") from None
    if frame.kind != kind:
        raise LinkError(f"the gateway sent {frame.kind} instead of {kind} in the handshake")
    return frame.payload
