"""Data that is published while it arrives (`protocol/realtime.md` §6.2, §6.3): data streams, and raw bytes."""

from __future__ import annotations

import secrets
from typing import Final

from holdfast.protocol.rawjson import quote
from holdfast.server.realtime import messages
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.realtime.topics import STREAM, Topic
from holdfast.server.realtime.utf8 import Cutter

#: Largest stream in bytes.
MAX_STREAM: Final = 1_024_000
_CHUNK: Final = 1_024
_RAW_PIECE: Final = 32 * 1024
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class StreamTooLongError(Exception):
    """More than `MAX_STREAM` bytes; what came before was delivered."""


class _Stream:
    """Pieces of bytes, of which none ends within a character, up to a number of bytes."""

    def __init__(self, largest_piece: int, most: int) -> None:
        self._cutter = Cutter(largest_piece)
        self._left = most

    def write(self, data: bytes) -> None:
        """Publish some data. Raises StreamTooLongError once there is too much; what fits is published before."""
        for piece in self._cutter.feed(data[: self._left]):
            self._publish(piece)
        self._left -= len(data)
        if self._left < 0:
            self._left = 0
            raise StreamTooLongError

    def end(self) -> None:
        """Publish what is left, whatever became of the source."""
        if rest := self._cutter.rest():
            self._publish(rest)

    def _publish(self, piece: bytes) -> None:
        raise NotImplementedError


class DataStream(_Stream):
    """One stream to one topic: start, chunks in order, end."""

    def __init__(
        self, broadcaster: Broadcaster, topic: Topic, run_id: str = "", metadata: bytes = b"", most: int = MAX_STREAM
    ) -> None:
        super().__init__(_CHUNK, most)
        self.id = _new_id()
        self._broadcaster = broadcaster
        self._topic = topic
        self._run_id = run_id
        self._metadata = metadata
        self._mark(messages.STREAM_START)

    def end(self) -> None:
        """Publish what is left, and the end."""
        super().end()
        self._mark(messages.STREAM_END)

    def _publish(self, piece: bytes) -> None:
        text = piece.decode("utf-8", "replace")
        self._broadcaster.publish(self._topic, messages.chunk(self.id, text, self._topic, self._run_id))

    def _mark(self, kind: str) -> None:
        message = messages.message(kind, quote(self.id), self._topic, self._run_id, self._metadata)
        self._broadcaster.publish(self._topic, message)


class RawStream(_Stream):
    """Bytes of a channel's `$stream`, passed on as they are; nothing marks their beginning and end."""

    def __init__(self, broadcaster: Broadcaster, channel: str) -> None:
        super().__init__(_RAW_PIECE, MAX_STREAM)
        self._broadcaster = broadcaster
        self._topic = Topic(channel, STREAM)

    def _publish(self, piece: bytes) -> None:
        self._broadcaster.publish(self._topic, piece, raw=True)


def _new_id() -> str:
    number, text = secrets.randbits(64), ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
