"""Passwords: hashed with Argon2id, in one thread of its own, so that a flood of logins can't take the processor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from holdfast.protocol.limits import MAX_PASSWORD, MIN_PASSWORD

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

#: How many may wait for the thread; about 30 ms each.
_MOST_WAITING = 20


class BusyError(Exception):
    """Too many passwords are being checked just now."""


class WeakPasswordError(ValueError):
    """A password that is not taken; the text says why."""


def check_password(text: str, name: str) -> None:
    """Raise WeakPasswordError unless a password is long enough, and more than the user's name."""
    if not MIN_PASSWORD <= len(text) <= MAX_PASSWORD:
        raise WeakPasswordError(f"a password must have {MIN_PASSWORD} to {MAX_PASSWORD:,} characters")
    if name.casefold() in text.casefold() and len(text) < len(name) + MIN_PASSWORD:
        raise WeakPasswordError("a password must not be the user's name")


class Passwords:
    """Hashes and verifies. Argon2id with 19 MiB, two passes and one lane, as OWASP advises."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return a hash with its salt and parameters in it. Raises BusyError."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, hashed: str, password: str) -> bool:
        """Return whether a password fits a hash; takes as long for no hash at all. Raises BusyError."""
        return await self._run(lambda: self._verify(hashed, password))

    def _verify(self, hashed: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - as below

        hasher, dummy = self._hasher, self._dummy
        try:
            return hasher.verify(hashed or dummy, password) and bool(hashed)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher  # noqa: PLC0415 - many servers never see a password

        return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

    @cached_property
    def _dummy(self) -> str:
        return self._hasher.hash("stands in for users that there are not")
