"""Durable endpoints (`/v1/checkpoint`): who waits for an output, and who has stopped waiting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.api.telemetry import Rig

from holdfast.protocol.ids import ulid

RUN = ulid(1_700_000_000_000, 7)
EVENT = {"name": "inngest/http.request", "data": {"domain": "http://127.0.0.1:1", "method": "GET", "path": "/pay"}}


@pytest.fixture
def rig() -> Any:
    with Rig(lambda _headers, _body: (200, None)) as rig:
        yield rig


def begun(rig: Rig) -> str:
    """Begins a run that nobody takes up again; answers the token for its output."""
    slept = {"id": "a" * 40, "op": "Sleep", "name": "1h", "displayName": "nap", "opts": {"duration": "1h"}}
    answer = rig.client.post("/v1/checkpoint", json={"run_id": RUN, "event": EVENT, "steps": [slept]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["token"])


def test_who_went_is_not_waited_for(rig: Rig) -> None:
    token = begun(rig)
    sent: list[Any] = []

    async def leave() -> None:
        leaving = asyncio.Event()
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in messages:
                return message
            await leaving.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": f"/v1/checkpoint/{RUN}/output", "raw_path": b"", "query_string": f"token={token}".encode(),
            "headers": [], "server": ("test", 80), "client": ("test", 1), "root_path": "",
        }  # fmt: skip
        answering = asyncio.ensure_future(rig(scope, receive, send))
        done, _ = await asyncio.wait([answering], timeout=0.1)
        assert not done, sent  # the run sleeps for an hour
        leaving.set()
        async with asyncio.timeout(20):
            await answering

    rig.client.loop.run(leave())
    assert not any(message.get("body") for message in sent)
