"""Types."""

from __future__ import annotations

from logging import Logger
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, TypeVar

from holdfast.sdk.events import JSON
from holdfast.sdk.memos import UNSET
from holdfast.sdk.serializers import UNTYPED

if TYPE_CHECKING:
    from holdfast._internal.models import BaseModel

T = TypeVar("T")
MaybeError: TypeAlias = T | Exception

__all__ = [
    "JSON", "BaseModel", "EmptySentinel", "Logger", "MaybeError", "T", "empty_sentinel", "is_dict", "is_dict_keys",
    "is_list", "is_list_items",
]  # fmt: skip

EmptySentinel = UNTYPED
empty_sentinel = UNSET


def is_dict(v: object) -> TypeGuard[dict[object, object]]:
    """Whether a value is a dict."""
    return isinstance(v, dict)


def is_dict_keys(v: object, key_type: type[T]) -> TypeGuard[dict[T, object]]:
    """Whether a value is a dict whose keys are of a type."""
    return is_dict(v) and all(isinstance(key, key_type) for key in v)


def is_list(v: object) -> TypeGuard[list[object]]:
    """Whether a value is a list."""
    return isinstance(v, list)


def is_list_items(v: object, item_type: type[T]) -> TypeGuard[list[T]]:
    """Whether a value is a list of items of a type."""
    return is_list(v) and all(isinstance(item, item_type) for item in v)


def __getattr__(name: str) -> object:
    """Import the base of models when it is first used: Pydantic is the user's."""
    if name != "BaseModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from holdfast._internal.models import BaseModel  # noqa: PLC0415 - see above

    return BaseModel
