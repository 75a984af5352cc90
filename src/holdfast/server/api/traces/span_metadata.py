"""Metadata of spans: what the server measured and what SDKs reported (`graphql.md` §12.3, `http-apis.md` §8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.traces.extraction import AI, add
from holdfast.server.api.traces.prices import priced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.server.model.span import Call
    from holdfast.server.model.telemetry import MetadataUpdate

Scope = Literal["unknown", "run", "step", "step_attempt", "extended_trace", "request"]


class Metadata(msgspec.Struct, gc=False):
    """All values of one kind and scope; `updated_at` in ms since the epoch."""

    scope: str
    kind: str
    values: dict[str, object]
    updated_at: int


class Update(msgspec.Struct, gc=False):
    """A change to the values of one kind and scope, as SDKs report it with a step."""

    kind: str
    values: dict[str, object] = {}
    op: str = "merge"
    scope: str = "step"
    at: int = 0  # ms since the epoch


_decode_updates = msgspec.json.Decoder(list[Update]).decode
_encode = msgspec.json.Encoder().encode


def call_metadata(call: Call) -> list[Metadata]:
    """Return the timing of one request: of the HTTP exchange, unless no answer came, and of the time around it."""
    took = call.ended_at - call.started_at
    http: dict[str, object] = {
        "content_transfer_ms": 0,
        "dns_lookup_ms": 0,
        "server_processing_ms": took,
        "tcp_connection_ms": 0,
        "tls_handshake_ms": 0,
        "total_ms": took,
    }
    latency = max(call.started_at - max(call.scheduled_at, call.queued_at), 0)
    around: dict[str, object] = {
        "network_total_ms": took,
        "queue_delay_ms": 0,
        "system_latency_ms": latency,
        "total_inngest_ms": latency,
    }
    answered = [Metadata("request", "inngest.http.timing", http, call.ended_at)] if call.status else []
    return [*answered, Metadata("request", "inngest.timing", around, call.ended_at)]


def reported(updates: msgspec.Raw | None, at: int) -> list[Update]:
    """Return the updates that an SDK sent with a step; nothing for what isn't a list of updates."""
    if not updates:
        return []
    try:
        found = _decode_updates(updates)
    except UNREADABLE:
        return []
    for update in found:
        update.at = at
    return found


def fold(updates: Iterable[Update]) -> list[Metadata]:
    """Return what updates come to, by kind and scope; calls to models with their estimated cost."""
    folded: dict[tuple[str, str], Metadata] = {}
    for update in updates:
        entry = folded.setdefault((update.scope, update.kind), Metadata(update.scope, update.kind, {}, update.at))
        entry.values = _fold(entry.values, update)
        entry.updated_at = max(entry.updated_at, update.at)
    for entry in folded.values():
        if entry.kind == AI:
            entry.values = priced(entry.values)
    return list(folded.values())


class Posted:
    """Updates that came over HTTP, by what they are about."""

    def __init__(self, updates: Iterable[MetadataUpdate]) -> None:
        self.run: list[Update] = []
        self._steps: dict[tuple[str, int | None], list[Update]] = {}
        self._spans: dict[str, list[Update]] = {}
        for given in updates:
            update = Update(given.kind, given.values, given.op, given.scope, given.at)
            if given.scope == "run":
                self.run.append(update)
                continue
            self._steps.setdefault((given.step_id, given.attempt), []).append(update)
            if given.span_id:
                self._spans.setdefault(given.span_id, []).append(update)

    def of_step(self, step_id: str, attempt: int, *, ended: bool) -> list[Update]:
        """What was told of an attempt of a step; of the step itself too if the attempt is its last, or it is open."""
        told = self._steps.get((step_id, attempt), [])
        return [*told, *self._steps.get((step_id, None), [])] if ended else told

    def of_span(self, span_id: str) -> list[Update]:
        """Return what was told of a span of user code."""
        return self._spans.get(span_id, [])


def run_metadata(values: dict[str, msgspec.Raw] | None, at: int) -> list[Metadata]:
    """Return what was stored for a run as a whole, by kind."""
    found: list[Metadata] = []
    for kind, raw in (values or {}).items():
        found.append(Metadata("run", kind, _decode_values(raw), at))
    return found


def usage(entries: Iterable[Metadata], at: int) -> list[Metadata]:
    """Return how much metadata a run has; nothing if it has none."""
    size = sum(len(_encode(entry.values)) for entry in entries)
    return [Metadata("run", "inngest.usage", {"metadata_bytes": size}, at)] if size else []


def _decode_values(raw: msgspec.Raw) -> dict[str, object]:
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.ValidationError:
        return {"value": msgspec.json.decode(raw)}


def _fold(values: dict[str, object], update: Update) -> dict[str, object]:
    match update.op:
        case "set":
            return dict(update.values)
        case "delete":
            return {key: value for key, value in values.items() if key not in update.values}
        case "add":
            return {**values, **{key: add(values.get(key), value) for key, value in update.values.items()}}
        case _:
            return {**values, **update.values}
