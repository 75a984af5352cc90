"""Totals of events and of ended runs, in buckets by time (docs/adr/0007)."""

from __future__ import annotations

from typing import Final, NamedTuple

EVENT_BITS: Final = 24
"""A bucket of events is 2^24 ms of reception."""
RUN_DIGITS: Final = 5
"""A bucket of runs is 2^25 ms of the time in their ids: those with the same first digits."""


class EventTotal(NamedTuple):
    """Events of a name in a bucket: how many, and the lowest and highest of their ids."""

    bucket: int
    name: str
    n: int
    low: str
    high: str


class RunTotal(NamedTuple):
    """Ended runs of a function and status in a bucket; when the first and last of them started and ended (ms)."""

    bucket: str
    function_id: str
    status: int
    n: int
    first_started_at: int | None
    last_started_at: int | None
    first_ended_at: int | None
    last_ended_at: int | None
