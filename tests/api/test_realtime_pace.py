"""The clocks of the port, and connections that are slow by nature: subscribers, and publishers of streams."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import connect

from holdfast.protocol.ids import ulid
from holdfast.server.api.common.jwt import Tokens
from holdfast.server.api.sdk import realtime
from holdfast.server.api.sdk.realtime.subscribing import _pieces
from holdfast.server.realtime import grants
from holdfast.server.realtime.broadcaster import Broadcaster, Item
from holdfast.server.realtime.grants import Wanted
from holdfast.server.serve.http import GuardedHttp
from holdfast.server.serve.pace import Pace
from holdfast.server.serve.run import _websocket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NOW = 4_000_000_000


class Hurried(GuardedHttp):
    pace = Pace(head_s=0.2, body_idle_s=0.2, body_rate=1_000_000, write_idle_s=0.2)


class NoKeys:
    guarded = False


def served(test: Callable[[int, Tokens], Awaitable[None]]) -> None:
    """Runs a test against the routes on a port; nothing may go wrong on the loop meanwhile."""

    async def body() -> None:
        wrong: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        tokens = Tokens("x" * 64)
        routes = realtime.routes(Broadcaster(), tokens, NoKeys(), lambda: ulid(NOW, 1))  # type: ignore[arg-type]
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            Starlette(routes=routes), http=Hurried, ws=_websocket, lifespan="off", log_config=None  # type: ignore[arg-type]
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server._serve([listener]))
        await test(listener.getsockname()[1], tokens)
        server.should_exit = True
        await serving
        assert wrong == []

    asyncio.run(body())


def test_a_subscriber_that_is_silent_stays_and_a_stream_may_take_its_time() -> None:
    async def test(port: int, tokens: Tokens) -> None:
        token = tokens.issue(grants.claims([Wanted("c", "t")], NOW, "JTI") | {"iat": 1})
        async with connect(f"ws://127.0.0.1:{port}/v1/realtime/connect?token={token}") as subscriber:
            await asyncio.sleep(0.5)  # longer than any clock of the port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST /v1/realtime/publish?channel=c&topic=t HTTP/1.1\r\nhost: x\r\ncontent-type: text/stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            for word in (b"a", b"b"):
                await asyncio.sleep(0.5)
                writer.write(b"1\r\n%b\r\n" % word)
            writer.write(b"0\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            heard = [json.loads(await subscriber.recv()) for _ in range(4)]
            assert [message["kind"] for message in heard] == ["datastream-start", "chunk", "chunk", "datastream-end"]

    served(test)


def test_who_reads_slowly_has_one_large_message_copied_at_a_time() -> None:
    small, large = Item(b'"s"'), Item(b'"' + b"l" * 300_000 + b'"')
    items = [small, small, large, large, small]
    pieces = list(_pieces(items))
    assert [len(piece) // len(large.data) for piece in pieces] == [1, 1, 0]
    assert b"".join(pieces) == b"".join(b"data: " + item.data + b"\n\n" for item in items)
    assert len(list(_pieces([small] * 64))) == 1
