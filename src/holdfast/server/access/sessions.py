"""Sessions of browsers: a random secret in a cookie, its hash here, an end when idle for long or old."""

from __future__ import annotations

import secrets
from collections.abc import Collection

import msgspec

from holdfast.server.access.records import digest
from holdfast.server.access.throttle import site
from holdfast.server.clock import now_ms
from holdfast.server.model.account import Session
from holdfast.server.store.records import Accounts

#: A session's last use is written at most this often (ms).
_SEEN_EVERY = 60_000
_MOST_PER_USER = 20
_MOST_PLACES = 100


class Sessions:
    """All sessions, in memory; those that end are gone for good. `idle_ms` and `most_ms` are how long one lives."""

    def __init__(self, records: Accounts, idle_ms: int, most_ms: int) -> None:
        self._records = records
        self._idle = idle_ms
        self.most_ms = most_ms
        self._by_hash: dict[str, Session] = {}
        self._places: dict[str, dict[str, None]] = {}  # of each user, the newest last

    def load(self) -> None:
        """Reads them at a start."""
        self._by_hash = {session.hash: session for session in self._records.sessions()}
        for session in self._by_hash.values():
            self._note_place(session)

    def find(self, secret: str, *, use: bool = True) -> Session | None:
        """The session of a cookie that is still good; counts as its use, unless it is not to."""
        session = self._by_hash.get(digest(secret))
        if session is None:
            return None
        now = now_ms()
        if not self._good(session, now):
            self._drop([session])
            return None
        if use and now - session.seen_at >= _SEEN_EVERY:
            session = msgspec.structs.replace(session, seen_at=now)
            self._by_hash[session.hash] = session
            self._records.put_session(session)
        return session

    async def open(self, user_id: str, address: str) -> str:
        """Begins a session; answers its secret, which is nowhere else."""
        secret, now = secrets.token_urlsafe(32), now_ms()
        own = sorted((s for s in self._by_hash.values() if s.user_id == user_id), key=lambda s: s.seen_at)
        stale = [s for s in self._by_hash.values() if not self._good(s, now)]
        self._drop([*stale, *own[: max(0, len(own) + 1 - _MOST_PER_USER)]])
        session = Session(digest(secret), user_id, now, now, address)
        self._note_place(session)
        self._by_hash[session.hash] = session  # before it is durable: whoever ends the user's sessions has to see it
        self._records.put_session(session)
        await self._records.committed()
        return secret

    def places(self, user_id: str) -> Collection[str]:
        """Return the places that a user has logged in from since the start, or has sessions of (`throttle.site`)."""
        return self._places.get(user_id, ())

    def _note_place(self, session: Session) -> None:
        places = self._places.setdefault(session.user_id, {})
        places.pop(place := site(session.address), None)
        places[place] = None
        if len(places) > _MOST_PLACES:
            del places[next(iter(places))]

    async def close(self, hash: str) -> None:
        """Ends a session."""
        if session := self._by_hash.get(hash):
            self._drop([session])
            await self._records.committed()

    async def close_of(self, user_id: str) -> None:
        """Ends all sessions of a user."""
        self._drop([session for session in self._by_hash.values() if session.user_id == user_id])
        await self._records.committed()

    def _good(self, session: Session, now: int) -> bool:
        return now - session.seen_at < self._idle and now - session.created_at < self.most_ms

    def _drop(self, sessions: list[Session]) -> None:
        hashes = {session.hash for session in sessions}
        for hash in hashes:
            self._by_hash.pop(hash, None)  # before it is durable: an end must not wait
        if hashes:
            self._records.drop_sessions(list(hashes))
