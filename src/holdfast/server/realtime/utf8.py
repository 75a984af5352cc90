"""Cutting UTF-8 text without cutting characters."""

from __future__ import annotations

_LEAD_2, _LEAD_3, _LEAD_4, _NO_LEAD = 0xC0, 0xE0, 0xF0, 0xF8


def whole(data: bytes) -> int:
    """Return how many bytes come before a character that `data` ends within; all of them, if it ends within none."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:  # a continuation: the lead is further back
            continue
        wanted = 1 + (_LEAD_2 <= byte < _NO_LEAD) + (_LEAD_3 <= byte < _NO_LEAD) + (_LEAD_4 <= byte < _NO_LEAD)
        return len(data) - back if wanted > back else len(data)
    return len(data)


class Cutter:
    """Bytes that arrive in any pieces, handed on in pieces of at most `most` bytes that end between characters."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are ready; a character's first bytes are kept until the others come."""
        data = self._rest + data
        end = whole(data)
        self._rest = data[end:]
        pieces: list[bytes] = []
        at = 0
        while at < end:
            piece = data[at : min(at + self._most, end)]
            piece = piece[: whole(piece) or len(piece)]
            pieces.append(piece)
            at += len(piece)
        return pieces

    def rest(self) -> bytes:
        """Return what was kept and never completed."""
        rest, self._rest = self._rest, b""
        return rest
