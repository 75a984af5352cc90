"""An item of the queue, and a durable wait."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class JobKind(StrEnum):
    """Why a job exists (`protocol/flow-control.md` §6.1)."""

    START = "start"
    EDGE = "edge"  # a discovery, or a planned step when `step` is set
    EDGE_ERROR = "edge-error"  # the discovery after a step failed for good
    SLEEP = "sleep"  # wakes a sleeping step, then discovers
    SYNC = "sync"  # a run that its own process drives (durable endpoint): holds the run open, is never dispatched


class Job(msgspec.Struct, array_like=True, gc=False):
    """One thing to do for a run. Rows are keyed by (run, `no`); chaining rewrites the row in place.

    Times are ms since the epoch. `generation` rises with each requeue, `epoch` is the server start that wrote the row:
    together they give the generation on the wire, which must change whenever an item is dispatched anew.
    """

    run_id: str
    no: int
    kind: JobKind
    id: str  # as `X-Inngest-Job-ID`
    due: int
    queued_at: int
    max_attempts: int
    attempt: int = 0
    step: str = ""  # targeted request: hashed id
    outgoing: str = ""  # the step whose end led here
    race: bool = False
    generation: int = 1
    epoch: int = 0
    name: str = ""  # display name of the sleeping or planned step
    step_queued_at: int = 0  # when the sleeping or planned step was reported
    op: str = ""  # a gateway step's opcode, when the job is one
    idle: int = 0  # how many answers without news came before it, one after the other
    counted: bool = False  # a sleep for a length of time, not until a date

    @property
    def discovers(self) -> bool:
        """Whether its call asks what comes next, after a step has ended."""
        return not self.step and not self.op and (self.kind is JobKind.EDGE or self.kind is JobKind.EDGE_ERROR)


class PauseKind(StrEnum):
    """What a pause waits for."""

    EVENT = "event"
    INVOKE = "invoke"
    SIGNAL = "signal"
    CANCEL = "cancel"


class Pause(msgspec.Struct, array_like=True, gc=False, eq=False):
    """A durable wait, keyed by (run, `no`); compared by identity, so that indexes hold it itself.

    It ends by what it waits for or at `expires` (ms since the epoch).
    """

    run_id: str
    no: int
    kind: PauseKind
    expires: int
    created_at: int
    step: str = ""  # hashed id
    name: str = ""  # display name
    event: str = ""  # event name, for EVENT and CANCEL
    expression: str = ""  # interpolated; only `async` is left in it
    key: str = ""  # correlation id (INVOKE) or signal name (SIGNAL)
    race: bool = False
    trigger: str = ""  # the event that created it (CANCEL, INVOKE): never matches itself
    function: str = ""  # INVOKE: the target as asked for
    child: str = ""  # INVOKE: run id of the child, once it exists
    lost: str = ""  # SIGNAL: the name, once another wait has taken it over
    attempt: int = 0
    counted: bool = False  # it lasts for a length of time, not until a date


encode_row = msgspec.json.Encoder().encode
decode_job = msgspec.json.Decoder(Job).decode
decode_pause = msgspec.json.Decoder(Pause).decode
