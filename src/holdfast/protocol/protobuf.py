"""The one piece of Protocol Buffers' encoding that is written by hand here."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """Return a number, not negative, in seven bits a byte, the lowest first."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
