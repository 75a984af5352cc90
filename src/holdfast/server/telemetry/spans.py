"""Spans of user code that come by OTLP: which run they are of, and how many are kept (`protocol/http-apis.md` §6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec

from holdfast.protocol.ids import is_ulid
from holdfast.protocol.limits import KIB, MIB
from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.model.telemetry import SpanEvent, UserSpan
from holdfast.server.telemetry import otlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.server.runtime.partition import Partition
    from holdfast.server.store.history import History, SpansKept
    from holdfast.server.telemetry.otlp import OtlpSpan

MAX_BODY: Final = 8 * MIB
MAX_SPAN: Final = 64 * KIB  # bytes of JSON
MAX_SPANS: Final = 2_000  # per run
MAX_SPAN_BYTES: Final = 8 * MIB  # per run
#: A body at least this large is decoded beside the event loop.
LARGE: Final = 16 * KIB

_INTERNAL: Final = "_inngest."
_DELETED: Final = "sys.step.delete"
_RUN: Final = "sdk.run.id"
_FUNCTION: Final = "sys.function.id"
_REFERENCE: Final = "inngest.traceref"
_PARENT: Final = "inngest.step.parentSpanId"
_STEP: Final = "inngest.step.hash"
_ATTEMPT: Final = "inngest.step.attempt"
#: What says where a span belongs; it isn't shown.
_CONSUMED: Final = frozenset({
    _RUN, _FUNCTION, _REFERENCE, _PARENT, _STEP, _ATTEMPT, "sys.app.id", "sdk.app.id", "inngest.traceparent",
    "inngest.step.id", "inngest.step.index",
})  # fmt: skip


class Accepted(msgspec.Struct):
    """What came of a request: how many spans were not taken, and the first reason."""

    rejected: int = 0
    message: str = ""

    def reject(self, message: str) -> None:
        """Counts a span that was not taken."""
        self.rejected += 1
        self.message = self.message or message


class _Reference(msgspec.Struct):
    tp: str


class _Given(msgspec.Struct):
    """A span that says which run it is of."""

    run_id: str
    function_id: str
    span: UserSpan
    json: bytes


class UserSpans:
    """Takes spans of user code and stores them with their runs."""

    def __init__(self, partition: Partition, history: History) -> None:
        self._partition = partition
        self._history = history
        self._spans: Counter[str] = Counter()  # of each run, that are being committed
        self._bytes: Counter[str] = Counter()  # of these

    async def accept(self, body: bytes, encoding: str, *, json: bool, strict: bool) -> Accepted:
        """Stores the spans of an export request; they are durable afterwards.

        Where it is `strict`, a span that doesn't say where it belongs is rejected, else passed over. Raises OtlpError,
        TooLargeError or StoreError.
        """
        work = partial(_read, body, encoding, json=json, strict=strict)
        given, accepted = await asyncio.to_thread(work) if len(body) >= LARGE else work()
        kept = await self._history.user_spans_kept(sorted({one.run_id for one in given}))
        rows: list[tuple[str, UserSpan, bytes]] = []
        spans: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for one in given:
            known = kept.get(one.run_id)
            problem = self._problem(one, known, spans, sizes) if known else f"no run has the ID {one.run_id}"
            if known is None or problem:
                accepted.reject(problem)
                continue
            spans[one.run_id] += 1
            sizes[one.run_id] += len(one.json)
            rows.append((one.run_id, one.span, one.json))
        if rows:
            await self._write(rows, spans, sizes)
        return accepted

    async def _write(self, rows: list[tuple[str, UserSpan, bytes]], spans: Counter[str], sizes: Counter[str]) -> None:
        self._spans += spans
        self._bytes += sizes
        try:
            self._partition.records.add_user_spans(rows)
            await self._partition.committed()
        finally:
            self._spans -= spans
            self._bytes -= sizes

    def _problem(self, given: _Given, kept: SpansKept, spans: Counter[str], sizes: Counter[str]) -> str:
        if given.function_id != kept.function_id:
            return f"the run {given.run_id} is not of the function {given.function_id}"
        if given.function_id not in self._partition.view.functions:
            return f"no active function has the ID {given.function_id}"
        id = given.run_id
        count, size = kept.spans + spans[id] + self._spans[id], kept.size + sizes[id] + self._bytes[id]
        if count >= MAX_SPANS or size + len(given.json) > MAX_SPAN_BYTES:
            return f"a run keeps {MAX_SPANS} spans of {MAX_SPAN_BYTES // MIB} MiB together"
        return ""


def _read(body: bytes, encoding: str, *, json: bool, strict: bool) -> tuple[list[_Given], Accepted]:
    """Unpacks, decodes and sorts out: everything that needs no server."""
    accepted = Accepted()
    reject: Callable[[str], None] = accepted.reject if strict else _pass_over
    given: list[_Given] = []
    for sent in otlp.decode(otlp.unpack(body, encoding, MAX_BODY), json=json):
        if _DELETED in sent.attributes:
            continue
        problem = _misplaced(sent, strict=strict)
        if problem:
            reject(problem)
            continue
        span = _user_span(sent)
        encoded = msgspec.json.encode(span)
        if len(encoded) > MAX_SPAN:
            accepted.reject(f"the span {sent.span_id} has {len(encoded)} bytes; at most {MAX_SPAN} are kept")
            continue
        attributes = sent.attributes
        given.append(_Given(str(attributes[_RUN]).upper(), str(attributes[_FUNCTION]).lower(), span, encoded))
    return given, accepted


def _misplaced(sent: OtlpSpan, *, strict: bool) -> str:
    """Why a span can't be told to be of a run; nothing if it can."""
    if not sent.whole:
        return f"the span {sent.span_id or '(without an id)'} has no trace id, no span id, or times that can't be"
    if strict and not _request(sent.attributes):
        return f"the span {sent.span_id} has no {_REFERENCE} with a tp"
    for name in (_RUN, _FUNCTION):
        if not isinstance(sent.attributes.get(name), str):
            return f"the span {sent.span_id} has no {name}"
    if not is_ulid(str(sent.attributes[_RUN])):
        return f"the span {sent.span_id} has a {_RUN} that is no ULID"
    return ""


def _request(attributes: dict[str, object]) -> str:
    """The span id of the request that a span was made in; nothing if it doesn't say."""
    given = attributes.get(_REFERENCE)
    try:
        parent = msgspec.json.decode(unquote(given), type=_Reference).tp if isinstance(given, str) else ""
    except UNREADABLE:
        return ""
    parts = parent.split("-")
    return parts[2] if len(parts) > 2 else ""


def _user_span(sent: OtlpSpan) -> UserSpan:
    attributes = sent.attributes
    step, attempt, parent = attributes.get(_STEP), attributes.get(_ATTEMPT), attributes.get(_PARENT)
    return UserSpan(
        sent.trace_id, sent.span_id, sent.start, sent.end, parent if isinstance(parent, str) else sent.parent_id,
        sent.name, sent.kind, sent.status, sent.message, str(sent.resource.get("service.name") or ""), sent.scope_name,
        sent.scope_version, _request(attributes), step if isinstance(step, str) else "",
        attempt if type(attempt) is int else 0,  # bool subclasses int and would not decode as one
        {key: value for key, value in attributes.items() if key not in _CONSUMED and not key.startswith(_INTERNAL)},
        sent.resource, [SpanEvent(one.time, one.name, one.attributes) for one in sent.events],
    )  # fmt: skip


def _pass_over(_problem: str) -> None:
    """A span that is not of a run, where others' spans come too."""
