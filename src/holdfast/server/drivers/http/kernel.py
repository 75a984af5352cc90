"""What the kernel knows about a TCP connection that the event loop has not noticed yet.

Linux only: elsewhere nothing is known, and callers take the careful way.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import asyncio

# struct tcp_info of linux/tcp.h: the state is its first byte, tcpi_bytes_acked a 64-bit number at byte 120.
_INFO_SIZE: Final = 128
_ACKED: Final = struct.Struct("=Q")
_ACKED_OFFSET: Final = 120
_ESTABLISHED: Final = 1

UNKNOWN: Final = -1


def peek(transport: asyncio.Transport) -> tuple[bool, int]:
    """Ask how a connection stands, about 2 µs.

    Returns:
        Whether both sides still hold it open, and how many bytes the peer's kernel has acknowledged so far
        (``UNKNOWN`` if that can't be told).

    """
    if sys.platform != "linux":
        return True, UNKNOWN
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None:
        return True, UNKNOWN
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
    except OSError:
        return False, UNKNOWN
    if len(info) < _INFO_SIZE:
        return True, UNKNOWN
    return info[0] == _ESTABLISHED, int(_ACKED.unpack_from(info, _ACKED_OFFSET)[0])
