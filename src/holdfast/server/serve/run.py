"""Running a server in this process: the port, the event loop, signals, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import click
import structlog
import uvicorn

from holdfast.server.api.common.asgi import App
from holdfast.server.app import Server
from holdfast.server.app.parts import open_storage
from holdfast.server.config import Config
from holdfast.server.serve import activity
from holdfast.server.serve.banner import show
from holdfast.server.serve.collector import collect_at_rest, settle
from holdfast.server.serve.http import GuardedHttp
from holdfast.server.serve.pace import make_room
from holdfast.server.serve.systemd import Notifier
from holdfast.server.serve.waiting import Waiting
from holdfast.server.store.sqlite.store import check_room
from holdfast.server.store.store import DiskFullError, StoreError

log = structlog.get_logger(__name__)

#: Seconds that a stopping server gives its clients.
GRACE_S = 3
#: How many ports `dev` tries.
PORTS_TRIED = 100
_BACKLOG = 2_048
#: Hosts that are several addresses; a machine without IPv6 does with the first.
_ADDRESSES = {"::": ("0.0.0.0", "::"), "localhost": ("127.0.0.1", "::1")}  # noqa: S104 - the default is all
_LAST_PORT = 65_535
#: Milliseconds after which a client that reads nothing is cut off: what waits for it takes memory.
_STALLED_MS = 60_000
_PING_S = 15.0
#: Seconds between two tries to start on a disk that was full.
_ROOM_S = 1.0
_MAX_FRAME = 32 * 1024


class PortError(Exception):
    """The server can't have its port; the text says why and what to do."""


class _NoIPv6Error(OSError):
    """The machine has no such address: IPv6 is off, or unknown to it."""


class Http(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the server stops in its own order."""

    def stop(self) -> None:
        """Stops gracefully; asked a second time, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves signals to the loop's handlers."""
        yield


def run(config: Config) -> None:
    """Serves until a signal ends it. Raises PortError or SchemaError."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listener) for listener in listen(config)]
        port = listeners[0].getsockname()[1]
        gateway = [stack.enter_context(listener) for listener in listen_to_workers(config, port)]
        _run_loop(_serve(config, listeners, gateway))


def listen(config: Config) -> list[socket.socket]:
    """Take the API's port, on each address that `--host` stands for; in `dev`, the next free one.

    Raises:
        PortError: The port is taken, or the host can't be listened on.

    """
    tries = PORTS_TRIED if config.kind == "dev" and config.port else 1
    return _listen(config.host, config.port, tries, "port")


def listen_to_workers(config: Config, api_port: int) -> list[socket.socket]:
    """Take the port of the Connect gateway; if none was asked for, the first free one after the API's.

    The ports of apps are left alone: they may start later. Workers are told its number by the API. Raises PortError.
    """
    tries = PORTS_TRIED if config.kind == "dev" or not config.gateway_port else 1
    host = config.gateway_host or config.host
    first, asked = config.gateway_port or api_port + 1, bool(config.gateway_port)
    apps = {_port_of(url) for url in config.sdk_urls}
    while not asked and first in apps:
        first += 1
    return _listen(host, first, tries, "connect-gateway-port", asked=asked)


def _port_of(url: str) -> int | None:
    with contextlib.suppress(ValueError):
        return urlsplit(url).port
    return None


def _listen(host: str, first: int, tries: int, option: str, *, asked: bool = True) -> list[socket.socket]:
    last = min(first + tries - 1, _LAST_PORT)
    for port in range(first, last + 1):
        try:
            return _bind(host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and tries > 1:
                if asked:
                    click.echo(f"Port {port} is in use, trying {port + 1}", err=True)
                continue
            raise PortError(_why(host, port, error, option)) from error
    raise PortError(f"no free port in {first} to {last}; choose another with --{option}")


def _bind(host: str, port: int) -> list[socket.socket]:
    """Listen on the addresses of a host; port 0 is one of the system's choice, the same for all of them."""
    first, *others = _ADDRESSES.get(host, (host,))
    listeners = [_socket(first, port)]
    try:
        for address in others:
            with contextlib.suppress(_NoIPv6Error):
                listeners.append(_socket(address, listeners[0].getsockname()[1]))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _socket(host: str, port: int) -> socket.socket:
    try:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoIPv6Error(*error.args) from error
    try:
        _set_options(listener)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if ":" in host and error.errno == errno.EADDRNOTAVAIL:
            raise _NoIPv6Error(*error.args) from error
        raise
    listener.setblocking(False)
    return listener


def _set_options(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:  # IPv4 has a socket of its own: its clients keep their plain addresses
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)


def _why(host: str, port: int, error: OSError, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: another server runs there; stop it, or choose another port with --{option}"
    other = f"--{option.replace('port', 'host')} and --{option}"
    return f"can't listen on {host}:{port}: {error.strerror or error}; choose another with {other}"


def _run_loop(main: Coroutine[None, None, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


class _Stopper:
    """What a signal does: the first drains (in `start`) and stops, the second stops at once."""

    def __init__(self, server: Server, http: Http, notifier: Notifier, patience: float) -> None:
        self._server = server
        self._http = http
        self._notifier = notifier
        self._patience = patience
        self._draining: asyncio.Task[None] | None = None

    def signalled(self) -> None:
        """Handles one signal."""
        if self._draining is not None or not self._patience:
            self._stop()
            if self._draining is not None:
                self._http.stop()  # at once
            return
        self._notifier.stopping(self._patience + 2 * GRACE_S)
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        try:
            await self._server.drain(self._patience)
        finally:  # whatever became of it
            if not self._http.should_exit:
                self._stop()

    def _stop(self) -> None:
        self._server.closing()
        self._http.stop()


def _websocket(**given: Any) -> asyncio.Protocol:
    from holdfast.server.serve.websocket import WebSocket  # noqa: PLC0415 - few servers see one

    return WebSocket(**given)


def _ending() -> list[signal.Signals]:
    """The signals that end a server. A terminal that was closed is one, unless `nohup` has it ignored."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL else []
    return [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, *hangup]


def make_http(config: Config, app: App) -> Http:
    """Return an HTTP server with the bounds of the port, not yet started."""
    return Http(
        uvicorn.Config(
            app, http=GuardedHttp, lifespan="off", access_log=False, log_config=None,
            ws=cast("type[asyncio.Protocol]", _websocket), ws_max_size=_MAX_FRAME, ws_per_message_deflate=False,
            ws_ping_interval=_PING_S, ws_ping_timeout=3 * _PING_S,
            forwarded_allow_ips=list(config.trusted_proxies),
            server_header=False, timeout_graceful_shutdown=GRACE_S,
        )
    )  # fmt: skip


async def _make(config: Config, listeners: list[socket.socket], notifier: Notifier) -> Server | None:
    """Make the server. While its disk is full, the port says so; None if a signal ends that."""
    waited = False
    while True:
        try:
            return Server(config, storage=await open_storage(config))
        except DiskFullError as error:
            if config.database is None:
                raise
            if not waited:
                log.error("the disk is full; waiting for space to start", error=str(error))
        waited = True
        notifier.ready()
        if not await _wait_for_room(config, config.database, listeners):
            return None


async def _wait_for_room(config: Config, database: Path, listeners: list[socket.socket]) -> bool:
    """Serve nothing but that until there is room; False if a signal came first."""
    http, signalled = make_http(config, Waiting()), asyncio.Event()
    for number in _ending():
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    serving = asyncio.ensure_future(http.serve(sockets=[listener.dup() for listener in listeners]))
    while not signalled.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(signalled.wait(), _ROOM_S)
        with contextlib.suppress(StoreError):
            check_room(database)
            break
    http.stop()
    await serving
    return not signalled.is_set()


async def _serve(config: Config, listeners: list[socket.socket], gateway: list[socket.socket]) -> None:
    # Threads (history readers, checkpoints) hand the interpreter back quickly: step hops are a matter of milliseconds.
    sys.setswitchinterval(0.0001)
    GuardedHttp.pace = make_room()
    loop, notifier = asyncio.get_running_loop(), Notifier()
    server = await _make(config, listeners, notifier)
    if server is None:
        return
    http = make_http(config, server)
    stopper = _Stopper(server, http, notifier, config.drain_timeout if config.kind == "cloud" else 0.0)
    for number in _ending():
        loop.add_signal_handler(number, stopper.signalled)
    silence = activity.show(config, server.activity)
    await server.start()
    await server.access.started()
    await server.gateway.listen(gateway)
    settle()
    collecting = asyncio.ensure_future(collect_at_rest())
    show(config, listeners[0].getsockname()[1], server)
    notifier.ready()
    await http.serve(sockets=listeners)
    collecting.cancel()
    await server.close()
    silence()
