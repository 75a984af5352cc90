"""From a target to an open connection: resolve, race the addresses, shake hands.

Event loops differ in what they offer here (uvloop has no happy eyeballs), so the race is our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from holdfast.server.config.egress import DeniedError, Egress
from holdfast.server.drivers.http import failures

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.server.drivers.http.connection import Connection
    from holdfast.server.drivers.http.target import Target

Address: TypeAlias = "tuple[socket.AddressFamily, tuple[Any, ...]]"

_STAGGER: Final = 0.25  # seconds before the next address is tried beside the last one (RFC 8305)
_KEEPALIVE: Final = 15  # seconds between probes: a step may take hours, a dead peer should be noticed in minutes


class Dialer:
    """Opens connections.

    Args:
        connect_timeout: Seconds for name lookup and TCP handshake together.
        tls_timeout: Seconds for the TLS handshake.
        egress: Which hosts may be called.

    """

    def __init__(self, connect_timeout: float, tls_timeout: float, egress: Egress) -> None:
        self._egress = egress
        self._loop = asyncio.get_running_loop()
        self._connect_timeout = connect_timeout
        self._tls_timeout = tls_timeout
        self._tls_context: ssl.SSLContext | None = None

    async def dial(self, target: Target, new: Callable[[], Connection]) -> Connection:
        """Open a connection to ``target``.

        Raises:
            CallFailure: With the text for the user.

        """
        started = monotonic_ns()
        try:
            async with asyncio.timeout(self._connect_timeout):
                addresses = await self._resolve(target)
                resolved = monotonic_ns()
                sock = await self._race(addresses)
        except OSError as error:  # TimeoutError included
            raise failures.of_connect(error) from None
        connected = monotonic_ns()
        connection = await self._wrap(target, sock, new)
        connection.dns_ns = resolved - started
        connection.connect_ns = connected - resolved
        connection.tls_ns = monotonic_ns() - connected if target.secure else 0
        return connection

    async def _resolve(self, target: Target) -> list[Address]:
        """Return the addresses of a target that may be called: looked at here, no later answer of a resolver counts."""
        try:
            self._egress.check_name(target.host)
            return self._egress.allowed(target.host, await self._look_up(target))
        except DeniedError as denied:
            raise failures.other(str(denied), failures.EGRESS_DENIED) from None

    async def _look_up(self, target: Target) -> list[Address]:
        known = _without_lookup(target)
        if known is not None:
            return known
        try:
            found = await self._loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            cause = error if isinstance(error, OSError) else OSError(str(error))
            raise failures.of_lookup(target.host, cause) from None
        return _interleaved([(info[0], info[4]) for info in found])

    async def _race(self, addresses: list[Address]) -> socket.socket:
        if len(addresses) == 1:
            return await self._connect(*addresses[0])
        waiting = deque(addresses)
        running: set[asyncio.Task[socket.socket]] = set()
        error: OSError = OSError("no address")
        try:
            while waiting or running:
                if waiting:
                    running.add(self._loop.create_task(self._connect(*waiting.popleft())))
                stagger = _STAGGER if waiting else None
                done, running = await asyncio.wait(running, timeout=stagger, return_when=asyncio.FIRST_COMPLETED)
                while done:
                    attempt = done.pop()
                    cause = attempt.exception()
                    if cause is None:
                        running |= done
                        return attempt.result()
                    if not isinstance(cause, OSError):
                        raise cause
                    error = cause
        finally:
            for attempt in running:
                attempt.add_done_callback(_close_result)
                attempt.cancel()
        raise error

    async def _connect(self, family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            _keep_alive(sock)
            await self._loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _wrap(self, target: Target, sock: socket.socket, new: Callable[[], Connection]) -> Connection:
        try:
            if not target.secure:
                _, connection = await self._loop.create_connection(new, sock=sock)
                return connection
            _, connection = await self._loop.create_connection(
                new,
                sock=sock,
                ssl=self._context(),
                server_hostname=target.host,
                ssl_handshake_timeout=self._tls_timeout,
            )
        except OSError as error:
            sock.close()
            raise failures.of_handshake(error) from None
        except BaseException:
            sock.close()
            raise
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls_context is None:  # loading the system's certificates takes tens of milliseconds
            self._tls_context = ssl.create_default_context()
            self._tls_context.set_alpn_protocols(["http/1.1"])
        return self._tls_context


def _without_lookup(target: Target) -> list[Address] | None:
    if target.host == "localhost":
        return [(socket.AF_INET6, ("::1", target.port, 0, 0)), (socket.AF_INET, ("127.0.0.1", target.port))]
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        return None
    if address.version == 4:
        return [(socket.AF_INET, (target.host, target.port))]
    return None if "%" in target.host else [(socket.AF_INET6, (target.host, target.port, 0, 0))]


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Alternate between families, the resolver's first choice first (RFC 8305 §4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    second = [a for a in addresses if a[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1] + second[index : index + 1]
    return mixed


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not on every platform
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE)


def _close_result(attempt: asyncio.Task[socket.socket]) -> None:
    with contextlib.suppress(BaseException):
        attempt.result().close()
