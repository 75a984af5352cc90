from __future__ import annotations

import errno
import ssl

import pytest

from holdfast.server.drivers.http import failures

UNREACHABLE = "Unable to reach SDK URL"
BLOCKED = "Your server connection experienced a timeout or was blocked"


def os_error(number: int) -> OSError:
    return OSError(number, "some words")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (os_error(errno.ECONNREFUSED), UNREACHABLE),
        (os_error(errno.EHOSTUNREACH), UNREACHABLE),
        (os_error(errno.ENETUNREACH), UNREACHABLE),
        (os_error(errno.ETIMEDOUT), BLOCKED),
        (os_error(errno.EACCES), BLOCKED),
        (os_error(errno.EPERM), BLOCKED),
        (TimeoutError(), BLOCKED),
        (os_error(errno.EADDRNOTAVAIL), "error performing request: connect: some words"),
    ],
)
def test_of_connect(error, text):
    assert failures.of_connect(error).text == text


@pytest.mark.parametrize(
    ("error", "sent", "text"),
    [
        (None, True, UNREACHABLE),
        (os_error(errno.EPIPE), False, "Your server closed the request before finishing."),
        (os_error(errno.ECONNRESET), False, "Your server reset the connection while we were sending the request."),
        (
            os_error(errno.ECONNRESET),
            True,
            "Your server reset the connection while we were reading the reply: Unexpected ending response",
        ),
        (os_error(errno.ETIMEDOUT), True, BLOCKED),
        (os_error(errno.EHOSTUNREACH), True, UNREACHABLE),
        (RuntimeError("odd"), True, "error performing request: odd"),
        (RuntimeError(), True, "error performing request: RuntimeError"),
    ],
)
def test_of_transport(error, sent, text):
    assert failures.of_transport(error, sent=sent).text == text


def test_of_handshake():
    slow = failures.of_handshake(ConnectionAbortedError("SSL handshake is taking longer than 15 seconds"))
    assert slow.text == "Your server didn't complete the TLS handshake in time"
    assert failures.of_handshake(ConnectionResetError()).text == UNREACHABLE
    reset = failures.of_handshake(ConnectionResetError(errno.ECONNRESET, "reset"))
    assert reset.text == "Your server reset the connection while we were sending the request."
    assert failures.of_handshake(ssl.SSLError("odd")).text.startswith("error performing request: tls: ")


def test_codes():
    assert failures.too_large().code == "output_too_large"
    assert failures.of_lookup("h", os_error(errno.EIO)).text == "error performing request: lookup h: some words"
