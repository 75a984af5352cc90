from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from holdfast.server.api.common.asgi import BodyLimit, Message, Receive, Scope, Send, TooLargeError


async def _length(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await Request(scope, receive).body()
    except (ClientDisconnect, TooLargeError):
        await PlainTextResponse("cut off", 400)(scope, receive, send)
        return
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def ask(chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    sent: list[Message] = []
    waiting = [{"type": "http.request", "body": c, "more_body": i < len(chunks) - 1} for i, c in enumerate(chunks)]

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    asyncio.run(BodyLimit(_length, lambda _path: 10)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_a_body_within_the_limit_passes() -> None:
    assert ask([b"12345", b"67890"], [(b"content-length", b"10")]) == (200, b"10")


def test_an_announced_flood_is_refused_unread() -> None:
    status, body = ask([], [(b"content-length", b"11")])
    assert (status, b"Max 10 bytes" in body) == (413, True)


def test_an_unannounced_flood_is_cut_off() -> None:
    assert ask([b"12345", b"67890", b"1"], []) == (400, b"cut off")
