"""Event sessions: `meta.sessions` and the layer propagated from the sender's own run (`protocol/http-apis.md` §2.5)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.protocol.rawjson import UNREADABLE, decode_members, decode_text, encode, kind

if TYPE_CHECKING:
    from msgspec import Raw

MAX_SESSIONS: Final = 5
MAX_KEY_BYTES: Final = 128
MAX_ID_BYTES: Final = 512

_MAX_MEMBERS: Final = 1_000
_TOO_MANY: Final = f"event sessions can include at most {MAX_SESSIONS} entries"
_MARK: Final = b'"meta":{"sessions":{'
_NONE: Final[dict[str, str]] = {}


class _Meta(msgspec.Struct, frozen=True):
    sessions: dict[str, str] = {}


class _Event(msgspec.Struct, frozen=True):
    meta: _Meta = _Meta()


def sessions_of(event: bytes) -> dict[str, str]:
    """Return the ids by key of an accepted event, in the form that functions see."""
    if _MARK not in event:  # most name none
        return _NONE
    try:
        return msgspec.json.decode(event, type=_Event).meta.sessions
    except UNREADABLE:  # it is nested as deep as this program can read
        return _NONE


def merge_sessions(meta: bytes) -> bytes:
    """Read an event's `meta` and merge its layers; answers the JSON object of ids by key, sorted, or nothing.

    Raises ValueError with the text that the client sees.
    """
    members = _object(meta, "meta")
    sessions: dict[str, str] = {}
    own = _layer(members.get("sessions"), nulls=True)
    if own is not None:
        sessions = {key: value for key, value in own.items() if value is not None}
        _check(sessions)
        propagated = _layer(members.get("propagated_sessions"), nulls=False) or {}
        for key in sorted(propagated):
            if key not in own and len(sessions) < MAX_SESSIONS:
                sessions[key] = propagated[key] or ""
        _check(sessions)
    return encode(dict(sorted(sessions.items()))) if sessions else b""


def _object(json_: bytes | Raw, name: str) -> dict[str, Raw]:
    if (found := kind(json_)) == "null":
        return {}
    try:
        return decode_members(json_)
    except UNREADABLE:
        raise ValueError(f"event {name} must be an object, not {found}") from None


def _layer(raw: Raw | None, *, nulls: bool) -> dict[str, str | None] | None:
    """One layer; None if the whole field is null, which drops the layer beneath."""
    if raw is None:
        return {}
    if kind(raw) == "null":
        return None
    members = _object(raw, "sessions")
    if len(members) > _MAX_MEMBERS:  # those that are null don't count, but are looked at
        raise ValueError(_TOO_MANY)
    return {key: _session_id(key, value, nulls=nulls) for key, value in members.items()}


def _session_id(key: str, raw: Raw, *, nulls: bool) -> str | None:
    match kind(raw):
        case "string":
            return decode_text(raw)
        case "number":
            return bytes(raw).decode()
        case "null" if nulls:
            return None
        case _:
            allowed = "a string, number, or null" if nulls else "a string or number"
            raise ValueError(f"event session {_quoted(key)} must be {allowed}")


def _check(sessions: dict[str, str]) -> None:
    if len(sessions) > MAX_SESSIONS:
        raise ValueError(_TOO_MANY)
    for key, id_ in sorted(sessions.items()):
        if not key:
            raise ValueError("event session keys cannot be empty")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise ValueError(f"event session key {_quoted(key)} exceeds {MAX_KEY_BYTES} bytes")
        if not id_:
            raise ValueError(f"event session {_quoted(key)} cannot have an empty ID")
        if len(id_.encode()) > MAX_ID_BYTES:
            raise ValueError(f"event session {_quoted(key)} exceeds {MAX_ID_BYTES} bytes")


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)
