"""How outputs become JSON and back: by an explicit type, or by annotations."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.sdk.typed import Untyped, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Hashable

#: No type is known of a value.
UNTYPED: Final = Untyped
_MAX_ADAPTERS: Final = 512


class Serializer(Protocol):
    """Turns values into JSON (dicts, lists, texts, numbers) and back."""

    def serialize(self, obj: object, typ: object) -> object:
        """Return a value of a type as JSON."""
        ...

    def deserialize(self, obj: object, typ: object) -> object:
        """Return the value of a type that JSON stands for."""
        ...


class TypedSerializer(Serializer):
    """Knows Pydantic models, dataclasses, msgspec structs, attrs classes, TypedDicts, dates, UUIDs and decimals."""

    def serialize(self, obj: object, typ: object) -> object:  # noqa: ARG002 - the value knows its type
        """Return a value as JSON."""
        return to_json(obj)

    def deserialize(self, obj: object, typ: object) -> object:
        """Return the value of a type that JSON stands for."""
        return from_json(obj, typ)


class PydanticSerializer(Serializer):
    """Whatever Pydantic can dump and validate."""

    def __init__(self) -> None:
        self._adapters: collections.OrderedDict[Hashable, tuple[Any, object]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def serialize(self, obj: object, typ: object) -> object:
        """Return a value of a type as JSON."""
        return self._adapter(typ).dump_python(obj, mode="json")

    def deserialize(self, obj: object, typ: object) -> object:
        """Return the value of a type that JSON stands for."""
        return self._adapter(typ).validate_python(obj)

    def _adapter(self, typ: object) -> Any:
        """Return a type's adapter. They are kept: Pydantic never forgets the ones that it made."""
        key = _key(typ)
        with self._lock:
            if key not in self._adapters:
                self._adapters[key] = _make_adapter(typ), typ
                if len(self._adapters) > _MAX_ADAPTERS:
                    self._adapters.popitem(last=False)
            self._adapters.move_to_end(key)
            return self._adapters[key][0]


def _key(typ: object) -> Hashable:
    try:
        hash(typ)
    except TypeError:
        return ("id", id(typ))
    return typ


def _make_adapter(typ: object) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - only users of this serializer have it

    return TypeAdapter[Any](typ)  # type: ignore[arg-type]
