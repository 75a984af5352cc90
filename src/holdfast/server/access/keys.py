"""The keys of machines (`protocol/http-apis.md` §14): event keys, the signing key and its fallback; also at run time.

Keys come from the configuration, and from the database where they are made while the server runs. Who uses one asks
here each time, so that a rotation needs no restart; a look-up costs one hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from holdfast.protocol.ids import UlidSource, ulid_time
from holdfast.protocol.signing import check_signing_key, hash_signing_key, strip_prefix
from holdfast.server.access.audit import Audit
from holdfast.server.access.commands import command, found
from holdfast.server.access.principals import Role
from holdfast.server.access.records import digest
from holdfast.server.clock import now_ms
from holdfast.server.model.account import StoredEventKey, StoredSigningKey
from holdfast.server.store.records import Accounts

log = structlog.get_logger(__name__)

Origin = Literal["config", "database"]
"""Where a key is from. One of the configuration is changed there, not here."""


class KeyRefused(Exception):
    """A key can't be changed so; the text says why and what to do."""


class EventKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key for sending events. Times are ms since the epoch."""

    id: str
    name: str
    key: str
    created_at: int
    origin: Origin = "database"


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key that is in force: the current one signs, both open the API."""

    id: str
    key: str
    created_at: int
    origin: Origin
    current: bool


class Keys:
    """All keys of a server. Without a signing key (`dev`) nothing is guarded, and nothing signed."""

    def __init__(
        self,
        records: Accounts,
        ids: UlidSource,
        *,
        event_keys: tuple[str, ...] = (),
        signing_key: str = "",
        signing_key_fallback: str = "",
    ) -> None:
        self.on_change: Callable[[], object] = lambda: None
        """Called when other keys count than before."""
        self.audit: Audit | None = None
        self._records = records
        self._ids = ids
        self._given_events = event_keys
        self._given = signing_key
        self._given_fallback = signing_key_fallback
        self._started = now_ms()
        self._event_rows: dict[str, StoredEventKey] = {}
        self._rows: list[StoredSigningKey] = []
        self._changing = asyncio.Lock()  # which signing keys are in force follows from those before
        self.signing: tuple[str, ...] = ()
        #: What signs the tokens that this server hands out (realtime, durable endpoints); outlives rotations.
        self.token_secret = secrets.token_hex()
        self._events: frozenset[bytes] = frozenset()
        self._bearers: frozenset[bytes] = frozenset()
        self._changed()

    def load(self) -> None:
        """Reads what was made at run time. A signing key of the configuration that is new here becomes current."""
        self._event_rows = {key.id: key for key in self._records.event_keys()}
        self._rows = self._records.signing_keys()
        if self._given and not any(known.hash == _hash(self._given) for known in self._rows):
            new = StoredSigningKey(self._next_id(), _hash(self._given), "", now_ms(), None)
            self._records.put_signing_keys([new])
            self._adopt([new])
        self._changed()
        if known_secret := self._records.token_secret():
            self.token_secret = known_secret
        else:
            self._records.put_token_secret(self.token_secret)
        if self._given and _hash(self.signing[0]) != _hash(self._given):
            left = "as the fallback" if self._given in self.signing else "not at all, it is retired"
            log.warning(
                "the signing key was rotated at run time; set the new one in the configuration", old_counts=left
            )

    # --- asking -----------------------------------------------------------------------------------------------------

    @property
    def guarded(self) -> bool:
        """Whether keys are asked for at all: in `start`."""
        return bool(self._given)

    def opens(self, token: str) -> bool:
        """Whether a bearer token is a signing key in force or its hash, each with or without prefix."""
        return _sha256(strip_prefix(token).encode()) in self._bearers

    def sends(self, key: bytes) -> bool:
        """Whether events may be sent with a key: one of those that there are, or any if none is asked for."""
        return not self.guarded or _sha256(key) in self._events

    def signers(self) -> tuple[str, ...]:
        """The signing keys in force, the current one first."""
        return self.signing

    def event_keys(self) -> list[EventKey]:
        """All event keys that are good, those of the configuration first, then by age."""
        given = [
            EventKey(id=f"config-{digest(key)[:12]}", name="", key=key, created_at=self._started, origin="config")
            for key in self._given_events
        ]
        made = (known for known in self._event_rows.values() if known.revoked_at is None)
        return given + [EventKey(id=k.id, name=k.name, key=k.key, created_at=k.created_at) for k in made]

    def signing_keys(self) -> list[SigningKey]:
        """The signing keys in force, the current one first."""
        rows = {known.hash: known for known in self._rows}
        found: list[SigningKey] = []
        for place, key in enumerate(self.signing):
            known = rows.get(_hash(key))
            found.append(
                SigningKey(
                    id=known.id if known else "config-fallback",
                    key=key,
                    created_at=known.created_at if known else self._started,
                    origin="database" if known and known.key else "config",
                    current=place == 0,
                )
            )
        return found

    # --- changing ---------------------------------------------------------------------------------------------------

    @command("event_key.created", Role.ADMIN)
    async def create_event_key(self, name: str = "") -> EventKey:
        """Makes an event key; senders can use it when this returns."""
        made = StoredEventKey(self._next_id(), name, secrets.token_urlsafe(32), now_ms(), None)
        self._records.put_event_key(made)
        await self._records.committed()
        self._event_rows[made.id] = made
        self._changed()
        return EventKey(id=made.id, name=made.name, key=made.key, created_at=made.created_at)

    @command("event_key.revoked", Role.ADMIN, found)
    async def revoke_event_key(self, id: str) -> bool:
        """Makes an event key useless, at once; False for no such one. Raises KeyRefused for the configuration's."""
        if any(key.id == id and key.origin == "config" for key in self.event_keys()):
            raise KeyRefused("this event key is from the configuration (--event-key): remove it there and restart")
        known = self._event_rows.get(id)
        if known is None or known.revoked_at is not None:
            return False
        revoked = msgspec.structs.replace(known, revoked_at=now_ms())
        self._records.put_event_key(revoked)
        await self._records.committed()
        self._event_rows[id] = revoked
        self._changed()
        return True

    @command("signing_key.rotated", Role.ADMIN, secret=True)
    async def rotate(self, key: str = "") -> SigningKey:
        """Makes `key`, else a new one, the current signing key; the one before stays as the fallback.

        Raises KeyRefused if the key is not hex, or was in force before; or if there is no signing key (`dev`).
        """
        if not self.guarded:
            raise KeyRefused("there is no signing key to rotate: this is `holdfast dev`, or --signing-key is missing")
        key = key or f"signkey-prod-{secrets.token_hex(32)}"
        try:
            check_signing_key(key)
        except ValueError as error:
            raise KeyRefused(str(error)) from error
        async with self._changing:
            if any(known.hash == _hash(key) for known in self._rows):
                raise KeyRefused("this signing key was used before; choose another")
            await self._keep([StoredSigningKey(self._next_id(), _hash(key), key, now_ms(), None)])
            return self.signing_keys()[0]

    @command("signing_key.retired", Role.ADMIN, found, secret=True)
    async def retire_fallback(self) -> bool:
        """Ends the fallback: only the current signing key counts from now on; False if there was none."""
        async with self._changing:
            return await self._retire()

    async def _retire(self) -> bool:
        if len(self.signing) < 2:
            return False
        now, current = now_ms(), _hash(self.signing[0])
        ended = [k for k in self._rows if k.hash != current and k.retired_at is None]
        given = _hash(self._given_fallback)
        if self._given_fallback and given != current and all(k.hash != given for k in self._rows):
            ended.append(StoredSigningKey(self._next_id(), given, "", now, None))
        await self._keep([msgspec.structs.replace(known, key="", retired_at=now) for known in ended])
        return True

    async def _keep(self, rows: list[StoredSigningKey]) -> None:
        self._records.put_signing_keys(rows)
        await self._records.committed()
        self._adopt(rows)
        self._changed()

    def _adopt(self, rows: list[StoredSigningKey]) -> None:
        by_id = {known.id: known for known in (*self._rows, *rows)}
        self._rows = [by_id[id] for id in sorted(by_id)]

    def _next_id(self) -> str:
        """An id after those of all signing keys: their order tells which one is current."""
        return self._ids.next(max([now_ms(), *(ulid_time(known.id) + 1 for known in self._rows)]))

    def _changed(self) -> None:
        """Swaps what requests look at."""
        self.signing = self._in_force() if self._given else ()
        plain = [strip_prefix(key) for key in self.signing]
        self._bearers = frozenset(_sha256(form.encode()) for key in plain for form in (key, hash_signing_key(key)))
        self._events = frozenset(_sha256(key.key.encode()) for key in self.event_keys())
        self.on_change()

    def _in_force(self) -> tuple[str, ...]:
        """The newest key that is not retired, the one before it, and the configuration's fallback."""
        texts = {_hash(key): key for key in (self._given, self._given_fallback) if key}
        good = [known for known in reversed(self._rows) if known.retired_at is None]
        found = [text for known in good if (text := known.key or texts.get(known.hash, ""))][:2] or [self._given]
        retired = {known.hash for known in self._rows if known.retired_at is not None}
        if self._given_fallback and _hash(self._given_fallback) not in retired:
            found.append(self._given_fallback)
        return tuple({_hash(key): key for key in found}.values())


def _hash(key: str) -> str:
    """What tells signing keys apart."""
    return digest(strip_prefix(key))


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
