"""Realtime tokens, and publishing (`protocol/realtime.md` §3, §6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from holdfast.protocol.ids import is_ulid
from holdfast.protocol.rawjson import valid
from holdfast.server.api.common.asgi import TooLargeError, read_body
from holdfast.server.api.common.error_bodies import json_response, public_error
from holdfast.server.api.common.jwt import Tokens
from holdfast.server.api.sdk.realtime.bearers import Gate, Reply, text
from holdfast.server.realtime import grants, messages
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.realtime.streams import MAX_STREAM, DataStream, RawStream, StreamTooLongError
from holdfast.server.realtime.topics import Topic

#: Largest published message in bytes. The reference cuts off what is beyond.
MAX_MESSAGE: Final = 512 * 1024
_MAX_TOKEN_REQUEST: Final = 1024 * 1024
_STREAM: Final = "text/stream"
_TOO_LONG: Final = f"The stream is larger than {MAX_STREAM} bytes; what came before was delivered"


class Publishing:
    """Handles the three POST routes."""

    def __init__(self, broadcaster: Broadcaster, gate: Gate, tokens: Tokens, new_id: Callable[[], str]) -> None:
        self._broadcaster = broadcaster
        self._gate = gate
        self._tokens = tokens
        self._new_id = new_id

    async def token(self, request: Request) -> Response:
        """Makes a subscription token, for who has the key. Unlike the reference's, none is exchanged for another."""
        try:
            topics = grants.parse_topics(await read_body(request.receive, _MAX_TOKEN_REQUEST))
        except ValueError as error:
            return public_error(400, str(error))
        except TooLargeError:
            return public_error(413, f"The list of topics is larger than {_MAX_TOKEN_REQUEST} bytes")
        await self._tokens.load()
        claims = grants.claims(topics, int(time.time()), self._new_id())
        return json_response({"jwt": self._tokens.issue(claims)}, 201)

    async def publish(self, request: Request) -> Response:
        """Publishes one message, or a stream while it arrives, to each topic that is named."""
        refused = await self._gate.refuse_publishing(request, public_error)
        if refused is not None:
            return refused
        query = request.query_params
        topics = [Topic(query.get("channel", ""), name) for name in dict.fromkeys(query.getlist("topic")) if name]
        if not topics:
            return public_error(400, "Invalid request: topic query parameter required")
        run_id = query.get("run_id", "")
        run_id = run_id if is_ulid(run_id) else ""
        metadata = _metadata(query.get("metadata", ""))
        if metadata is None:
            return public_error(400, "Invalid request: metadata must be JSON")
        if request.headers.get("content-type", "").partition(";")[0].strip() == _STREAM:
            sinks = [DataStream(self._broadcaster, topic, run_id, metadata) for topic in topics]
            return await _pour(request, sinks, public_error)
        try:
            data = messages.payload(await read_body(request.receive, MAX_MESSAGE))
        except TooLargeError:
            return public_error(413, f"The message is larger than {MAX_MESSAGE} bytes; publish less, or a {_STREAM}")
        for topic in topics:
            if self._broadcaster.wanted(topic):
                message = messages.message(messages.DATA, data, topic, run_id, metadata)
                self._broadcaster.publish(topic, message)
        return Response()

    async def tee(self, request: Request) -> Response:
        """Passes raw bytes on while they arrive: how durable endpoints stream once a run is taken up again."""
        refused = await self._gate.refuse_publishing(request, text)
        if refused is not None:
            return refused
        channel = request.query_params.get("channel", "")
        if not channel:
            return text(400, "channel query parameter required")
        return await _pour(request, [RawStream(self._broadcaster, channel)], text)


async def _pour(request: Request, sinks: list[DataStream] | list[RawStream], reply: Reply) -> Response:
    """Publishes a body as it arrives; the end of a stream is published whatever becomes of the request."""
    try:
        async for piece in request.stream():
            for sink in sinks:
                sink.write(piece)
    except StreamTooLongError:
        return reply(413, _TOO_LONG)
    finally:
        for sink in sinks:
            sink.end()
    return Response()


def _metadata(text: str) -> bytes | None:
    if not text:
        return b""
    found = valid(text.encode())
    return messages.one_line(found) if found is not None else None
