"""A run as rows know it."""

from __future__ import annotations

import msgspec

from holdfast.server.model.status import RunStatus


class RunRecord(msgspec.Struct, gc=False):
    """The row of a run. Times are ms since the epoch; the id is a ULID whose time is the moment of scheduling."""

    id: str
    function_id: str
    app_id: str
    status: RunStatus
    scheduled_at: int
    event_ids: list[str]  # internal ids of the triggering events
    event_name: str = ""  # of the first
    started_at: int | None = None
    ended_at: int | None = None
    cron: str = ""
    batch_id: str = ""
    original_run_id: str = ""
    output: bytes | None = None  # the bare return value, or the error body
    detail: RunDetail = msgspec.field(default_factory=lambda: RunDetail())
    state: RunState = msgspec.field(default_factory=lambda: RunState())


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
    metadata: dict[str, msgspec.Raw] | None = None


class Defer(msgspec.Struct, array_like=True, gc=False):
    """A deferred invocation (`protocol/execution.md` §5.5). `status`: after_run, aborted or rejected."""

    status: str
    function_slug: str
    input: msgspec.Raw | None = None
    userland_id: str = ""
    meta: msgspec.Raw | None = None


class RunState(msgspec.Struct, omit_defaults=True, gc=False):
    """What the engine must know of a live run besides its steps, jobs and pauses: one JSON column.

    `pending` is not here: it is `group` without the steps that are memoised.
    """

    request_version: int = -1
    force_plan: bool = False
    group: list[str] = []  # the current parallel group
    coalesce: str = ""
    priority: int = 0
    keys: list[str] = []  # evaluated concurrency keys, in the order of the function's limits
    inputs: dict[str, msgspec.Raw] = {}  # step inputs overridden by a rerun
    defers: dict[str, Defer] = {}
    sync_url: str = ""  # durable endpoint: where its own process answers
    sync_method: str = ""


decode_state = msgspec.json.Decoder(RunState).decode
decode_detail = msgspec.json.Decoder(RunDetail).decode
