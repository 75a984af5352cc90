"""API tokens for scripts: `hf_…`, shown once, kept as a hash."""

from __future__ import annotations

import secrets

import msgspec

from holdfast.protocol.ids import UlidSource
from holdfast.server.access.principals import Role
from holdfast.server.access.records import digest
from holdfast.server.clock import now_ms
from holdfast.server.model.account import ApiToken
from holdfast.server.store.records import Accounts

PREFIX = "hf_"
#: A token's last use is written at most this often (ms).
_USED_EVERY = 60_000


class Created(msgspec.Struct, frozen=True):
    """A new token, with the only copy of its secret."""

    token: ApiToken
    secret: str


class Tokens:
    """All API tokens, in memory; changes are durable when they return."""

    def __init__(self, records: Accounts, ids: UlidSource) -> None:
        self._records = records
        self._ids = ids
        self._by_hash: dict[str, ApiToken] = {}

    def load(self) -> None:
        """Reads them at a start."""
        self._by_hash = {token.hash: token for token in self._records.tokens()}

    def all(self) -> list[ApiToken]:
        """All tokens, revoked ones included, by age."""
        return sorted(self._by_hash.values(), key=lambda token: token.id)

    def find(self, secret: str, *, use: bool = True) -> ApiToken | None:
        """The token of a secret that is still good; counts as its use, unless it is not to."""
        token = self._by_hash.get(digest(secret)) if secret.startswith(PREFIX) else None
        now = now_ms()
        if token is None or not token.good(now):
            return None
        if use and now - (token.used_at or 0) >= _USED_EVERY:
            token = msgspec.structs.replace(token, used_at=now)
            self._by_hash[token.hash] = token
            self._records.put_token(token)
        return token

    async def create(self, name: str, role: Role, expires_at: int | None, created_by: str) -> Created:
        """Makes a token."""
        secret = PREFIX + secrets.token_urlsafe(32)
        token = ApiToken(
            self._ids.next(now_ms()), name, digest(secret), secret[:8], role.word, created_by, now_ms(), expires_at
        )
        self._records.put_token(token)
        await self._records.committed()
        self._by_hash[token.hash] = token
        return Created(token, secret)

    async def revoke(self, id: str) -> bool:
        """Makes a token useless, at once; False if there is none of that id (or name) that is good."""
        now = now_ms()
        found = [t for t in self._by_hash.values() if id in {t.id, t.name} and t.good(now)]
        for token in found:
            revoked = msgspec.structs.replace(token, revoked_at=now)
            self._by_hash[token.hash] = revoked  # before it is durable: a use meanwhile must not write the old row
            self._records.put_token(revoked)
        await self._records.committed()
        return bool(found)
