"""What a server remembers of who may use it: users, their sessions, API tokens, keys, and what they did.

All times are ms since the epoch.
"""

from __future__ import annotations

import msgspec


class User(msgspec.Struct, frozen=True):
    """A user. `role` is a role's word; `password` a hash, or empty: then `subject` is who vouches for them."""

    id: str
    name: str
    role: str
    password: str
    subject: str
    created_at: int
    last_login_at: int | None = None


class Session(msgspec.Struct, frozen=True):
    """A login of a browser, by the hash of its secret."""

    hash: str
    user_id: str
    created_at: int
    seen_at: int
    address: str


class ApiToken(msgspec.Struct, frozen=True):
    """An API token. `hint` is its beginning; the secret itself is kept as a hash only."""

    id: str
    name: str
    hash: str
    hint: str
    role: str
    created_by: str
    created_at: int
    expires_at: int | None = None
    used_at: int | None = None
    revoked_at: int | None = None

    def good(self, now: int) -> bool:
        """Return whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class StoredEventKey(msgspec.Struct, frozen=True):
    """An event key that was made at run time."""

    id: str
    name: str
    key: str
    created_at: int
    revoked_at: int | None


class StoredSigningKey(msgspec.Struct, frozen=True):
    """A signing key that is or was in force. `key` is empty for one that is known by its hash only."""

    id: str
    hash: str
    key: str
    created_at: int
    retired_at: int | None


class AuditEntry(msgspec.Struct, frozen=True):
    """One entry of the audit log: who did what, to what, from where, and how it ended."""

    id: str
    at: int
    actor: str
    action: str
    target: str
    outcome: str
    address: str
