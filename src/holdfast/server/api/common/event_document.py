"""An event's JSON as APIs show it: what functions see, without `user`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from holdfast.server.store.history import StoredEvent


class EventDocument(msgspec.Struct):
    """The members of a stored event; `user` is there if the sender gave one."""

    id: str = ""
    name: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    ts: int = 0
    v: str | None = None
    user: msgspec.Raw = msgspec.Raw()

    def text(self) -> str:
        """The event in the order in which it was sent."""
        members: dict[str, object] = {"id": self.id, "name": self.name, "data": self.data, "ts": self.ts}
        if self.v is not None:
            members["v"] = self.v
        return _encode(members).decode("utf-8", "replace")

    def sorted_text(self) -> str:
        """Return the event with sorted keys and an explicit `v` (`protocol/graphql.md` §6)."""
        members = {"data": self.data, "id": self.id, "name": self.name, "ts": self.ts, "v": self.v}
        return _encode(members).decode("utf-8", "replace")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EventDocument).decode


def event_document(event: StoredEvent) -> EventDocument:
    """Read an event's JSON."""
    return _decode(event.json)
