"""What the port says while a start waits for room on the disk."""

from __future__ import annotations

from typing import Final

from holdfast.server.api.common.asgi import RETRY_AFTER, Receive, Scope, Send, answer

_ALIVE: Final = b'{"status":200,"message":"OK"}\n'
_NOT_READY: Final = b'{"status":503,"message":"the disk is full"}\n'
_REFUSED: Final = (
    b'{"error":"The server\'s disk is full, and it has not started yet. Try again when there is room",'
    b'"data":null,"status":503}\n'
)


class Waiting:
    """An ASGI application: `/health` says that the process lives, everything else that it can do nothing yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a WebSocket is refused."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close"})
        elif scope["path"] == "/health":
            await answer(send, 200, _ALIVE, [])
        else:
            await answer(send, 503, _NOT_READY if scope["path"] == "/ready" else _REFUSED, [RETRY_AFTER])
