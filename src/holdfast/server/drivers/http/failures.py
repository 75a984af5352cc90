"""Why a call got no answer: one exception class, and the texts that users see in their runs.

Sources: ``protocol/execution.md §2.6``, ``protocol/flow-control.md §8.5``.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

from holdfast.protocol.responses import TOO_LARGE, TOO_LARGE_CODE

UNREACHABLE: Final = "Unable to reach SDK URL"
CLOSED_EARLY: Final = "Your server closed the request before finishing."
RESET_SENDING: Final = "Your server reset the connection while we were sending the request."
RESET_READING: Final = "Your server reset the connection while we were reading the reply: Unexpected ending response"
TLS_TIMEOUT: Final = "Your server didn't complete the TLS handshake in time"
TIMED_OUT: Final = "Your server connection experienced a timeout or was blocked"
UNSUPPORTED_PROTOCOL: Final = "unsupported_protocol"
CLIENT_CLOSED: Final = "client_closed"
EGRESS_DENIED: Final = "egress_denied"

_UNREACHABLE_ERRNOS: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)
_BLOCKED_ERRNOS: Final = frozenset({errno.ETIMEDOUT, errno.EACCES, errno.EPERM})
# OpenSSL's words for "these bytes are no TLS record", which differ from version to version.
_NOT_TLS_REASONS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


class CallFailure(Exception):
    """A call that ended without an answer.

    Attributes:
        text: What the user reads; the ``error`` and ``message`` of the attempt.
        code: ``output_too_large``, ``unsupported_protocol`` (the scheme or the other side's protocol does not fit),
            ``client_closed`` (this process stops; not the app's fault), ``egress_denied``, or None.

    """

    __slots__ = ("code", "text")

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def other(cause: str, code: str | None = None) -> CallFailure:
    """Word a failure that has no text of its own."""
    return CallFailure(f"error performing request: {cause}", code)


def too_large() -> CallFailure:
    """Report that the body exceeds the limit, before or after decompression."""
    return CallFailure(TOO_LARGE, TOO_LARGE_CODE)


def of_lookup(host: str, error: OSError) -> CallFailure:
    """Report that the host's name did not resolve."""
    unknown = error.errno == socket.EAI_NONAME
    return other(f"lookup {host}: {'no such host' if unknown else (error.strerror or str(error)).lower()}")


def of_connect(error: OSError) -> CallFailure:
    """Return why no TCP connection came about."""
    if error.errno in _UNREACHABLE_ERRNOS:
        return CallFailure(UNREACHABLE)
    if error.errno in _BLOCKED_ERRNOS or isinstance(error, TimeoutError):
        return CallFailure(TIMED_OUT)
    return other(f"connect: {(error.strerror or str(error)).lower()}")


def of_handshake(error: OSError) -> CallFailure:
    """Return why no TLS session came about on a TCP connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return other(f"tls: failed to verify certificate: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, ConnectionAbortedError):  # what event loops raise for a slow handshake
        return CallFailure(TLS_TIMEOUT)
    if isinstance(error, ConnectionResetError) and error.errno is None:  # their word for a plain EOF
        return CallFailure(UNREACHABLE)
    return of_transport(error, sent=False)


def _of_tls(error: ssl.SSLError) -> CallFailure:
    reason: str | None = getattr(error, "reason", None)  # missing where an event loop made the error
    if reason in _NOT_TLS_REASONS:
        return other("server gave HTTP response to HTTPS client", UNSUPPORTED_PROTOCOL)
    return other(f"tls: {(reason or str(error)).replace('_', ' ').lower()}")


def of_transport(error: Exception | None, *, sent: bool) -> CallFailure:
    """Return why a connection broke before the answer was complete.

    Args:
        error: What the event loop reported; None for an orderly end.
        sent: The whole request had left this process.

    """
    if error is None:
        return CallFailure(UNREACHABLE)
    if isinstance(error, BrokenPipeError):
        return CallFailure(CLOSED_EARLY)
    if isinstance(error, ConnectionResetError):
        return CallFailure(RESET_READING if sent else RESET_SENDING)
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, OSError):
        return of_connect(error)
    return other(str(error) or type(error).__name__)
