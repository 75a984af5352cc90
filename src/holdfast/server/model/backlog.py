"""What a function's runs wait for, and how far its flow control is used up. Times in ms since the epoch."""

from __future__ import annotations

import msgspec


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """A concurrency key that is held or waited for."""

    kind: str  # `step`, `run` (held from a run's start to its end), or `app`: the places of its workers
    expression: str | None
    value: str | None
    limit: int
    held: int
    waiting: int  # due jobs, of this function
    holders: tuple[str, ...]  # runs, at most ten; of any function that shares the key


class ThrottleUse(msgspec.Struct, frozen=True):
    """A bucket of a throttle that is not at rest."""

    next_at: int  # when the next run may start
    waiting: int
    first: str | None  # the run that goes next


class RateUse(msgspec.Struct, frozen=True):
    """A bucket of a rate limit that is not at rest."""

    next_at: int  # when it takes the next event; not later than now if it takes one at once


class DebounceUse(msgspec.Struct, frozen=True):
    """A debounce that is pending."""

    value: str | None  # of its key
    event_id: str  # the event that the run will get
    due: int
    latest: int | None  # never later than this


class BatchUse(msgspec.Struct, frozen=True):
    """A batch that is being filled."""

    value: str | None  # of its key
    size: int  # events
    most: int
    due: int


class SingletonUse(msgspec.Struct, frozen=True):
    """A singleton's key, and the run that holds it."""

    run_id: str


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of one function, and for what. Each list holds at most `MOST`; its count tells how many there are."""

    running: int  # calls under way
    waiting_for_keys: int
    waiting_for_throttle: int
    waiting_for_workers: int
    workers: int  # slots of the whole server
    free: int
    paused: str | None  # `queue` or `skip`
    held_by_pause: int
    keys: list[KeyUse]
    key_count: int
    throttles: list[ThrottleUse]
    throttle_count: int
    rate_limits: list[RateUse]
    rate_limit_count: int
    debounces: list[DebounceUse]
    debounce_count: int
    batches: list[BatchUse]
    batch_count: int
    singletons: list[SingletonUse]
    singleton_count: int


#: How many items of each list are named.
MOST = 20
