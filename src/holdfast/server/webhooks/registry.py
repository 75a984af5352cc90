"""The webhooks of a server: made, changed and found by the key in their URL."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.access.commands import command, found
from holdfast.server.access.principals import Role
from holdfast.server.clock import now_ms
from holdfast.server.model.webhook import EventFilter, Webhook

if TYPE_CHECKING:
    from holdfast.protocol.ids import UlidSource
    from holdfast.server.access.audit import Audit
    from holdfast.server.store.records import WebhookRecords

MOST: Final = 1_000


class TooManyWebhooks(Exception):
    """A server keeps no more of them."""


class Webhooks:
    """All webhooks; changes are durable when a method returns."""

    def __init__(self, records: WebhookRecords, ids: UlidSource) -> None:
        self._records = records
        self._ids = ids
        self.audit: Audit | None = None
        self._by_id: dict[str, Webhook] = {}
        self._by_key: dict[str, Webhook] = {}

    def load(self) -> None:
        """Reads all of them, at a start."""
        for webhook in self._records.webhooks():
            self._keep(webhook)

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
        self._records.drop_webhook(id)
        await self._records.committed()
        self._by_id.pop(id, None)
        self._by_key.pop(known.key, None)
        return True

    async def _put(self, webhook: Webhook) -> None:
        self._records.put_webhook(webhook)
        await self._records.committed()
        self._keep(webhook)

    def _keep(self, webhook: Webhook) -> None:
        self._by_id[webhook.id] = self._by_key[webhook.key] = webhook
