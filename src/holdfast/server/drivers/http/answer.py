"""What a server said: status, headers, body, and where the time went."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct):
    """A complete HTTP answer, its content encoding already removed.

    Attributes:
        status: Status code, 200 to 599 as a rule (101 if a server switched protocols unasked).
        headers: Lower-case names; repeated fields joined by ``", "``.
        body: The decoded body.
        dns_ns: Nanoseconds spent resolving the host; 0 on a kept-alive connection, as are the next two.
        connect_ns: Nanoseconds of the TCP handshake.
        tls_ns: Nanoseconds of the TLS handshake.
        wait_ns: Nanoseconds from the request's last write to the answer's first byte.
        transfer_ns: Nanoseconds from the first byte to the last.

    """

    status: int
    headers: dict[str, str]
    body: bytes
    dns_ns: int = 0
    connect_ns: int = 0
    tls_ns: int = 0
    wait_ns: int = 0
    transfer_ns: int = 0

    @property
    def total_ns(self) -> int:
        """Nanoseconds from start to last byte, for the hop that answered."""
        return self.dns_ns + self.connect_ns + self.tls_ns + self.wait_ns + self.transfer_ns
