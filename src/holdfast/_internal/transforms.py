"""Hashes, and the texts of moments and durations."""

from __future__ import annotations

import hashlib

from holdfast.protocol.canonical import canonical
from holdfast.protocol.signing import hash_signing_key, strip_prefix
from holdfast.sdk.config import strip_none as deep_strip_none
from holdfast.sdk.errors import get_traceback
from holdfast.sdk.plans import hash_step_id
from holdfast.sdk.timing import Duration, to_iso_utc
from holdfast.sdk.timing import to_duration_str as _to_duration_str

__all__ = [
    "canonicalize", "deep_strip_none", "get_traceback", "hash_event_key", "hash_signing_key", "hash_step_id",
    "remove_signing_key_prefix", "to_duration_str", "to_iso_utc", "to_maybe_duration_str",
]  # fmt: skip

remove_signing_key_prefix = strip_prefix


def canonicalize(value: bytes) -> bytes | Exception:
    """Return JSON in its canonical form, or the error why it has none."""
    try:
        return canonical(value) if value else value
    except ValueError as error:
        return error


def hash_event_key(key: str) -> str:
    """Return the SHA-256 of a key's text."""
    return hashlib.sha256(key.encode()).hexdigest()


def to_duration_str(ms: Duration) -> str | Exception:
    """Write a duration, or return the error why it can't be."""
    try:
        return _to_duration_str(ms)
    except Exception as error:  # noqa: BLE001 - the error is the answer
        return error


def to_maybe_duration_str(ms: Duration | None) -> str | Exception | None:
    """Write a duration, if there is one."""
    return None if ms is None else to_duration_str(ms)
