"""Values with types: what functions and steps return, as JSON and back, by their annotations."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, Final

import msgspec

from holdfast.sdk.errors import OutputUnserializableError


class Untyped:
    """The type of what has no annotation: its JSON is left as it is."""


_PLAIN: Final = frozenset({None, type(None), object, Any, str, int, float, bool, dict, list, tuple, Untyped})
_CONTAINERS: Final = frozenset({
    dict, list, tuple, Mapping, MutableMapping, Sequence, MutableSequence, typing.Union, types.UnionType,
})  # fmt: skip
_AWAITED: Final = frozenset({Awaitable, Coroutine})
_BUILTIN_TIMES: Final = (dt.datetime, dt.date, dt.time, dt.timedelta)


def encode(value: object, *, typed: bool = True) -> bytes:
    """Write a value as JSON; raise OutputUnserializableError if it can't be.

    Strictly, that is without `typed`, only values that JSON knows are accepted.
    """
    try:
        return (_typed_encoder if typed else _encoder).encode(value)
    except Exception as error:  # noqa: BLE001 - whatever the value's own code raises
        raise OutputUnserializableError(str(error)) from None


def to_json(value: object) -> object:
    """Return a value as dicts, lists, texts and numbers; raise OutputUnserializableError if it can't be."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_write_foreign)
    except Exception as error:  # noqa: BLE001 - whatever the value's own code raises
        raise OutputUnserializableError(str(error)) from None


def from_json(value: object, typ: Any) -> object:
    """Return what JSON stands for by a type; raise a ValueError of msgspec or Pydantic if it does not fit."""
    if is_plain(typ):
        return value
    try:
        return msgspec.convert(value, typ, strict=True, dec_hook=_read_foreign)
    except TypeError:  # a union that msgspec does not tell apart
        return _adapter(typ).validate_python(value)


def return_type(handler: Callable[..., Any]) -> Any:
    """Return the annotated type of what a function gives, or that its awaitable gives; Untyped without one."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = inspect.unwrap(handler)
    annotation = getattr(handler, "__annotations__", {}).get("return", Untyped)
    if not isinstance(annotation, str):
        return _awaited(annotation)
    return _resolved(getattr(handler, "__code__", None), annotation, handler)


@functools.lru_cache(maxsize=2048)
def _is_plain(typ: Any) -> bool:
    if typ in _PLAIN:
        return True
    if isinstance(typ, typing.TypeVar):
        return True
    if typing.is_typeddict(typ):
        return all(is_plain(each) for each in typing.get_type_hints(typ).values())
    origin = typing.get_origin(typ)
    if origin is typing.Literal:
        return True
    return origin in _CONTAINERS and all(is_plain(each) or each is Ellipsis for each in typing.get_args(typ))


def is_plain(typ: Any) -> bool:
    """Whether a type says no more than its JSON. Such values are left as they are, tuples as lists."""
    try:
        return _is_plain(typ)
    except TypeError:  # not hashable
        return False


def same_json(value: object) -> object:
    """Return a value as it will be after a round trip through JSON."""
    return msgspec.json.decode(encode(value))


_types_by_code: Final[dict[tuple[types.CodeType, str], Any]] = {}


def _resolved(code: types.CodeType | None, annotation: str, handler: Callable[..., Any]) -> Any:
    """Evaluate an annotation that is text; cached by code, as handlers are often closures made anew by each call."""
    if code is None:
        return Untyped
    key = (code, annotation)
    if key not in _types_by_code:
        if len(_types_by_code) > 4096:
            _types_by_code.clear()
        _types_by_code[key] = _awaited(_evaluated(annotation, handler))
    return _types_by_code[key]


def _evaluated(annotation: str, handler: Callable[..., Any]) -> Any:
    closure: Mapping[str, Any] = {}
    if getattr(handler, "__closure__", None):
        closure = inspect.getclosurevars(handler).nonlocals
    try:
        return eval(annotation, getattr(handler, "__globals__", {}), dict(closure))  # noqa: S307 - the user's own code
    except Exception:  # noqa: BLE001 - a name for type checkers only
        return Untyped


def _awaited(annotation: Any) -> Any:
    return typing.get_args(annotation)[-1] if typing.get_origin(annotation) in _AWAITED else annotation


def _is_model(typ: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(typ, type) and issubclass(typ, pydantic.BaseModel)


def _write_foreign(value: object) -> object:
    if _is_model(type(value)):
        return typing.cast("Any", value).model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _read_foreign(typ: Any, value: object) -> object:
    if isinstance(typ, type) and isinstance(value, typ):
        return value
    if "pydantic" in sys.modules:
        return _adapter(typ).validate_python(value)
    raise TypeError(f"{getattr(typ, '__name__', typ)} can't be read from JSON")


@functools.lru_cache(maxsize=512)
def _adapter(typ: Any) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - the user's

    return TypeAdapter(typ)


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} can't be written as JSON; return a dict, or name an output_type")


_typed_encoder: Final = msgspec.json.Encoder(enc_hook=_write_foreign)
_encoder: Final = msgspec.json.Encoder(enc_hook=_refuse)
