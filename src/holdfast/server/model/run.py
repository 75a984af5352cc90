"""The two JSON columns of a run's row: what its page shows, and what the engine must know while it lives."""

from __future__ import annotations

import msgspec

from holdfast.protocol.tracing import TraceContext

_NULL = msgspec.Raw(b"null")


class RunDetail(msgspec.Struct, omit_defaults=True, gc=False):
    """What a run's page shows and the engine never asks: one JSON column."""

    function_version: int = 0
    skip_reason: str = ""
    skip_existing_run: str = ""
    key: str = ""  # idempotency key
    correlation_id: str = ""  # of the invoker
    deferred_from: str = ""  # run id of the parent that deferred it
    debug_run_id: str = ""
    debug_session_id: str = ""
    cancelled_by: str = ""  # event id, or what else cancelled it
    op: str = ""  # hashed id of the RunComplete op that ended it
    error: str = ""  # the attempt error's text of a failed run
    text: bool = False  # the app's last answer was no JSON: the output is its text, quoted
    metadata: dict[str, msgspec.Raw] | None = None
    trace: TraceContext | None = None  # where the sender of its event stood


class Defer(msgspec.Struct, array_like=True, gc=False):
    """A deferred invocation (`protocol/execution.md` §5.5). `status`: after_run, aborted or rejected."""

    status: str
    function_slug: str
    input: msgspec.Raw = _NULL
    userland_id: str = ""
    meta: msgspec.Raw = _NULL


class RunState(msgspec.Struct, omit_defaults=True, gc=False):
    """What the engine must know of a live run besides its steps, jobs and pauses: one JSON column.

    `pending` is not here: it is `group` without the steps that are memoised.
    """

    request_version: int = -1
    force_plan: bool = False
    group: list[str] | None = None  # the current parallel group
    priority: int = 0  # seconds by which the run goes before its time
    keys: list[str] | None = None  # evaluated concurrency keys
    holds: list[str] | None = None  # keys that it keeps until its end, once it has started
    throttle: str = ""  # its throttle's bucket
    singleton: str = ""  # the singleton key that it holds
    inputs: dict[str, msgspec.Raw] | None = None  # step inputs overridden by a rerun
    defers: dict[str, Defer] | None = None
    attempts: int = 0  # of its function, which may be removed before the run ends; 0: the default
    sync_url: str = ""  # durable endpoint: where its own process answers
    sync_method: str = ""


decode_state = msgspec.json.Decoder(RunState).decode
decode_detail = msgspec.json.Decoder(RunDetail).decode
