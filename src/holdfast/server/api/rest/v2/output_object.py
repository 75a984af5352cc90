"""Outputs as REST v2 shows them: always an object, a value that is none under `data`."""

from __future__ import annotations

from msgspec import Raw

from holdfast.protocol.rawjson import UNREADABLE, decode_members, json_or_text


def as_object(stored: bytes) -> Raw:
    """Return an output as an object."""
    json = bytes(json_or_text(stored.strip()))
    return Raw(json if json.startswith(b"{") else b'{"data":' + json + b"}")


def as_error(stored: bytes) -> Raw:
    """Return what a run failed with, without the `error` around it: an object as a rule."""
    json = bytes(json_or_text(stored.strip()))
    try:
        members = decode_members(json)
    except UNREADABLE:
        return Raw(json)
    return members["error"] if members.keys() == {"error"} else Raw(json)
