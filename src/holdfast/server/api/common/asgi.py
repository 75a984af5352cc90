"""The few ASGI words that bare routes need: types, reading a body, sending an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"
_LATE_MESSAGES = 2  # that may still come of a request that is whole

#: With each 503: a reload takes a fraction of a second, a full disk or a drain rather longer.
RETRY_AFTER = (b"retry-after", b"1")


class TooLargeError(Exception):
    """A request body is larger than the route takes, which is `most` bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"Request body is over the max size: Max {most} bytes")


class DisconnectedError(Exception):
    """The client went away before its request was whole."""


async def read_body(receive: Receive, most: int) -> bytes:
    """Read a request body of at most `most` bytes. Raises TooLargeError or DisconnectedError."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise DisconnectedError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise TooLargeError(most)
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLargeError(most)
    return b"".join(parts)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do what a client waits for whose request was read. If it goes, the work is ended: raises DisconnectedError."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise DisconnectedError
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    for _ in range(_LATE_MESSAGES):
        if (await receive())["type"] == "http.disconnect":
            return
    await asyncio.Event().wait()  # a server that says something else over and over will never tell


def vouch(scope: Scope) -> None:
    """Tell the port that a request has shown a credential: its body is not on the strangers' budget any more."""
    scope.setdefault("state", {})["known"] = True


class BodyLimit:
    """Refuses request bodies above the limit of their path, in bytes, before a route reads them."""

    def __init__(self, app: App, most: Callable[[str], int]) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer 413; what was not announced raises TooLargeError in the route."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most(scope["path"])
        announced = header(scope, b"content-length")
        if announced.isdecimal() and int(announced) > most:
            text = b'{"error":"%s","data":null,"status":413}' % str(TooLargeError(most)).encode()
            await answer(send, 413, text, [(b"content-type", JSON), (b"connection", b"close")])
            return
        seen = 0

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise TooLargeError(most)
            return message

        await self._app(scope, counting, send)


async def answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a whole answer. `headers` are without content-length."""
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"content-length", b"%d" % len(body))],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's value, or nothing."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""
