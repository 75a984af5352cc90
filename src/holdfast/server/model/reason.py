"""Why a run, or an event, stands where it stands: one answer of many, for people and for programs."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ReasonKind(StrEnum):
    """What a run or an event waits for, or what became of it."""

    EXECUTING = "executing"  # its app is being called
    CONCURRENCY = "concurrency"  # a concurrency key is taken
    THROTTLE = "throttle"
    WORKER = "worker"  # all worker slots are taken
    NO_WORKER = "no-worker"  # its app is called over Connect, and no worker of it is there
    PAUSED = "paused"  # its function is paused
    DELAYED = "delayed"  # not due yet
    RETRY = "retry"  # a failed attempt's back-off
    SLEEP = "sleep"
    EVENT = "event"
    SIGNAL = "signal"
    INVOKE = "invoke"
    EXTERNAL = "external"  # its own process drives it
    APP = "app"  # the app can't be reached, or was refused at its sync
    FUNCTION = "function"  # its function is gone
    QUEUED = "queued"  # on its way, this very moment
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    STARTED = "started"  # of an event: a run
    DEBOUNCE = "debounce"
    BATCH = "batch"
    CONDITION = "condition"  # of an event: a trigger's condition is not true
    DUPLICATE = "duplicate"  # of an event: its id was seen before
    UNRECORDED = "unrecorded"  # of an event: no trace is kept of why it started nothing
    NOBODY = "nobody"  # of an event: no function listens


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reason. Times are ms since the epoch; what a kind has no use for is None or empty."""

    kind: ReasonKind
    text: str  # a sentence for people
    since: int | None = None
    until: int | None = None  # when it ends by itself; an estimate for a place in a throttle's queue
    step: str | None = None  # display name
    key: str | None = None  # the expression of a key; the name of an event or a signal
    value: str | None = None  # what the key's expression came to
    limit: int | None = None
    held: int | None = None  # how many hold the key; how many events a batch has
    holders: tuple[str, ...] = ()  # runs, at most ten
    ahead: int | None = None  # how many go first
    attempt: int | None = None  # from 1
    run_id: str | None = None  # the run that was started, invoked, or is in the way
    function: str | None = None  # slug
    mode: str | None = None  # of a pause: queue or skip
