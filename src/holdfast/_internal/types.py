"""Types."""

from __future__ import annotations

from logging import Logger
from typing import TypeAlias, TypeVar

from holdfast.sdk.events import JSON
from holdfast.sdk.memos import UNSET
from holdfast.sdk.serializers import UNTYPED

T = TypeVar("T")
MaybeError: TypeAlias = T | Exception

__all__ = ["JSON", "EmptySentinel", "Logger", "MaybeError", "T", "empty_sentinel"]

EmptySentinel = UNTYPED
empty_sentinel = UNSET
