"""People: local users with a password, and users of an identity provider."""

from __future__ import annotations

import asyncio
import re

import msgspec

from holdfast.protocol.ids import UlidSource
from holdfast.server.access.passwords import Passwords, check_password
from holdfast.server.access.principals import Role
from holdfast.server.clock import now_ms
from holdfast.server.model.account import User
from holdfast.server.store.records import Accounts

_NAME = re.compile(r"[\w.@+-]{1,128}")


class UserError(ValueError):
    """Something about a user that is not possible; the text says why."""


class NameTakenError(UserError):
    """There is a user of that name."""


class Users:
    """All users of a server, in memory; changes are durable when they return."""

    def __init__(self, records: Accounts, ids: UlidSource, passwords: Passwords) -> None:
        self._records = records
        self._ids = ids
        self._passwords = passwords
        self._by_id: dict[str, User] = {}
        self._changing = asyncio.Lock()  # a change starts from what the one before it left

    def load(self) -> None:
        """Reads them at a start."""
        self._by_id = {user.id: user for user in self._records.users()}

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[User]:
        """All users, by name."""
        return sorted(self._by_id.values(), key=lambda user: user.name.casefold())

    def get(self, id: str) -> User | None:
        """A user by id."""
        return self._by_id.get(id)

    def named(self, name: str) -> User | None:
        """A user by name, upper or lower case."""
        return next((user for user in self._by_id.values() if user.name.casefold() == name.casefold()), None)

    def vouched(self, subject: str) -> User | None:
        """A user of an identity provider, by what that calls them."""
        return next((user for user in self._by_id.values() if subject and user.subject == subject), None)

    async def add(self, name: str, role: Role, password: str = "", subject: str = "") -> User:
        """Adds a user, with a password or a subject. Raises UserError, WeakPasswordError, BusyError."""
        if not _NAME.fullmatch(name):
            raise UserError("name must be 1 to 128 letters, digits or . _ - + @")
        if self.named(name) is not None:
            raise NameTakenError(f"user {name} already exists")
        hashed = ""
        if not subject:
            check_password(password, name)
            hashed = await self._passwords.hash(password)
        async with self._changing:
            if self.named(name) is not None:  # meanwhile
                raise NameTakenError(f"user {name} already exists")
            return await self._keep(User(self._ids.next(now_ms()), name, role.word, hashed, subject, now_ms()))

    async def set_password(self, name: str, password: str) -> User:
        """Gives a local user another password. Raises UserError, WeakPasswordError, BusyError."""
        user = self._known(name)
        if user.subject:
            raise UserError(f"{user.name} logs in through the identity provider, and has no password here")
        check_password(password, user.name)
        hashed = await self._passwords.hash(password)
        async with self._changing:
            return await self._keep(msgspec.structs.replace(self._known(name), password=hashed))

    async def set_role(self, name: str, role: Role) -> User:
        """Gives a user another role. Raises UserError."""
        async with self._changing:
            return await self._keep(msgspec.structs.replace(self._known(name), role=role.word))

    async def remove(self, name: str) -> User:
        """Removes a user. Raises UserError."""
        async with self._changing:
            user = self._known(name)
            self._records.drop_user(user.id)
            await self._records.committed()
            self._by_id.pop(user.id, None)
            return user

    async def logged_in(self, id: str) -> None:
        """Remembers when a user, if there still is one, logged in last."""
        async with self._changing:
            if user := self._by_id.get(id):
                await self._keep(msgspec.structs.replace(user, last_login_at=now_ms()))

    def _known(self, name: str) -> User:
        user = self.named(name)
        if user is None:
            raise UserError(f"there is no user {name}")
        return user

    async def _keep(self, user: User) -> User:
        self._records.put_user(user)
        await self._records.committed()
        self._by_id[user.id] = user
        return user
