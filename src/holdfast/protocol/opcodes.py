"""Opcodes: what an SDK reports of its steps (`protocol/execution.md` §3.5, §4.3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Raw

from holdfast.protocol import decode_errors
from holdfast.protocol.errors import step_error
from holdfast.protocol.limits import MAX_STEP_INPUT, MAX_STEP_OUTPUT
from holdfast.protocol.rawjson import (
    MAX_DEPTH,
    UNREADABLE,
    decode_items,
    decode_members,
    decode_raw,
    kind,
    mend,
    pick,
    text_of,
    too_deep,
    unwritable,
)


class Opcode(StrEnum):
    """Every operation that a server knows. Names match exactly or in lower case."""

    NONE = "None"
    STEP = "Step"
    STEP_RUN = "StepRun"
    STEP_ERROR = "StepError"
    STEP_PLANNED = "StepPlanned"
    SLEEP = "Sleep"
    WAIT_FOR_EVENT = "WaitForEvent"
    INVOKE = "InvokeFunction"
    AI_GATEWAY = "AIGateway"
    GATEWAY = "Gateway"
    WAIT_FOR_SIGNAL = "WaitForSignal"
    RUN_COMPLETE = "RunComplete"
    STEP_FAILED = "StepFailed"
    SYNC_RUN_COMPLETE = "SyncRunComplete"
    DISCOVERY_REQUEST = "DiscoveryRequest"
    DEFER_ADD = "DeferAdd"
    DEFER_ABORT = "DeferAbort"


#: Reported beside other steps without being steps themselves.
LAZY = frozenset({Opcode.DEFER_ADD, Opcode.DEFER_ABORT})
#: Make a parallel group coalesce (§4.2, item 4).
PLAN_LIKE = frozenset({
    Opcode.AI_GATEWAY, Opcode.GATEWAY, Opcode.INVOKE, Opcode.SLEEP, Opcode.STEP_PLANNED, Opcode.WAIT_FOR_EVENT,
    Opcode.WAIT_FOR_SIGNAL,
})  # fmt: skip
#: Tell how a step went.
STEPS = frozenset({Opcode.STEP, Opcode.STEP_RUN, Opcode.STEP_ERROR, Opcode.STEP_FAILED})
#: Handled before the others of the same answer, so that a wait can't miss its own event.
FIRST_WAVE = frozenset({Opcode.WAIT_FOR_EVENT, Opcode.DEFER_ADD, Opcode.DEFER_ABORT})


class Op(msgspec.Struct, gc=False):
    """One reported operation.

    `data` and `opts` are the SDK's own JSON, `error` is reduced to what is stored of it (§4.5). null counts as absent
    but for `data` of what is complete: a step that ran, a run that ended.
    """

    op: Opcode
    id: str = ""
    name: str = ""
    display: str = ""  # displayName, else name, else id
    data: bytes | None = None
    error: bytes | None = None
    opts: bytes | None = None
    type: str = ""  # opts.type
    race: bool = False  # opts.parallelMode is "race", in any case
    started_at: int = 0  # ms, from timing; 0 when not given
    ended_at: int = 0
    userland_id: str = ""
    userland_index: int = 0
    input: bytes | None = None  # opts.input
    metadata: bytes | None = None


class OpcodeError(ValueError):
    """An answer's operations can't be read: the whole answer is a failed attempt with this text."""


#: What an error text starts with when an answer isn't made of operations, and when one of them breaks a rule.
UNREADABLE_PREFIX: Final = "error reading generator opcode response: "
INVALID_PREFIX: Final = "error validating generator opcode"

_BY_NAME: Final = {name: op for op in Opcode for name in (op.value, op.value.lower())}
_COMPLETE = frozenset({Opcode.STEP, Opcode.STEP_RUN, Opcode.RUN_COMPLETE, Opcode.SYNC_RUN_COMPLETE})
_WITH_ERROR = frozenset({Opcode.STEP_ERROR, Opcode.STEP_FAILED})
_WITH_INPUT = frozenset({Opcode.STEP, Opcode.STEP_RUN})
_NULL = b"null"
_NS_PER_MS = 1_000_000
_WRAPPING = len(b'{"data":}')


_MAX_INT64 = 2**63 - 1
_Natural = Annotated[int, msgspec.Meta(ge=0, le=_MAX_INT64)]


class _Timing(msgspec.Struct, gc=False):
    a: _Natural = 0
    b: _Natural = 0


class _Userland(msgspec.Struct, gc=False):
    id: str | None = ""
    index: _Natural | None = 0


class _Sent(msgspec.Struct, gc=False, rename={"display": "displayName"}):
    op: str | None = None
    id: str | None = ""
    name: str | None = ""
    display: str | None = ""
    data: Raw = Raw()
    error: Raw = Raw()
    opts: Raw = Raw()
    timing: _Timing | None = None
    userland: _Userland | None = None
    metadata: Raw = Raw()


class _Opts(msgspec.Struct, gc=False, rename={"mode": "parallelMode"}):
    type: Raw = Raw()
    mode: Raw = Raw()
    input: Raw = Raw()


_decode_one = msgspec.json.Decoder(_Sent).decode
_decode_many = msgspec.json.Decoder(list[_Sent]).decode
_decode_opts = msgspec.json.Decoder(_Opts).decode
_decode_userland = msgspec.json.Decoder(_Userland).decode


def parse_ops(body: bytes) -> list[Op]:
    """Read a 206 body: one op or a list of them; an empty list is one anonymous `None`. Raises OpcodeError."""
    if not body.isascii():
        body = body.decode("utf-8", "replace").encode()
    try:
        sent = _decode_many(body) if body[:1] == b"[" else [_decode_one(body)]
    except UNREADABLE:
        sent = _read_slowly(mend(body.strip()))
    else:
        if sent and sent[0].op is None:
            sent = _read_slowly(body)
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(sent)
    if unwritable(body):
        _check_numbers(sent)
    return [_op(op) for op in sent] or [Op(Opcode.NONE)]


def _check_numbers(sent: list[_Sent]) -> None:
    """Refuse numbers that no call could hand on. Metadata goes to no app: it may hold what it likes."""
    for part in (part for op in sent for part in (op.data, op.error, op.opts)):
        if number := unwritable(bytes(part)):
            raise OpcodeError(UNREADABLE_PREFIX + decode_errors.beyond(number))


def _op(sent: _Sent) -> Op:
    opcode = _BY_NAME.get(sent.op) if sent.op is not None else Opcode.NONE
    if opcode is None:
        raise OpcodeError(f"{UNREADABLE_PREFIX}{sent.op} does not belong to Opcode values")
    id_ = sent.id or ""
    name = sent.name or ""
    op = Op(opcode, id_, name, sent.display or name or id_)
    data = bytes(sent.data)
    if data and (data != _NULL or opcode in _COMPLETE):
        op.data = data
        if len(data) + _WRAPPING > MAX_STEP_OUTPUT:
            raise OpcodeError(f"{INVALID_PREFIX} {id_}: step output size is greater than the limit")
    if opcode in _WITH_ERROR:
        op.error = _error(op, bytes(sent.error))
    opts = bytes(sent.opts)
    if opts and opts != _NULL:
        op.opts = opts
        if opts != b"{}":
            _read_opts(op, opts)
    if (timing := sent.timing) is not None:
        op.started_at = timing.a // _NS_PER_MS
        op.ended_at = (timing.a + timing.b) // _NS_PER_MS
    if (userland := sent.userland) is not None:
        op.userland_id = userland.id or ""
        op.userland_index = userland.index or 0
    metadata = bytes(sent.metadata)
    if metadata and metadata != _NULL:
        op.metadata = metadata
    return op


def _error(op: Op, sent: bytes) -> bytes:
    if not sent or sent == _NULL:
        raise OpcodeError(f"{UNREADABLE_PREFIX}Opcode{op.op.value} received without Error field set")
    error = step_error(sent)
    if len(error) > MAX_STEP_OUTPUT:
        raise OpcodeError(f"{INVALID_PREFIX} {op.id}: step output size is greater than the limit")
    return error


def _read_opts(op: Op, json: bytes) -> None:
    """Read what every op may say in its `opts`; what isn't as it should be is left to who knows the op."""
    try:
        opts = _decode_opts(json)
    except UNREADABLE:
        return
    if type_ := bytes(opts.type):
        op.type = text_of(opts.type) if type_[:1] == b'"' else ""
    op.race = bytes(opts.mode).lower() == b'"race"'  # Go's SDK writes "Race"
    input_ = bytes(opts.input)
    if not input_ or input_ == _NULL:
        return
    if input_[:1] == b"[":
        op.input = input_
    elif op.op in _WITH_INPUT:
        raise OpcodeError(f"{INVALID_PREFIX} {op.id}: step input must be a JSON array")
    if len(input_) > MAX_STEP_INPUT:
        raise OpcodeError(f"{INVALID_PREFIX} {op.id}: step input size is greater than the limit")


def _check_depth(ops: list[_Sent]) -> None:
    for op in ops:
        if any(too_deep(bytes(part)) for part in (op.data, op.error, op.opts, op.metadata)):
            raise OpcodeError(UNREADABLE_PREFIX + decode_errors.TOO_DEEP)


def _read_slowly(body: bytes) -> list[_Sent]:
    """Read ops whose keys are in another case or whose lesser parts are odd, or say why they can't be read."""
    if not body:
        raise OpcodeError(UNREADABLE_PREFIX + "no response data")
    if body[:1] not in {b"[", b"{"}:
        raise OpcodeError(UNREADABLE_PREFIX + "expected JSON object or array")
    try:
        items = decode_items(body) if body[:1] == b"[" else [decode_raw(body)]
    except UNREADABLE:
        raise OpcodeError(UNREADABLE_PREFIX + decode_errors.syntax_error(body)) from None
    return [_read_item(index, bytes(item)) for index, item in enumerate(items)]


def _read_item(index: int, json: bytes) -> _Sent:
    if json == _NULL:
        raise OpcodeError(f"{INVALID_PREFIX} {index}: opcode cannot be null")
    if json[:1] != b"{":
        raise OpcodeError(UNREADABLE_PREFIX + decode_errors.not_an_object(kind(json), "state.GeneratorOpcode"))
    members = {name.lower(): value for name, value in decode_members(json).items()}
    return _Sent(
        op=_text(members, "op", "enums.Opcode"),
        id=_text(members, "id"),
        name=_text(members, "name"),
        display=_text(members, "displayname"),
        data=members.get("data", Raw()),
        error=members.get("error", Raw()),
        opts=members.get("opts", Raw()),
        timing=_timing(members.get("timing")),
        userland=_userland(members.get("userland")),
        metadata=members.get("metadata", Raw()),
    )


def _text(members: dict[str, Raw], name: str, wanted: str = "string") -> str | None:
    value = members.get(name)
    if value is None or (found := kind(value)) == "null":
        return None
    if found != "string":
        raise OpcodeError(UNREADABLE_PREFIX + decode_errors.mismatch(found, f"GeneratorOpcode.{name}", wanted))
    return text_of(value)


def _timing(json: Raw | None) -> _Timing | None:
    """Times may be written as floats; what else they are is ignored, they are only shown."""
    try:
        start, duration = (int(float(bytes(value))) for value in pick(bytes(json or b""), "a", "b").values())
    except (ValueError, OverflowError):
        return None
    return _Timing(start, duration) if 0 <= min(start, duration) <= max(start, duration) <= _MAX_INT64 else None


def _userland(json: Raw | None) -> _Userland | None:
    try:
        return _decode_userland(json) if json is not None else None
    except UNREADABLE:
        return None
