"""What comes to a run besides its calls' answers: metadata, and spans of user code (`http-apis.md` §6, §8.4)."""

from __future__ import annotations

from typing import Literal

import msgspec

MetadataScope = Literal["run", "step", "step_attempt", "extended_trace"]
MetadataOp = Literal["merge", "set", "delete", "add"]


class MetadataUpdate(msgspec.Struct, frozen=True):
    """One change to the values of a kind. What it is about is told by the scope and the ids after it."""

    scope: MetadataScope
    kind: str
    op: MetadataOp
    values: dict[str, object]
    at: int  # ms since the epoch; what is added takes the time of its id
    step_id: str = ""  # hashed; "" for the run
    attempt: int | None = None  # None: the step, whichever attempt came to its end
    span_id: str = ""  # of a span of user code


class SpanEvent(msgspec.Struct, array_like=True, frozen=True):
    """Something that happened at a moment of a span; `time` in ns since the epoch."""

    time: int
    name: str
    attributes: dict[str, object] = {}


class UserSpan(msgspec.Struct, omit_defaults=True, frozen=True):
    """A span that user code made, as it is stored: one JSON column. Times are ns since the epoch, ids are hex."""

    trace_id: str
    span_id: str
    start: int
    end: int
    parent_id: str = ""
    name: str = ""
    kind: int = 0  # OTLP's number
    status: int = 0  # OTLP's: 0 unset, 1 ok, 2 error
    message: str = ""  # of an error
    service: str = ""
    scope_name: str = ""
    scope_version: str = ""
    request: str = ""  # the span id of the server's request that it was made in
    step_id: str = ""  # the step that it was made in, hashed
    attempt: int = 0
    attributes: dict[str, object] = {}
    resource: dict[str, object] = {}
    events: list[SpanEvent] = []


decode_user_span = msgspec.json.Decoder(UserSpan).decode
