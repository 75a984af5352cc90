"""Senders of hostile events and requests: lists that expressions walk over, bodies that never come."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any

import pytest
import uvicorn

from holdfast.protocol.limits import EXPRESSION_WORK
from holdfast.server.api.common.asgi import Receive, Scope, Send, answer
from holdfast.server.expressions import BudgetError
from holdfast.server.expressions.activation import Activation
from holdfast.server.expressions.compiler import compile
from holdfast.server.serve.http import GuardedHttp
from holdfast.server.serve.pace import Pace
from holdfast.server.webhooks.transform import HookRequest, TransformError, events_of

UNIQUE = "{of}.all(a, {of}.exists_one(b, b == a))"


def test_a_long_list_in_an_event_does_not_hold_up_the_server() -> None:
    """An ordinary expression, whether all ids differ, took a minute for three megabytes of them."""
    found = compile(UNIQUE.format(of="event.data.ids"))
    small = json.dumps({"name": "a", "data": {"ids": list(range(100))}}).encode()
    assert found.is_true(Activation(small))
    large = json.dumps({"name": "a", "data": {"ids": list(range(40_000))}}).encode()
    began = time.process_time()
    with pytest.raises(BudgetError, match="units of work"):
        found.evaluate(Activation(large))
    assert time.process_time() - began < 0.5


def test_each_expression_of_an_event_may_look_at_as_many() -> None:
    count = EXPRESSION_WORK // 8
    activation = Activation(json.dumps({"name": "a", "data": {"ids": [1] * count}}).encode())
    found = compile("event.data.ids.all(a, a == 1)")
    assert found.is_true(activation)
    assert found.is_true(activation)


def test_a_long_list_in_a_webhooks_request_is_refused() -> None:
    request = HookRequest(json.dumps(list(range(5_000))).encode(), {"content-type": "application/json"}, {})
    transform = '{"name": "a", "data": {"unique": ' + UNIQUE.format(of="body") + "}}"
    with pytest.raises(TransformError, match="units of work"):
        events_of(transform, request, 0)


SETTINGS: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_config": None, "timeout_keep_alive": 75}


class Hurried(GuardedHttp):
    pace = Pace(head_s=5, body_idle_s=0.2, body_rate=500, linger_s=0.1)


def test_a_stream_of_who_is_refused_does_not_keep_its_connection() -> None:
    """Streams that are published may pause for a quarter of an hour: those of strangers, too."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 401, b"no", [])

    async def body() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(refuse, http=Hurried, **SETTINGS))
        serving = asyncio.ensure_future(server._serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"POST /v1/realtime/publish?channel=c&topic=t HTTP/1.1\r\n")
        writer.write(b"host: x\r\ntransfer-encoding: chunked\r\n\r\n")
        async with asyncio.timeout(10):
            assert b" 401 " in await reader.read()  # to its end
        writer.close()
        server.should_exit = True
        await serving

    asyncio.run(body())
