"""Outputs as REST v2 shows them: always an object, a value that is none under `data`."""

from __future__ import annotations

import msgspec


def as_object(stored: bytes) -> msgspec.Raw:
    """An output as an object."""
    raw = stored.strip()
    if raw[:1] == b"{" and _is_json(raw):
        return msgspec.Raw(raw)
    if _is_json(raw):
        return msgspec.Raw(b'{"data":' + raw + b"}")
    return msgspec.Raw(msgspec.json.encode({"data": raw.decode("utf-8", "replace")}))


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
