"""Who is asking: a principal with a role, known to everything that is done on its behalf."""

from __future__ import annotations

from contextvars import ContextVar
from enum import IntEnum
from typing import Literal

import msgspec


class Role(IntEnum):
    """What somebody may do; each role may do what those before it may."""

    VIEWER = 1  # reads
    OPERATOR = 2  # cancels, reruns, invokes, pauses, sends events
    ADMIN = 3  # manages apps, users, keys and tokens

    @property
    def word(self) -> str:
        """The role as users write it."""
        return self.name.lower()


def read_role(text: str) -> Role:
    """Return a role by its word. Raises ValueError."""
    try:
        return Role[text.upper()]
    except KeyError:
        raise ValueError(f"'{text}' is not a role; use one of {', '.join(role.word for role in Role)}") from None


Kind = Literal["user", "token", "signing-key", "event-key", "own-credential", "command-line", "anyone"]


class Principal(msgspec.Struct, frozen=True):
    """Somebody, or something, that a request was made by."""

    kind: Kind
    role: Role
    name: str = ""
    id: str = ""
    session: str = ""  # hash of the session that it came with
    address: str = ""

    @property
    def actor(self) -> str:
        """How the audit log calls it: `user:anna`, `token:ci`, `signing-key`."""
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @property
    def by_cookie(self) -> bool:
        """Whether a browser vouched for it by itself, so that other sites could abuse it."""
        return bool(self.session)


#: Behind a route that looks at a credential of its own, which stands for no more than sending events.
UNKNOWN = Principal("own-credential", Role.OPERATOR)
#: In `dev` everybody may do everything.
ANYONE = Principal("anyone", Role.ADMIN)

#: Whom the request at hand was made by; None where the policy asked for nobody.
current: ContextVar[Principal | None] = ContextVar("principal", default=None)
