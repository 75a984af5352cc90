"""An upstream's answer, published while it arrives (`protocol/realtime.md` §9): `opts.publish` of a gateway step."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from holdfast.protocol.rawjson import encode
from holdfast.server.drivers.http import Answer
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.realtime.streams import DataStream, StreamTooLongError
from holdfast.server.realtime.topics import Topic

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Where(msgspec.Struct):
    """Where a step wants its upstream's answer to be heard."""

    channel: str = ""
    topic: str = ""


class Relay:
    """One exchange's data stream. Whatever becomes of it, the step is unaffected."""

    def __init__(self, broadcaster: Broadcaster, where: Where, run_id: str, step_id: str, url: str) -> None:
        self._broadcaster = broadcaster
        self._topic = Topic(where.channel, where.topic)
        self._run_id = run_id
        self._step_id = step_id
        self._url = url
        self._stream: DataStream | None = None

    def heard(self, status: int, headers: dict[str, str], piece: bytes) -> None:
        """Publish a piece; a compressed answer waits until it is whole."""
        if "content-encoding" not in headers and not (status in _REDIRECTS and "location" in headers):
            self._write(headers, piece)

    def end(self, answer: Answer | None) -> None:
        """Publish the end; before it, the answer, if it could not be read piece by piece."""
        if self._stream is None and answer is not None:
            self._write(answer.headers, answer.body)
        if self._stream is not None:
            self._stream.end()

    def _write(self, headers: dict[str, str], piece: bytes) -> None:
        if self._stream is None:
            about = {"url": self._url, "content-type": headers.get("content-type", ""), "request_id": self._step_id}
            self._stream = DataStream(self._broadcaster, self._topic, self._run_id, encode(about))
        with contextlib.suppress(StreamTooLongError):  # followers see its beginning, the step sees all of it
            self._stream.write(piece)
