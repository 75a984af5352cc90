"""Access to one server: who a request is from, logging in and out, and the changes that admins make."""

from __future__ import annotations

import asyncio

import structlog

from holdfast.protocol.ids import UlidSource
from holdfast.server.access.attempts import Attempts
from holdfast.server.access.audit import Audit, AuditReader
from holdfast.server.access.keys import Keys
from holdfast.server.access.options import Options
from holdfast.server.access.passwords import BusyError, Passwords, WeakPasswordError
from holdfast.server.access.principals import Principal, Role, current, read_role
from holdfast.server.access.records import Watched
from holdfast.server.access.sessions import Sessions
from holdfast.server.access.throttle import Throttle
from holdfast.server.access.tokens import PREFIX, Created, Tokens
from holdfast.server.access.users import NameTakenError, UserError, Users
from holdfast.server.model.account import User
from holdfast.server.store.records import Accounts

log = structlog.get_logger(__name__)

COOKIE = "holdfast_session"


class LoginRefused(Exception):
    """No session is begun; the text is for who tried. `retry_after` is in seconds: 0 if trying again helps nothing."""

    def __init__(self, text: str, retry_after: int = 0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Access:
    """Users, sessions, tokens, keys and the audit log of one server. Without a signing key (`dev`) all is open."""

    def __init__(
        self, keys: Keys, records: Accounts, changes: Watched, ids: UlidSource, reader: AuditReader, options: Options
    ) -> None:
        self.changes = changes
        """Tells when somebody's access may have ended."""
        self.keys = keys
        self.keys.on_change = self.changes.changed
        self.options = options
        self.audit = Audit(records, ids, reader)
        self.passwords = Passwords()
        self.users = Users(records, ids, self.passwords)
        self.sessions = Sessions(records, options.session_idle_ms, options.session_most_ms)
        self.tokens = Tokens(records, ids)
        self._begun: asyncio.Future[None] | None = None
        self._attempts = Attempts(self.sessions)
        self._changes = Throttle(10, 30_000)  # of passwords, by those who are logged in
        if self.guarded:
            keys.audit = self.audit

    @property
    def guarded(self) -> bool:
        """Whether anybody is asked who they are: in `start`."""
        return self.keys.guarded

    def start(self) -> None:
        """Adds the first user, if there has to be one."""
        self._begun = asyncio.ensure_future(self.bootstrap())

    async def started(self) -> None:
        """Waits until the first user is there."""
        if self._begun is not None:
            await self._begun

    def load(self) -> None:
        """Reads everything at a start."""
        for part in (self.users, self.sessions, self.tokens):
            part.load()

    async def bootstrap(self) -> None:
        """Adds the first admin, if the configuration names one and there are no users. Raises UserError."""
        if not self.guarded or len(self.users):
            return
        if self.options.admin_user:
            try:
                await self.users.add(self.options.admin_user, Role.ADMIN, self.options.admin_password)
            except (UserError, WeakPasswordError) as error:
                log.error(
                    "the first admin could not be created; correct --admin-user and --admin-password", error=str(error)
                )
                return
            self.audit.note("user.added", self.options.admin_user, by=Principal("command-line", Role.ADMIN))
            log.info("created the first admin from the configuration", user=self.options.admin_user)
        elif not self.options.oidc.issuer:
            log.info("no users exist, so nobody can log in; add one: holdfast users add NAME --role admin")

    def close(self) -> None:
        """Ends what was begun."""
        if self._begun is not None:
            self._begun.cancel()
        self.passwords.close()

    # --- who is asking ----------------------------------------------------------------------------------------------

    def by_bearer(self, token: str, address: str = "", *, use: bool = True) -> Principal | None:
        """Return the principal of an API token or the signing key. `use`: whether this counts as a use."""
        if token.startswith(PREFIX):
            known = self.tokens.find(token, use=use)
            return Principal("token", read_role(known.role), known.name, known.id, address=address) if known else None
        if self.guarded and self.keys.opens(token):
            return Principal("signing-key", Role.ADMIN, address=address)
        return None

    def by_session(self, secret: str, address: str = "", *, use: bool = True) -> Principal | None:
        """Whom a browser's session stands for. `use`: whether this counts as a use."""
        session = self.sessions.find(secret, use=use)
        user = self.users.get(session.user_id) if session else None
        if session is None or user is None:
            return None
        return Principal("user", read_role(user.role), user.name, user.id, session.hash, address)

    # --- logging in -------------------------------------------------------------------------------------------------

    async def log_in(self, name: str, password: str, address: str) -> str:
        """Begins a session for a name and password; answers its secret. Raises LoginRefused."""
        who = Principal("user", Role.VIEWER, name[:128], address=address)
        user = self.users.named(name)
        attempt = self._attempts.begin(name, address, user)
        if wait := attempt.wait_ms():
            raise LoginRefused("Too many attempts to log in. Wait a moment, then try again.", -(-wait // 1_000))
        attempt.spend()
        hashed = user.password if user else ""
        good = await self._fits(hashed, password)
        user = self.users.named(name)
        if not good or user is None or user.password != hashed:  # it may have been changed meanwhile
            self.audit.note("login", outcome="failed", by=who)
            raise LoginRefused("The name or the password is wrong.")
        attempt.succeed()
        return await self.begin(user, address)

    async def begin(self, user: User, address: str) -> str:
        """Begins a session for a user who has shown who they are; answers its secret."""
        secret = await self.sessions.open(user.id, address)
        await self.users.logged_in(user.id)
        self.audit.note("login", by=Principal("user", read_role(user.role), user.name, user.id, address=address))
        return secret

    async def log_out(self, principal: Principal) -> None:
        """Ends the session that a request came with."""
        await self.sessions.close(principal.session)
        self.audit.note("logout", by=principal)

    async def _fits(self, hashed: str, password: str) -> bool:
        try:
            return await self.passwords.verify(hashed, password)
        except BusyError:
            raise LoginRefused("Too many passwords are being checked just now. Try again in a moment.", 1) from None

    async def change_password(self, principal: Principal, old: str, new: str) -> None:
        """Gives a user who knows the old password a new one, and ends their sessions. Raises LoginRefused."""
        user = self.users.get(principal.id) if principal.kind == "user" else None
        if user is None:
            raise UserError("only a user has a password")
        account = user.name.casefold()
        if wait := self._changes.wait_ms(account):
            raise LoginRefused("Too many attempts. Wait a moment, then try again.", -(-wait // 1_000))
        self._changes.spend(account)
        if not await self._fits(user.password, old):
            self.audit.note("user.password_changed", user.name, "failed")
            raise LoginRefused("The old password is wrong.")
        self._changes.refund(account)
        await self.set_password(user.name, new)

    # --- what admins do ---------------------------------------------------------------------------------------------

    async def add_user(self, name: str, role: Role, password: str) -> User:
        """Adds a local user. Raises UserError, WeakPasswordError."""
        user = await self.users.add(name, role, password)
        self.audit.note("user.added", f"{user.name} ({user.role})")
        return user

    async def set_password(self, name: str, password: str) -> User:
        """Gives a user a password, and ends their sessions."""
        user = await self.users.set_password(name, password)
        await self.sessions.close_of(user.id)
        self.audit.note("user.password_changed", user.name)
        return user

    async def set_role(self, name: str, role: Role) -> User:
        """Gives a user a role, and ends their sessions."""
        user = await self.users.set_role(name, role)
        await self.sessions.close_of(user.id)
        self.audit.note("user.role_changed", f"{user.name} ({user.role})")
        return user

    async def remove_user(self, name: str) -> None:
        """Removes a user, and ends their sessions."""
        user = await self.users.remove(name)
        await self.sessions.close_of(user.id)
        self.audit.note("user.removed", user.name)

    async def create_token(self, name: str, role: Role, expires_at: int | None = None) -> Created:
        """Makes an API token."""
        principal = current.get()
        created = await self.tokens.create(name, role, expires_at, principal.actor if principal else "server")
        self.audit.note("token.created", f"{name} ({role.word})")
        return created

    async def revoke_token(self, id: str) -> bool:
        """Makes an API token useless, by its id or name; False for no such one."""
        found = await self.tokens.revoke(id)
        self.audit.note("token.revoked", id, "ok" if found else "not found")
        return found

    async def admit(self, subject: str, name: str, role: Role) -> User:
        """The user whom an identity provider vouches for, with the role that it says. Raises UserError."""
        user = self.users.vouched(subject)
        if user is None:
            user = await self._add_vouched(subject, name, role)
        elif read_role(user.role) != role:
            user = await self.users.set_role(user.name, role)
            await self.sessions.close_of(user.id)
            self.audit.note("user.role_changed", f"{name} ({role.word})", by=Principal("user", role, name))
        return user

    async def _add_vouched(self, subject: str, name: str, role: Role) -> User:
        try:
            user = await self.users.add(name, role, subject=subject)
        except UserError as error:
            if (quicker := self.users.vouched(subject)) is not None:  # another login of theirs
                return quicker
            if not isinstance(error, NameTakenError):
                raise
            text = f"a user named {name} already exists and does not belong to this identity provider"
            raise UserError(text) from error
        self.audit.note("user.added", f"{name} ({role.word})", by=Principal("user", role, name))
        return user
