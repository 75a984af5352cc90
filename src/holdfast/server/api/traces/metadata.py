"""Metadata of spans: what the server measured and what SDKs reported (`graphql.md` §12.3, `http-apis.md` §8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.server.model.span import Call

Scope = Literal["unknown", "run", "step", "step_attempt", "extended_trace", "request"]


class Metadata(msgspec.Struct):
    """All values of one kind and scope; `updated_at` in ms since the epoch."""

    scope: str
    kind: str
    values: dict[str, object]
    updated_at: int


class _Update(msgspec.Struct):
    kind: str
    values: dict[str, object] = {}
    op: str = "merge"
    scope: str = "step"


_decode_updates = msgspec.json.Decoder(list[_Update]).decode
_encode = msgspec.json.Encoder().encode


def call_metadata(call: Call) -> list[Metadata]:
    """The timing of one request: of the HTTP exchange, unless no answer came, and of the time around it."""
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


def reported_metadata(updates: msgspec.Raw | None, at: int) -> list[Metadata]:
    """Updates that an SDK sent, folded by kind and scope; what isn't a list of updates is left out."""
    if not updates:
        return []
    try:
        found = _decode_updates(updates)
    except msgspec.DecodeError:
        return []
    folded: dict[tuple[str, str], Metadata] = {}
    for update in found:
        entry = folded.setdefault((update.scope, update.kind), Metadata(update.scope, update.kind, {}, at))
        entry.values = _fold(entry.values, update)
    return list(folded.values())


def run_metadata(values: dict[str, msgspec.Raw] | None, at: int) -> list[Metadata]:
    """What was stored for a run as a whole, by kind."""
    found: list[Metadata] = []
    for kind, raw in (values or {}).items():
        found.append(Metadata("run", kind, _decode_values(raw), at))
    return found


def usage(entries: Iterable[Metadata], at: int) -> list[Metadata]:
    """How much metadata a run has; nothing if it has none."""
    size = sum(len(_encode(entry.values)) for entry in entries)
    return [Metadata("run", "inngest.usage", {"metadata_bytes": size}, at)] if size else []


def _decode_values(raw: msgspec.Raw) -> dict[str, object]:
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.ValidationError:
        return {"value": msgspec.json.decode(raw)}


def _fold(values: dict[str, object], update: _Update) -> dict[str, object]:
    match update.op:
        case "set":
            return dict(update.values)
        case "delete":
            return {key: value for key, value in values.items() if key not in update.values}
        case "add":
            return {**values, **{key: _sum(values.get(key), value) for key, value in update.values.items()}}
        case _:
            return {**values, **update.values}


def _sum(known: object, added: object) -> object:
    if isinstance(known, int | float) and isinstance(added, int | float):
        return known + added
    return added
