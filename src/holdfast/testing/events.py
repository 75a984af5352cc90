"""Events as tests give them: of any SDK, or as plain dicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import msgspec


@runtime_checkable
class _Dumps(Protocol):
    def model_dump(self, *, mode: str) -> dict[str, object]: ...


def plain(value: object) -> object:
    """Return a value as JSON can hold it: models, structs and dataclasses become dicts."""
    if isinstance(value, _Dumps):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return msgspec.to_builtins(value)


def event_json(event: object, data: Mapping[str, object] | None) -> bytes:
    """Return an event as the JSON that an SDK sends.

    Raises TypeError if it is neither a name, a dict nor an event of an SDK.
    """
    fields = {"name": event, "data": data or {}} if isinstance(event, str) else plain(event)
    try:
        known = msgspec.convert(fields, dict[str, object])
    except msgspec.ValidationError:
        known = {}
    if not known.get("name"):
        raise TypeError(f'an event is a name, a dict with "name" or an SDK\'s Event, not {event!r}')
    unset = {"id": "", "ts": 0, "v": None, "user": None}  # how SDKs' models say that nothing was given
    return msgspec.json.encode({key: plain(value) for key, value in known.items() if unset.get(key, ...) != value})
