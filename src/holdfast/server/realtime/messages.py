"""The JSON envelopes that subscribers receive (`protocol/realtime.md` §4): rendered once, on one line."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from msgspec import Raw

from holdfast.protocol.dates import format_rfc3339
from holdfast.protocol.limits import ENV_ID
from holdfast.protocol.rawjson import encode, quote, valid
from holdfast.server.realtime.topics import Topic

DATA: Final = "data"
STREAM_START: Final = "datastream-start"
STREAM_END: Final = "datastream-end"
CHUNK: Final = "chunk"
CLOSING: Final = "closing"


def message(kind: str, data: bytes, topic: Topic, run_id: str = "", metadata: bytes = b"") -> bytes:
    """Return a message of now. `data` and `metadata` are JSON; what is empty is left out."""
    fields: dict[str, object] = {"kind": kind, "data": Raw(data)}
    if metadata:
        fields["metadata"] = Raw(metadata)
    fields["created_at"] = format_rfc3339(time.time_ns() // 1_000_000, fraction=True)
    if topic.channel:
        fields["channel"] = topic.channel
    fields |= {"env_id": ENV_ID, "topic": topic.name}
    if run_id:
        fields["run_id"] = run_id
    return encode(fields)


def chunk(stream_id: str, data: str, topic: Topic, run_id: str = "") -> bytes:
    """A piece of a data stream. Channel and topic are beyond the reference, whose chunks JavaScript clients drop."""
    fields = {"kind": CHUNK, "stream_id": stream_id, "data": data, "channel": topic.channel, "topic": topic.name}
    if run_id:
        fields["run_id"] = run_id
    return encode(fields)


def closing() -> bytes:
    """The server is going away."""
    return message(CLOSING, b'""', Topic("", ""))


def payload(body: bytes) -> bytes:
    """Return a published body as JSON on one line: itself if it is JSON, else as a string."""
    found = valid(body)
    return one_line(found) if found is not None else quote(body.decode("utf-8", "replace"))


def one_line(json: bytes) -> bytes:
    """JSON without line breaks, which would end an event of an SSE stream."""
    return msgspec.json.format(json, indent=-1) if b"\n" in json or b"\r" in json else json
