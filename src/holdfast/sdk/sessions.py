"""Sessions: what several runs belong to, such as a chat. What a run sends belongs to its sessions, too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict, cast

from holdfast.protocol.canonical import canonical
from holdfast.sdk.typed import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.sdk.events import Event

#: Sessions that a run hands on, at most.
_MAX: Final = 5
SessionId: TypeAlias = str | int | float


class EventMeta(TypedDict, total=False):
    """What an event says about itself.

    `sessions` maps keys to ids; None as an id leaves that session of the sender's run, None in place of the map leaves
    all of them. `propagated_sessions` are those of the sender's run, which the SDK fills in.
    """

    sessions: dict[str, SessionId | None] | None
    propagated_sessions: dict[str, SessionId]


def shared_sessions(events: list[Event]) -> dict[str, str]:
    """Return the sessions that all events of a run belong to: five of them, in the order of their keys."""
    if all(event.meta is None for event in events):
        return {}
    layers = [_own(event.meta) for event in events]
    first = layers[0] if layers else {}
    common = {key: value for key, value in first.items() if all(layer.get(key) == value for layer in layers)}
    return {key: common[key] for key in sorted(common, key=str.encode)[:_MAX]}


def stamped(meta: Mapping[str, Any] | None, inherited: Mapping[str, SessionId] | None) -> dict[str, Any] | None:
    """Return the meta of an event that a run sends: with the run's sessions beneath its own, ids as texts.

    Raise ValueError for ids that are neither texts nor finite numbers.
    """
    found = dict(meta or {})
    if found.get("sessions") is not None:
        found["sessions"] = _checked(found["sessions"], may_leave=True)
    if inherited and "propagated_sessions" not in found:
        found["propagated_sessions"] = _checked(inherited, may_leave=False)
    if found.get("sessions") == {}:
        del found["sessions"]
    return found or None


def _own(meta: Mapping[str, Any] | None) -> dict[str, str]:
    found = cast("Mapping[str, Any]", (meta or {}).get("sessions") or {})
    return {key: str(value) for key, value in found.items() if value is not None}


def _checked(sessions: object, *, may_leave: bool) -> dict[str, str | None]:
    if not isinstance(sessions, dict):
        raise ValueError(f"sessions are a dict of keys and ids, not {sessions!r}")
    members: dict[object, object] = sessions  # pyright: ignore[reportUnknownVariableType]
    return {_key(key): _id(key, value, may_leave=may_leave) for key, value in members.items()}


def _key(key: object) -> str:
    if not isinstance(key, str) or not key:
        raise ValueError(f"the key of a session is a text, not {key!r}")
    return key


def _id(key: object, value: object, *, may_leave: bool) -> str | None:
    if value is None and may_leave:
        return None
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return canonical(encode(value)).decode()
    raise ValueError(f"the id of the session {key!r} is a text or a finite number, not {value!r}")
