"""Heads that say the length of a body twice or in vain, put into the form that the parser takes (RFC 9112, §6.3).

As Go's client does: HTTP/1.0 knows no Transfer-Encoding, so it is ignored; a Content-Length that is repeated with the
same value counts once. With different values the answer stays refused.
"""

from __future__ import annotations

import re
from typing import Final

_END: Final = re.compile(rb"\r?\n\r?\n")
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1\d\d")
_OLD: Final = b"HTTP/1.0"


def mend(received: bytes) -> bytes | None:
    """Return what was received of an answer, with one length if all are the same; None while its head isn't whole."""
    start = len(received) - len(received.lstrip(b"\r\n"))
    while (end := _END.search(received, start)) is not None:
        if not _INTERIM.match(received, start):
            return received[:start] + _mend_head(received[start : end.start()]) + received[end.start() :]
        start = end.end()
    return None


def _mend_head(head: bytes) -> bytes:
    lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    if lines[0].startswith(_OLD):
        lines = [line for line in lines if not _told(line, b"transfer-encoding")]
    lengths = {value.strip() for line in lines for value in _told(line, b"content-length").split(b",")} - {b""}
    if len(lengths) == 1:
        lines = [line for line in lines if not _told(line, b"content-length")]
        lines.append(b"Content-Length: " + lengths.pop())
    return b"\r\n".join(lines)


def _told(line: bytes, name: bytes) -> bytes:
    """Return the value of a field, if the line is that field."""
    found, _, value = line.partition(b":")
    return value if found.lower() == name else b""
