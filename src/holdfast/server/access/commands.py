"""What changes something, whichever API it comes through: the role that it wants, and its name in the audit log.

Routes are guarded by `policy`; this is the second lock, at the one place where each command is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, cast

import msgspec

from holdfast.server.access.audit import Audit
from holdfast.server.access.principals import Role, current


class ForbiddenError(Exception):
    """The caller's role does not allow this; the text says which does."""


def _ok(_result: object) -> str:
    return "ok"


def _found(result: object) -> str:
    """Of a command that answers whether there was anything to do it to."""
    return "ok" if result else "not found"


def _outcome(result: object) -> str:
    """Of a command that answers one of an enum's members."""
    return result.name.lower().replace("_", " ") if isinstance(result, Enum) else "ok"


def _error(result: object) -> str:
    """Of a command that answers an error's text, or None."""
    return f"failed: {result}" if result else "ok"


class Command(msgspec.Struct, frozen=True):
    """A method that changes something. Its first argument is the target."""

    action: str
    role: Role
    outcome: Callable[[object], str] = _ok
    often: bool = False  # what machines do all the time is audited only of people and their tokens


#: Commands of `api.backend.Backend`.
SERVER: Final[Mapping[str, Command]] = {
    "accept_all": Command("events.sent", Role.OPERATOR, often=True),
    "record_metadata": Command("run.metadata_recorded", Role.OPERATOR, often=True),
    "invoke": Command("function.invoked", Role.OPERATOR),
    "invoke_function": Command("function.invoked", Role.OPERATOR),
    "cancel_run": Command("run.cancelled", Role.OPERATOR, _outcome),
    "rerun": Command("run.rerun", Role.OPERATOR, _found),
    "cancel_many": Command("cancellation.created", Role.OPERATOR),
    "remove_cancellation": Command("cancellation.removed", Role.OPERATOR, _found),
    "pause_function": Command("function.paused", Role.OPERATOR),
    "resume_function": Command("function.resumed", Role.OPERATOR),
    "signal": Command("signal.sent", Role.OPERATOR),
    "create_app": Command("app.created", Role.ADMIN, _error),
    "update_app": Command("app.updated", Role.ADMIN, _found),
    "delete_app": Command("app.deleted", Role.ADMIN, _found),
    "delete_app_by_name": Command("app.deleted", Role.ADMIN, _found),
    "remove_app_by_url": Command("app.deleted", Role.ADMIN, _found),
    "set_step_limit": Command("function.step_limit_set", Role.ADMIN),
    "set_state_size_limit": Command("function.state_size_limit_set", Role.ADMIN),
    "test_reset": Command("server.reset", Role.ADMIN),
    "test_pause_function": Command("function.paused", Role.ADMIN),
}
WEBHOOKS: Final[Mapping[str, Command]] = {
    "create": Command("webhook.created", Role.ADMIN),
    "replace": Command("webhook.changed", Role.ADMIN),
    "delete": Command("webhook.deleted", Role.ADMIN, _found),
}
KEYS: Final[Mapping[str, Command]] = {
    "create_event_key": Command("event_key.created", Role.ADMIN),
    "revoke_event_key": Command("event_key.revoked", Role.ADMIN, _found),
    "rotate": Command("signing_key.rotated", Role.ADMIN),
    "retire_fallback": Command("signing_key.retired", Role.ADMIN, _found),
}
#: Of these, no target is told: it is the key itself.
_SECRET: Final = frozenset({"signing_key.rotated", "signing_key.retired"})


def guard(owner: object, commands: Mapping[str, Command], audit: Audit) -> None:
    """Wrap an object's commands with a role check and an audit entry."""
    for name, command in commands.items():
        method = getattr(owner, name)
        setattr(owner, name, _guarded(method, command, audit))


def check(role: Role) -> None:
    """Raise ForbiddenError unless the request at hand was made by somebody of a role, or above it."""
    principal = current.get()
    if principal is None or principal.role < role:
        who = f"{principal.actor} is {principal.role.word}" if principal else "the caller is not identified"
        raise ForbiddenError(f"This needs the role {role.word}; {who}")


def _guarded(method: Callable[..., Any], command: Command, audit: Audit) -> Callable[..., Any]:
    def note(target: str, outcome: str) -> None:
        principal = current.get()
        if not command.often or (principal is not None and principal.kind in {"user", "token"}):
            audit.note(command.action, target, outcome)

    def begin(args: tuple[Any, ...]) -> str:
        target = "" if command.action in _SECRET else _target(args)
        try:
            check(command.role)
        except ForbiddenError:
            audit.note(command.action, target, "forbidden")
            raise
        return target

    @wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        target = begin(args)
        result = method(*args, **options)
        note(target, command.outcome(result))
        return result

    @wraps(method)
    async def call_async(*args: Any, **options: Any) -> Any:
        target = begin(args)
        try:
            result = await method(*args, **options)
        except Exception as error:
            note(target, f"failed: {type(error).__name__}")
            raise
        note(target, command.outcome(result))
        return result

    return call_async if iscoroutinefunction(method) else call


def _target(args: tuple[Any, ...]) -> str:
    first = args[0] if args else ""
    if isinstance(first, (list, tuple)):
        return ", ".join(str(getattr(one, "name", "")) for one in cast("Sequence[object]", first))
    return first if isinstance(first, str) else str(getattr(first, "id", ""))
