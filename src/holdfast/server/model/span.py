"""What the engine records of finished work. Trace trees and histories are built from these when they are read.

A run's record is the sequence of its rows in `steps` and `spans`, ordered by `seq`. A row in `steps` is a memoised
step: its output is what the SDK gets, its span tells how it came about. A row in `spans` is anything else that
happened: a failed attempt, a call that only planned, the function's own answer. What is still open (a sleeping step, a
wait, a retry that is due) has no row yet: it is in `jobs` and `pauses`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from holdfast.server.model.status import SpanStatus

#: No JSON given. (msgspec decodes no `Raw | None`.)
NULL = msgspec.Raw(b"null")

SpanKind = Literal["step", "attempt", "plan", "function", "kept"]
"""`step`: a memoised step. `attempt`: a step's failed attempt that will be retried. `plan`: a call that only reported
steps. `function`: the function's own outcome or a function-level failed attempt. `kept`: a step that a rerun took over
from the run before it, which is no work of this run and is not shown."""


class Call(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One finished request to the app. Times in ms since the epoch."""

    job: str  # the queue item's id: attempts of one item share it
    target: str  # hashed step id for a targeted request, "" for a discovery
    queued_at: int
    scheduled_at: int
    started_at: int
    ended_at: int
    attempt: int
    status: int  # HTTP status, 0 when no answer came
    headers: dict[str, str]
    size: int  # bytes of the answer
    url: str = ""


class Span(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """One piece of finished work. Field names are short on disk."""

    kind: SpanKind = msgspec.field(name="k")
    status: SpanStatus = msgspec.field(name="s")
    queued_at: int = msgspec.field(name="q")
    started_at: int = msgspec.field(name="b")
    ended_at: int = msgspec.field(name="e")
    name: str = msgspec.field(name="n", default="")  # display name
    step_id: str = msgspec.field(name="i", default="")  # hashed
    op: str = msgspec.field(name="o", default="")  # opcode name as reported
    type: str = msgspec.field(name="t", default="")  # opts.type, such as `step.sendEvent`
    attempt: int = msgspec.field(name="a", default=0)
    max_attempts: int = msgspec.field(name="m", default=0)
    job: str = msgspec.field(name="g", default="")  # groups what one queue item did
    call: Call | None = msgspec.field(name="c", default=None)  # the request whose answer carried this, if it is shown
    #: Sleep: `until`. Wait: `event`, `expression`, `timeout`, `found`, `timed_out`.
    #: Signal: `signal`, `timeout`, `timed_out`.
    #: Invoke: `function`, `event_id`, `timeout`, `return_event`, `run_id`, `timed_out`.
    #: AIGateway: `format` of the provider, `url` and `size` of the request.
    #: Plan: `opened`, the hashed id of the step, if the answer reported one alone.
    #: Function: `text`, if the answer was no JSON and the output is its text, quoted.
    info: dict[str, str | int | bool] | None = msgspec.field(name="f", default=None)
    #: Userland id and index, metadata updates of the SDK.
    userland: dict[str, str | int] | None = msgspec.field(name="u", default=None)
    metadata: msgspec.Raw = msgspec.field(name="d", default=NULL)
    error: str = msgspec.field(name="x", default="")  # the attempt's error text
    input: msgspec.Raw = msgspec.field(name="p", default=NULL)  # opts.input


encode_span = msgspec.json.Encoder(enc_hook=None).encode
decode_span = msgspec.json.Decoder(Span).decode
