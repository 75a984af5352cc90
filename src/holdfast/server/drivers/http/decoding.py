"""Content encodings: gzip and brotli, with a limit on what comes out.

A few hundred bytes can decompress to gigabytes, so both decoders stop as soon as the limit is passed.
Source: ``protocol/execution.md §2.6``.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol, cast

import brotli

from holdfast.server.drivers.http import failures

_GZIP_WBITS: Final = 31
_MAX_GZIP_MEMBERS: Final = 16  # several are legal, hundreds of thousands of empty ones are an attack
_EMPTY: Final = frozenset({"", "identity"})


class _BrotliDecompressor(Protocol):
    def process(self, data: bytes, output_buffer_limit: int = ...) -> bytes: ...
    def is_finished(self) -> bool: ...


def decode(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo ``encoding`` (a Content-Encoding value).

    Raises:
        CallFailure: The encoding is not known or there are several; the data are corrupt or cut off; more than
            ``limit`` bytes come out.

    """
    name = encoding.strip().lower()
    if name in _EMPTY:
        return body
    if name in ("gzip", "x-gzip"):
        return _gunzip(body, limit) if body else body
    if name == "br":
        return _unbrotli(body, limit) if body else body
    raise failures.CallFailure(f'unsupported content encoding: "{encoding}"')


def _gunzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while body:
        if len(parts) == _MAX_GZIP_MEMBERS:
            raise failures.other("gzip: too many members")
        member = zlib.decompressobj(_GZIP_WBITS)
        try:
            part = member.decompress(body, limit - size + 1)
        except zlib.error:
            raise failures.other("gzip: invalid data") from None
        size += len(part)
        if size > limit:
            raise failures.too_large()
        if not member.eof:
            raise failures.CallFailure(failures.RESET_READING)
        parts.append(part)
        body = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unbrotli(body: bytes, limit: int) -> bytes:
    decompressor = cast("_BrotliDecompressor", brotli.Decompressor())
    parts: list[bytes] = []
    size = 0
    data = body
    try:
        while not decompressor.is_finished():
            part = decompressor.process(data, output_buffer_limit=limit - size + 1)
            if not part and not decompressor.is_finished():
                raise failures.CallFailure(failures.RESET_READING)
            size += len(part)
            if size > limit:
                raise failures.too_large()
            parts.append(part)
            data = b""
    except brotli.error:
        raise failures.other("brotli: invalid data") from None
    return b"".join(parts)
