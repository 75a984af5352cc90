"""Deferred invocations: stored with the run, published when it ends (`protocol/execution.md` §5.5)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from holdfast.protocol import limits
from holdfast.protocol.opcodes import Op
from holdfast.protocol.sessions import merge_sessions
from holdfast.server.engine.steps import Answer
from holdfast.server.model.run import Defer

AFTER_RUN = "after_run"
ABORTED = "aborted"
REJECTED = "rejected"


class _AddOpts(msgspec.Struct):
    fn_slug: str | None = None
    input: Raw = Raw()
    meta: Raw = Raw()


class _AbortOpts(msgspec.Struct):
    target_hashed_id: str | None = None


def add(answer: Answer, op: Op) -> None:
    """Remember a defer, once per id. A bad one is rejected; it never fails the run."""
    run = answer.run
    defers = run.state.defers if run.state.defers is not None else {}
    if op.id in defers or len(defers) >= limits.MAX_DEFERS:
        return
    try:
        opts = msgspec.json.decode(op.opts or b"{}", type=_AddOpts)
    except msgspec.DecodeError:
        return
    given, meta = bytes(opts.input), bytes(opts.meta)
    defer = Defer(REJECTED, opts.fn_slug or "", userland_id=op.userland_id or op.display)
    if _acceptable(opts.fn_slug, given, meta, defers):
        defer.status, defer.input, defer.meta = AFTER_RUN, Raw(given), Raw(meta or b"null")
    defers[op.id] = defer
    run.state.defers = defers
    answer.core.changes.touch(run)


def abort(answer: Answer, op: Op) -> None:
    """Take a pending defer back and frees its input."""
    try:
        target = msgspec.json.decode(op.opts or b"{}", type=_AbortOpts).target_hashed_id
    except msgspec.DecodeError:
        return
    defer = (answer.run.state.defers or {}).get(target or "")
    if defer is not None and defer.status == AFTER_RUN:
        defer.status, defer.input = ABORTED, Raw(b"null")
        answer.core.changes.touch(answer.run)


def _acceptable(slug: str | None, given: bytes, meta: bytes, defers: dict[str, Defer]) -> bool:
    held = sum(len(bytes(d.input)) for d in defers.values())
    return bool(
        slug
        and given.lstrip()[:1] == b"{"
        and len(given) + held <= limits.MAX_DEFER_INPUT
        and len(meta) <= limits.MAX_DEFER_META
        and _has_good_sessions(meta)
    )


def _has_good_sessions(meta: bytes) -> bool:
    try:
        merge_sessions(meta or b"null")
    except ValueError:
        return False
    return True
