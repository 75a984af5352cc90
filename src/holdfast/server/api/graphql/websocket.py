"""GraphQL over WebSockets: `graphql-transport-ws`, and the older `graphql-ws`.

There are no subscriptions: each operation has one answer, after which it is complete.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import structlog
from starlette.websockets import WebSocketDisconnect

from holdfast.protocol.limits import GQL_SOCKET_OPERATIONS
from holdfast.protocol.rawjson import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.websockets import WebSocket

_MODERN: Final = "graphql-transport-ws"
_OLD: Final = "graphql-ws"
_PING_S: Final = 10.0
_INIT_S: Final = 10.0
_BAD_MESSAGE: Final = 4400
_UNAUTHORISED: Final = 4401
_INIT_TIMEOUT: Final = 4408
_DUPLICATE: Final = 4409
_TOO_MANY_INITS: Final = 4429


_FAILED: Final = b'{"errors":[{"message":"internal system error"}],"data":null}'
_log = structlog.get_logger(__name__)


class _Message(msgspec.Struct, omit_defaults=True):
    type: str
    id: str = ""
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _CloseError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Conversation:
    """One WebSocket. `execute` takes a request's JSON and answers a body."""

    def __init__(self, socket: WebSocket, execute: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._socket = socket
        self._execute = execute
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ready = False
        offered = socket.scope.get("subprotocols") or ()
        self._protocol: Literal["graphql-transport-ws", "graphql-ws"] = _OLD if offered[:1] == [_OLD] else _MODERN
        self._offered = self._protocol in offered

    async def hold(self) -> None:
        """Converse until either side ends it."""
        await self._socket.accept(self._protocol if self._offered else None)
        pings = asyncio.create_task(self._keep_alive())
        try:
            await self._listen()
        except _CloseError as error:
            await self._socket.close(error.code, str(error))
        except WebSocketDisconnect:
            pass
        finally:
            for task in (pings, *self._tasks.values()):
                task.cancel()

    async def _listen(self) -> None:
        while True:
            async with asyncio.timeout(None if self._ready else _INIT_S) as waiting:
                try:
                    text = await self._socket.receive_text()
                except KeyError:
                    raise _CloseError(_BAD_MESSAGE, "messages are texts") from None
                except asyncio.CancelledError:
                    if waiting.expired():
                        raise _CloseError(_INIT_TIMEOUT, "Connection initialisation timeout") from None
                    raise
            if not await self._take(_message(text)):
                return

    async def _take(self, message: _Message) -> bool:
        """Handle a message; False ends the conversation."""
        match message.type:
            case "connection_init":
                if self._ready:
                    raise _CloseError(_TOO_MANY_INITS, "Too many initialisation requests")
                self._ready = True
                await self._send(_Message("connection_ack"))
            case "ping":
                await self._send(_Message("pong"))
            case "pong":
                pass
            case "subscribe" | "start":
                self._begin(message)
            case "complete" | "stop":
                task = self._tasks.pop(message.id, None)
                if task is not None:
                    task.cancel()
            case "connection_terminate":
                return False
            case _:
                raise _CloseError(_BAD_MESSAGE, "Invalid message received")
        return True

    def _begin(self, message: _Message) -> None:
        if not self._ready:
            raise _CloseError(_UNAUTHORISED, "Unauthorized")
        if not message.id:
            raise _CloseError(_BAD_MESSAGE, "Invalid message received: no id")
        if message.id in self._tasks:
            raise _CloseError(_DUPLICATE, f"Subscriber for {message.id} already exists"[:120])
        if len(self._tasks) >= GQL_SOCKET_OPERATIONS:
            raise _CloseError(_BAD_MESSAGE, f"more than {GQL_SOCKET_OPERATIONS} operations at once")
        payload = b"" if message.payload is msgspec.UNSET else bytes(message.payload)
        self._tasks[message.id] = asyncio.create_task(self._perform(message.id, payload))

    async def _perform(self, id: str, payload: bytes) -> None:
        try:
            body = await self._answer(payload)
            kind = "next" if self._protocol == _MODERN else "data"
            await self._send(_Message(kind, id, msgspec.Raw(body)))
            await self._send(_Message("complete", id))
        except (WebSocketDisconnect, RuntimeError):
            _log.debug("a client disconnected before its response", id=id)
        finally:
            if self._tasks.get(id) is asyncio.current_task():
                del self._tasks[id]

    async def _answer(self, payload: bytes) -> bytes:
        try:
            return await self._execute(payload)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client must not wait for ever
            _log.error("a graphql operation failed", exc_info=error)
            return _FAILED

    async def _keep_alive(self) -> None:
        kind = "ping" if self._protocol == _MODERN else "ka"
        while True:
            await asyncio.sleep(_PING_S)
            if self._ready:
                await self._send(_Message(kind))

    async def _send(self, message: _Message) -> None:
        await self._socket.send_text(msgspec.json.encode(message).decode())


def _message(text: str) -> _Message:
    try:
        return msgspec.json.decode(text, type=_Message)
    except UNREADABLE:
        raise _CloseError(_BAD_MESSAGE, "Invalid message received") from None
