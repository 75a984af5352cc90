"""What retention asks of a store: what may be deleted, found beside the writer, and deleted in slices by the writer."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from typing import Protocol

import msgspec

from holdfast.server.model.status import RunStatus
from holdfast.server.store.store import Write

Group = Sequence[Write]
"""Deletions that belong together: all or none of them."""

Arrival = tuple[str, int]
"""An event's place in the order of arrival: id, number of the copy."""


class Ended(msgspec.Struct, frozen=True):
    """Ended runs of a status that go: of one function, or of all but some."""

    status: RunStatus
    end: str  # ids are less than this
    before: int  # they ended before this time (ms)
    function: str = ""  # id; all if empty
    excepted: Sequence[str] = ()


class Found(msgspec.Struct, frozen=True):
    """Some of what may be deleted."""

    groups: Sequence[Group]
    events: Collection[str] = ()  # ids of events that go with it
    bytes: int = 0
    last: str | None = None  # id of the last run; None if these were all


class IdleEvents(msgspec.Struct, frozen=True):
    """Events that started nothing, among the next ones in the order of their arrival."""

    groups: Sequence[Group]
    events: Collection[str]
    bytes: int
    last: Arrival | None  # the place of the last one that was looked at; None if that was all


class Erased(msgspec.Struct, frozen=True):
    """What one call of `erase` did."""

    groups: int
    runs: int
    events: int
    took_s: float


class Expiry(Protocol):
    """Finds and deletes what is kept no longer. What is found goes to `erase` as it is."""

    async def functions(self) -> list[tuple[str, str]]:
        """Return ids and slugs of all functions."""
        ...

    async def newest(self, function_id: str, keep: int) -> str | None:
        """Return the id of the newest ended run of a function that is one too many; None if there are no more."""
        ...

    async def ended(self, where: Ended, after: str, most: int) -> Found:
        """Find the first `most` runs of a kind, in the order of their ids, `after` one, and their events."""
        ...

    async def idle_events(self, after: Arrival, before: int, most: int) -> IdleEvents:
        """Look at `most` events after a place; those that came before a time (ms) and started nothing go."""
        ...

    async def expired_keys(self, now: int, most: int) -> Sequence[Group]:
        """Find idempotency keys whose time is over."""
        ...

    async def empty_totals(self) -> Sequence[Group]:
        """Find totals that count nothing any more."""
        ...

    async def idle_functions(self, before: int) -> Sequence[Group]:
        """Find functions without runs that were archived before a time (ms)."""
        ...

    async def idle_apps(self, before: int) -> Sequence[Group]:
        """Find apps without functions that were archived before a time (ms)."""
        ...

    async def old_audit(self, before: int, most: int) -> Sequence[Group]:
        """Find entries of the audit log that are older than a time (ms)."""
        ...

    def erase(self, groups: Sequence[Group], budget_s: float) -> Erased | Awaitable[Erased]:
        """Carry out deletions until about `budget_s` is over, the first group in any case.

        They are durable with the next commit: what is lost is deleted again. Raises StoreError.
        """
        ...

    def shrink(self, budget_s: float) -> bool | Awaitable[bool]:
        """Give free room back to the disk for about `budget_s`. Return whether there may be more to give."""
        ...

    @property
    def settled(self) -> bool:
        """Whether the store's log is at rest: while it is being moved, better nothing is deleted."""
        ...

    def settle(self) -> None:
        """Begin to move the log on if it is long."""
        ...
