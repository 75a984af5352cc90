"""The webhooks of a server: made, changed and found by the key in their URL."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from holdfast.server.access.commands import command, found
from holdfast.server.access.principals import Role
from holdfast.server.access.records import row
from holdfast.server.clock import now_ms

if TYPE_CHECKING:
    from holdfast.protocol.ids import UlidSource
    from holdfast.server.access.audit import Audit
    from holdfast.server.access.records import Records, Select

MOST: Final = 1_000


class EventFilter(msgspec.Struct, frozen=True):
    """Which events of a webhook are taken, by their names: only these, or all but these."""

    events: list[str]
    filter: Literal["ALLOW", "DENY"]

    def lets(self, name: str) -> bool:
        """Whether an event is taken."""
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


class TooManyWebhooks(Exception):
    """A server keeps no more of them."""


class _Row(msgspec.Struct, frozen=True):
    id: str
    key: str
    name: str
    transform: str
    response: str
    event_filter: str
    created_at: int
    updated_at: int


class Webhooks:
    """All webhooks; changes are durable when a method returns."""

    def __init__(self, records: Records, ids: UlidSource) -> None:
        self._records = records
        self._ids = ids
        self.audit: Audit | None = None
        self._by_id: dict[str, Webhook] = {}
        self._by_key: dict[str, Webhook] = {}

    def load(self, select: Select) -> None:
        """Reads all of them, at a start."""
        names = _Row.__struct_fields__
        for values in select("webhooks.all"):
            self._keep(_webhook(msgspec.convert(dict(zip(names, values, strict=True)), _Row)))

    def all(self) -> list[Webhook]:
        """All of them, oldest first."""
        return [self._by_id[id] for id in sorted(self._by_id)]

    def get(self, id: str) -> Webhook | None:
        """One by its id."""
        return self._by_id.get(id)

    def by_key(self, key: str) -> Webhook | None:
        """One by the key in its URL."""
        return self._by_key.get(key)

    @command("webhook.created", Role.ADMIN)
    async def create(
        self, name: str, transform: str, response: str = "", event_filter: EventFilter | None = None
    ) -> Webhook:
        """Makes one, with a URL of its own. Raises TooManyWebhooks."""
        if len(self._by_id) >= MOST:
            raise TooManyWebhooks
        now = now_ms()
        made = Webhook(
            id=self._ids.next(now), key=secrets.token_urlsafe(32), name=name, transform=transform, response=response,
            event_filter=event_filter, created_at=now, updated_at=now,
        )  # fmt: skip
        await self._put(made)
        return made

    @command("webhook.changed", Role.ADMIN)
    async def replace(self, changed: Webhook) -> Webhook:
        """Changes one; its URL stays."""
        changed = msgspec.structs.replace(changed, updated_at=now_ms())
        await self._put(changed)
        return changed

    @command("webhook.deleted", Role.ADMIN, found)
    async def delete(self, id: str) -> bool:
        """Removes one: its URL is a 404 from now on. False for no such one."""
        known = self._by_id.get(id)
        if known is None:
            return False
        self._records.write("webhooks.drop", (id,))
        await self._records.committed()
        self._by_id.pop(id, None)
        self._by_key.pop(known.key, None)
        return True

    async def _put(self, webhook: Webhook) -> None:
        self._records.write("webhooks.put", row(_row(webhook)))
        await self._records.committed()
        self._keep(webhook)

    def _keep(self, webhook: Webhook) -> None:
        self._by_id[webhook.id] = self._by_key[webhook.key] = webhook


def _row(hook: Webhook) -> _Row:
    kept = msgspec.json.encode(hook.event_filter).decode() if hook.event_filter is not None else ""
    return _Row(hook.id, hook.key, hook.name, hook.transform, hook.response, kept, hook.created_at, hook.updated_at)


def _webhook(stored: _Row) -> Webhook:
    kept = msgspec.json.decode(stored.event_filter, type=EventFilter) if stored.event_filter else None
    return Webhook(
        id=stored.id, key=stored.key, name=stored.name, transform=stored.transform, response=stored.response,
        event_filter=kept, created_at=stored.created_at, updated_at=stored.updated_at,
    )  # fmt: skip
