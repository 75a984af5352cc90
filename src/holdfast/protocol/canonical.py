r"""Canonical JSON (RFC 8785): the form in which bodies are signed (`protocol/execution.md` §2.3, §6.1).

Keys sorted by UTF-16, no blanks, strings escaped only where they must be, numbers as ECMAScript writes the double they
stand for: `1e2` becomes `100`, 2⁵³+1 becomes 9007199254740992.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_EXACT: Final = 2**53
# Digits that may be an integer beyond the doubles' exact ones; a cheap look for sixteen in a row comes first.
_LONG_INTEGER: Final = re.compile(rb"(?:^|[:,\[\s])-?[0-9]{16}")
_AS_ZEROS: Final = bytes(ord("0") if chr(byte).isdecimal() else ord(" ") for byte in range(256))
_SIXTEEN: Final = b"0" * 16
# UTF-8 and UTF-16 sort alike but for characters beyond the basic plane against those at its end.
_ASTRAL: Final = re.compile(rb"[\xf0-\xf4]|\\u[dD]")
_END_OF_PLANE: Final = re.compile(rb"[\xee\xef]|\\u[eEfF]")
# From 1e21 on and below 1e-6, ECMAScript writes an exponent.
_PLAIN_DIGITS: Final = 21
_PLAIN_ZEROS: Final = -6


def canonical(raw: bytes) -> bytes:
    """Rewrite any JSON value canonically.

    Raises ValueError if the text is no JSON, holds a number beyond the doubles, or is nested too deep.
    """
    try:
        value: object = _decode(raw)
        if not _has_long_integers(raw) and _sorts_alike(raw):
            return _encode(value)
        parts: list[bytes] = []
        _write(value, parts.append)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("JSON is nested too deep") from None
    return b"".join(parts)


def es_number(value: float) -> str:
    """Write a double as ECMAScript does; ValueError if it is infinite or not a number."""
    if value == 0:
        return "0"
    text = repr(abs(value))
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    if not whole.isdigit():
        raise ValueError(f"no JSON number: {text}")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _place(digits, point)


def _has_long_integers(raw: bytes) -> bool:
    return _SIXTEEN in raw.translate(_AS_ZEROS) and _LONG_INTEGER.search(raw) is not None


def _sorts_alike(raw: bytes) -> bool:
    if raw.isascii() and b"\\u" not in raw:
        return True
    return _ASTRAL.search(raw) is None or _END_OF_PLANE.search(raw) is None


def _place(digits: str, point: int) -> str:
    if len(digits) <= point <= _PLAIN_DIGITS:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _PLAIN_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if _PLAIN_ZEROS < point <= 0:
        return f"0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{point - 1:+d}"


def _read_float(text: str) -> msgspec.Raw:
    return msgspec.Raw(es_number(float(text)).encode())


_decode: Final = msgspec.json.Decoder(float_hook=_read_float).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def _write(value: object, put: Callable[[bytes], None]) -> None:
    if isinstance(value, dict):
        _write_object(cast("dict[str, object]", value), put)
    elif isinstance(value, list):
        _write_array(cast("list[object]", value), put)
    elif isinstance(value, int) and not -_EXACT <= value <= _EXACT:
        put(es_number(_nearest(value)).encode())
    else:
        put(_encode(value))


def _write_object(members: dict[str, object], put: Callable[[bytes], None]) -> None:
    opener = b"{"
    for key in sorted(members, key=lambda key: key.encode("utf-16-be")):
        put(opener + _encode(key) + b":")
        _write(members[key], put)
        opener = b","
    put(b"}" if members else b"{}")


def _write_array(items: list[object], put: Callable[[bytes], None]) -> None:
    opener = b"["
    for item in items:
        put(opener)
        _write(item, put)
        opener = b","
    put(b"]" if items else b"[]")


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number beyond the doubles") from None
