"""Lifecycle events (`inngest/function.finished` and its kin): making them, and reading them back."""

from __future__ import annotations

import msgspec
from msgspec import Raw

FINISHED = "inngest/function.finished"
FAILED = "inngest/function.failed"
CANCELLED = "inngest/function.cancelled"
INVOKED = "inngest/function.invoked"
DEFERRED = "inngest/deferred.schedule"

#: Runs that these events started tell of nothing: no loops.
SILENT = frozenset({FINISHED, FAILED})

_NO_CHILD_RESULT = (
    b'{"error":{"error":"invoked function was cancelled","name":"Error","message":"invoked function was cancelled"}}'
)
_ABSENT = Raw(b"")
_json = msgspec.json.encode


class _Sessions(msgspec.Struct):
    sessions: Raw = _ABSENT


class _Head(msgspec.Struct):
    name: str = ""
    meta: _Sessions | None = None


class _Correlation(msgspec.Struct):
    correlation_id: str = ""
    parent_run_id: str = ""


class _InvokedData(msgspec.Struct):
    inngest: _Correlation | None = msgspec.field(name="_inngest", default=None)


class _Invoked(msgspec.Struct):
    data: _InvokedData


class _Status(msgspec.Struct):
    status: str = ""


class _FinishedData(msgspec.Struct):
    error: Raw = _ABSENT
    result: Raw = _ABSENT
    inngest: _Status = msgspec.field(name="_inngest", default_factory=_Status)


class _Finished(msgspec.Struct):
    data: _FinishedData


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_invoked = msgspec.json.Decoder(_Invoked).decode
_decode_finished = msgspec.json.Decoder(_Finished).decode


def silent(event: bytes) -> bool:
    """Return whether a run that this event started tells of nothing."""
    return b'"inngest/function.' in event and _decode_head(event).name in SILENT


def sessions(event: bytes) -> bytes:
    """`meta.sessions` of an event as JSON, or nothing."""
    if b'"sessions"' not in event:
        return b""
    meta = _decode_head(event).meta
    return bytes(meta.sessions) if meta else b""


def correlation(event: bytes) -> str:
    """Return the invoker's correlation id, if the event is an invocation that has one."""
    if b'"_inngest"' not in event:
        return ""
    try:
        inngest = _decode_invoked(event).data.inngest
    except msgspec.ValidationError:
        return ""
    return inngest.correlation_id if inngest else ""


def parent_of(event: bytes) -> str:
    """Return the run that deferred, of an `inngest/deferred.schedule` event."""
    try:
        inngest = _decode_invoked(event).data.inngest
    except msgspec.ValidationError:
        return ""
    return inngest.parent_run_id if inngest else ""


def invoke_result(event: bytes) -> tuple[bytes, bool]:
    """Return what an invoker gets of a function.finished event, as stored, and whether that is a failure.

    A cancelled child is a failure: the reference hands over the whole event there, which SDKs take for a result
    (`protocol/flow-control.md` §5.4).
    """
    data = _decode_finished(event).data
    if bytes(data.error):
        return b'{"error":' + bytes(data.error) + b"}", True
    if data.inngest.status == "Cancelled":
        return _NO_CHILD_RESULT, True
    return b'{"data":' + (bytes(data.result) or b"null") + b"}", False


def finished_data(
    *, run_id: str, slug: str, status: str, event: bytes, events: list[bytes], correlation_id: str,
    error: bytes | None, result: bytes | None,
) -> bytes:  # fmt: skip
    """Return the `data` of a lifecycle event (`protocol/flow-control.md` §9.4), keys sorted."""
    parts = [b'{"_inngest":{"status":"%s"}' % status.encode()]
    if correlation_id:
        parts.append(b'"correlation_id":' + _json(correlation_id))
    if error is not None:
        parts.append(b'"error":' + error)
    parts.append(b'"event":' + event)
    parts.append(b'"events":[' + b",".join(events) + b"]")
    parts.append(b'"function_id":' + _json(slug))
    if result is not None:
        parts.append(b'"result":' + result)
    parts.append(b'"run_id":"%s"}' % run_id.encode())
    return b",".join(parts)


def unknown_function_data(correlation_id: str, message: str) -> bytes:
    """The `data` of the function.finished for an invocation that nobody can serve (`protocol/execution.md` §4.8)."""
    return _json({
        "_inngest": {"status": "Failed"},
        "correlation_id": correlation_id,
        "error": {"error": message, "name": "Error", "message": message},
        "function_id": "",
        "run_id": "",
    })  # fmt: skip
