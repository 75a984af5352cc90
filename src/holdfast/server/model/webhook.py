"""Webhooks: requests of other services that become events."""

from __future__ import annotations

from typing import Literal

import msgspec


class EventFilter(msgspec.Struct, frozen=True):
    """Which events of a webhook are taken, by their names: only these, or all but these."""

    events: list[str]
    filter: Literal["ALLOW", "DENY"]

    def lets(self, name: str) -> bool:
        """Return whether an event is taken."""
        return (name in self.events) is (self.filter == "ALLOW")


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. `response` is empty for the answer of the Event API. Times are ms since the epoch."""

    id: str
    key: str
    name: str
    transform: str
    response: str = ""
    event_filter: EventFilter | None = None
    created_at: int
    updated_at: int
