"""Opcodes: what an SDK reports of its steps (`protocol/execution.md` §3.5, §4.3)."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Raw


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
#: Handled before the others of the same answer, so that a wait can't miss its own event.
FIRST_WAVE = frozenset({Opcode.WAIT_FOR_EVENT, Opcode.DEFER_ADD, Opcode.DEFER_ABORT})


class Op(msgspec.Struct, gc=False):
    """One reported operation. `data`, `error` and `opts` are the SDK's own JSON; null counts as absent but for `data` of a completed step."""

    op: Opcode
    id: str = ""
    name: str = ""
    display: str = ""  # displayName, else name, else id
    data: bytes | None = None
    error: bytes | None = None
    opts: bytes | None = None
    type: str = ""  # opts.type
    race: bool = False  # opts.parallelMode == "race"
    started_at: int = 0  # ms, from timing; 0 when not given
    ended_at: int = 0
    userland_id: str = ""
    userland_index: int = 0
    input: bytes | None = None  # opts.input
    metadata: bytes | None = None


class OpcodeError(ValueError):
    """An answer's operations can't be read: the whole answer is a failed attempt with this text."""


def parse_ops(body: bytes) -> list[Op]:
    """Reads a 206 body: one op or a list of them."""
    raise NotImplementedError
