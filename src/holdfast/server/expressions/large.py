"""Large events: only what an expression looks at is decoded, and only if that is not too much itself."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from holdfast.protocol.limits import EXPRESSION_VALUES
from holdfast.server.expressions.errors import Exhausted
from holdfast.server.expressions.values import MISSING, Value

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that are passed over for one unit of work.
_SCANNED: Final = 128


def values(raw: bytes) -> int:
    """Count about how many values a JSON text has; never too few."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


class Large:
    """A JSON object of which members are read one by one, and then kept."""

    __slots__ = ("_decode", "_parts", "_values")

    def __init__(self, raw: bytes, decode: Callable[[bytes], Value]) -> None:
        self._decode = decode
        self._parts: dict[tuple[str, ...], bytes | memoryview | None] = {(): raw}
        self._values: dict[tuple[str, ...], Value] = {}

    def look_up(self, names: tuple[str, ...], pay: Callable[[int], None]) -> Value:
        """Return what the names lead to; MISSING if nowhere. Raises Exhausted for a part that is too large."""
        if names in self._values:
            return self._values[names]
        part = self._part(names, pay)
        found = self._values[names] = MISSING if part is None else self._value(bytes(part), pay)
        return found

    def _value(self, raw: bytes, pay: Callable[[int], None]) -> Value:
        if raw[:1] in b"[{":
            count = values(raw)
            if count > EXPRESSION_VALUES:
                raise Exhausted
            pay(count)
        return self._decode(raw)

    def _part(self, names: tuple[str, ...], pay: Callable[[int], None]) -> bytes | memoryview | None:
        if names in self._parts:
            return self._parts[names]
        outer = self._part(names[:-1], pay)
        part = None
        if outer is not None:
            pay(len(outer) // _SCANNED)
            part = _member(outer, names[-1])
        self._parts[names] = part
        return part


def _member(raw: bytes | memoryview, name: str) -> memoryview | None:
    try:
        found = _reader(name).decode(raw).value
    except (msgspec.MsgspecError, UnicodeEncodeError):  # no object, or a name that no JSON has
        return None
    return None if found is UNSET else memoryview(found)


@lru_cache(256)
def _reader(name: str) -> msgspec.json.Decoder[Any]:
    """Return a decoder of one member of an object, which makes nothing of the others."""
    shape = msgspec.defstruct("Member", [("value", Raw | UnsetType, UNSET)], rename={"value": name})
    return msgspec.json.Decoder(shape)
