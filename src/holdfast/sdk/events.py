"""Events, as users send and receive them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec

from holdfast.sdk.validation import validation_error

if TYPE_CHECKING:
    from typing import Self

#: What an event's data may hold. Not recursive, so that TypedDicts fit.
JSON: TypeAlias = bool | int | float | str | Mapping[str, object] | Sequence[object] | None
T = TypeVar("T")


class Event(msgspec.Struct, kw_only=True, omit_defaults=False, dict=True):
    """An event: `name`, `data`, and the server's or the sender's `id` and `ts` (milliseconds since the epoch).

    An empty `id` and a `ts` of 0 are filled in when the event is sent. `v` is a version of the data's shape; `meta`
    holds sessions (`{"sessions": {"conversation": "1"}}`).
    """

    data: Mapping[str, JSON] = {}
    id: str = ""
    name: str
    ts: int = 0
    v: str | None = None
    meta: Mapping[str, JSON] | None = None

    def __post_init__(self) -> None:
        given = cast("object", self.data)
        if not isinstance(given, Mapping):
            if given:
                raise validation_error("Event", "data", "mapping_type", "Input should be a valid mapping", given)
            self.data = {}
        for field, value, kind in self._scalars():
            if not isinstance(value, kind):
                word = "string" if kind is str else "integer"
                error = f"{'string' if kind is str else 'int'}_type"
                raise validation_error("Event", field, error, f"Input should be a valid {word}", value)

    def _scalars(self) -> tuple[tuple[str, object, type], ...]:
        return ("id", self.id, str), ("name", self.name, str), ("ts", self.ts, int)

    @classmethod
    def from_raw(cls, raw: object) -> Self | Exception:
        """Return the event that JSON text or a mapping holds, or the error why it holds none."""
        try:
            return cls.model_validate(raw)
        except Exception as error:  # noqa: BLE001 - the error is the answer
            return error

    @classmethod
    def model_validate(cls, raw: object) -> Self:
        """Return the event that JSON text or a mapping holds; raise ValueError if it holds none."""
        if isinstance(raw, cls):
            return raw
        if isinstance(raw, (str, bytes)):
            raw = msgspec.json.decode(raw)
        if not isinstance(raw, Mapping):
            raise validation_error("Event", "", "model_type", "Input should be a mapping", raw)
        found = cast("Mapping[str, Any]", raw)
        if "name" not in found:
            raise validation_error("Event", "name", "missing", "Field required", found)
        return cls(**{field: found[field] for field in cls.__struct_fields__ if field in found})

    @classmethod
    def model_validate_json(cls, raw: str | bytes) -> Self:
        """Return the event that JSON text holds; raise ValueError if it holds none."""
        return cls.model_validate(raw)

    def to_dict(self) -> dict[str, object]:
        """Return what is sent: `data`, `id`, `name`, `ts`, and `v` and `meta` where they are set."""
        found: dict[str, object] = {"data": self.data, "id": self.id, "name": self.name, "ts": self.ts}
        if self.v is not None:
            found["v"] = self.v
        if self.meta is not None:
            found["meta"] = self.meta
        return found

    def model_dump(self, **_: object) -> dict[str, object]:
        """Return the event as a dict, as a Pydantic model would."""
        return self.to_dict()

    def model_dump_json(self, **_: object) -> str:
        """Return the event as JSON text, as a Pydantic model would."""
        return msgspec.json.encode(self.to_dict()).decode()

    def data_as(self, typ: type[T]) -> T:
        """Return the event's data as an object of a type: Pydantic, dataclass, msgspec, attrs, TypedDict.

        Raise an error that says what does not fit.
        """
        from holdfast.sdk.typed import from_json  # noqa: PLC0415 - typed results are not always needed

        return cast("T", from_json(self.data, typ))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        """Let Pydantic models have fields that are events."""
        from pydantic_core import core_schema  # noqa: PLC0415 - Pydantic is the user's

        dump = core_schema.plain_serializer_function_ser_schema(lambda event: event.to_dict())
        return core_schema.no_info_plain_validator_function(cls.model_validate, serialization=dump)
