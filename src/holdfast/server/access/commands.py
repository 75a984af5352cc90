"""Commands: methods that change something, with the role that they need and their name in the audit log.

Routes are guarded by `policy`; this is the second check, at the one place where each command is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from holdfast.server.access.audit import Audit
from holdfast.server.access.principals import Role, current


class ForbiddenError(Exception):
    """The caller's role does not allow this; the text says which does."""


def ok(_result: object) -> str:
    """Return the outcome of a command that worked if it raised nothing."""
    return "ok"


def found(result: object) -> str:
    """Return the outcome of a command that returns whether there was anything to do it to."""
    return "ok" if result else "not found"


def by_enum(result: object) -> str:
    """Return the outcome of a command that returns a member of an enum."""
    return result.name.lower().replace("_", " ") if isinstance(result, Enum) else "ok"


def by_error(result: object) -> str:
    """Return the outcome of a command that returns an error's text, or None."""
    return f"failed: {result}" if result else "ok"


class Audited(Protocol):
    """What has commands. They check and audit nothing while `audit` is None, as in `dev`, where all is open."""

    audit: Audit | None


_Self = TypeVar("_Self", bound=Audited)
_P = ParamSpec("_P")
_Result = TypeVar("_Result", bound=Coroutine[Any, Any, object])
Method = Callable[Concatenate[_Self, _P], _Result]


def command(
    action: str, role: Role, outcome: Callable[[object], str] = ok, *, often: bool = False, secret: bool = False
) -> Callable[[Method[_Self, _P, _Result]], Method[_Self, _P, _Result]]:
    """Make a method a command: it needs a role, and each call is an entry of the audit log under `action`.

    Args:
        action: The name in the audit log.
        role: The least role that may call it.
        outcome: Reads from the result what the log says.
        often: Machines call it all the time: only calls of people and their tokens are logged.
        secret: The first argument, else the target in the log, is a secret and left out.

    """

    def decorate(method: Method[_Self, _P, _Result]) -> Method[_Self, _P, _Result]:
        @wraps(method)
        async def call(self: _Self, /, *args: _P.args, **options: _P.kwargs) -> object:
            audit = self.audit
            if audit is None:
                return await method(self, *args, **options)
            target = "" if secret else _target(args)
            _admit(role, audit, action, target)
            logged = audit if not often or _by_hand() else None
            try:
                result = await method(self, *args, **options)
            except Exception as error:
                _note(logged, action, target, f"failed: {type(error).__name__}")
                raise
            _note(logged, action, target, outcome(result))
            return result

        return cast("Method[_Self, _P, _Result]", call)

    return decorate


def _admit(role: Role, audit: Audit, action: str, target: str) -> None:
    try:
        check(role)
    except ForbiddenError:
        audit.note(action, target, "forbidden")
        raise


def _by_hand() -> bool:
    principal = current.get()
    return principal is not None and principal.kind in {"user", "token"}


def _note(audit: Audit | None, action: str, target: str, outcome: str) -> None:
    if audit is not None:
        audit.note(action, target, outcome)


def check(role: Role) -> None:
    """Raise ForbiddenError unless the request at hand was made by somebody of a role, or above it."""
    principal = current.get()
    if principal is None or principal.role < role:
        who = f"{principal.actor} is {principal.role.word}" if principal else "the caller is not identified"
        raise ForbiddenError(f"This needs the role {role.word}; {who}")


def _target(args: tuple[object, ...]) -> str:
    first = args[0] if args else ""
    if isinstance(first, (list, tuple)):
        return ", ".join(str(getattr(one, "name", "")) for one in cast("Sequence[object]", first))
    return first if isinstance(first, str) else str(getattr(first, "id", ""))
