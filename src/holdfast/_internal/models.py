"""The base of Pydantic models of programs that took it from the official SDK."""

from __future__ import annotations

from typing import Self

import pydantic

__all__ = ["BaseModel"]


class BaseModel(pydantic.BaseModel):
    """A strict model. What does not validate can be had as a value instead of being raised."""

    model_config = pydantic.ConfigDict(strict=True)

    @classmethod
    def from_raw(cls, raw: object) -> Self | Exception:
        """Return the model that JSON text or a mapping holds, or the error why it holds none."""
        try:
            return cls.model_validate_json(raw) if isinstance(raw, (str, bytes)) else cls.model_validate(raw)
        except Exception as error:  # noqa: BLE001 - the error is the answer
            return error

    def to_dict(self) -> dict[str, object] | Exception:
        """Return the model as JSON values by their aliases, or the error why it can't be."""
        try:
            return self.model_dump(by_alias=True, mode="json")
        except Exception as error:  # noqa: BLE001 - the error is the answer
            return error
