"""The gateway: the port that workers dial, the watch over silent ones, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from holdfast.protocol.limits import MAX_CONNECTIONS
from holdfast.server.connect import session
from holdfast.server.connect.driver import ConnectDriver
from holdfast.server.connect.history import History
from holdfast.server.connect.roster import Group, Roster, Status
from holdfast.server.connect.syncing import Syncs

if TYPE_CHECKING:
    from holdfast.server.connect.socket import Socket

log = structlog.get_logger(__name__)

#: Seconds between two looks at who was not heard of.
WATCH_S: Final = 5.0
#: Milliseconds of silence after which a worker gets no calls, and after which it is taken for dead.
QUIET_MS: Final = 20_000
DEAD_MS: Final = 50_000
#: Seconds that workers have to leave by themselves when the gateway closes.
LEAVE_S: Final = 1.0
#: Seconds within which sockets that are cut off are gone: a turn of the loop, in fact.
_ABORTED_S: Final = 5.0

_SOCKET = "holdfast.server.connect.socket"
MISSED: Final = "CONSECUTIVE_HEARTBEATS_MISSED"


class Gateway:
    """Takes the sockets of workers.

    Args:
        id: A ULID, new with each start.
        roster: Who is connected.
        driver: What sends calls and takes replies.
        syncs: Registers what workers bring.
        history: What is remembered of workers.
        secret: Signs session tokens.
        clock: The time, ms since the epoch.
        on_commit: Calls back after the commit of all inputs so far, with the error if they were not written.

    """

    def __init__(
        self, id: str, roster: Roster, driver: ConnectDriver, syncs: Syncs, history: History, secret: str,
        clock: Callable[[], int], on_commit: Callable[[Callable[[Exception | None], None]], None],
        trusted: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self.id = id
        self.roster = roster
        self.driver = driver
        self.syncs = syncs
        self.history = history
        self.secret = secret
        self.clock = clock
        self.on_commit = on_commit
        roster.on_opened, roster.on_closed, roster.on_group_left = history.opened, history.closed, self._left
        self.trusted = trusted  # whether a peer's X-Forwarded-For counts
        self.port = 0
        """The port; 0 while it does not listen."""
        self.closing = False
        self.pending_bytes = 0
        self.refused = Counter({"connect_authentication_failed": 0, "connect_worker_hello_timeout": 0})
        """Sockets that were closed for a fault of theirs, by reason."""
        self._sockets: dict[Socket, None] = {}
        self._servers: list[asyncio.Server] = []
        self._watch: asyncio.TimerHandle | None = None
        self._last_closed: asyncio.Future[None] | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def listen(self, listeners: Sequence[socket.socket]) -> None:
        """Take sockets on a port, which all listeners have."""
        loop = asyncio.get_running_loop()
        for listener in listeners:
            self._servers.append(await loop.create_server(self._accept, sock=listener))
        self.port = listeners[0].getsockname()[1]
        self._watch = loop.call_later(WATCH_S, self._look)

    async def load(self) -> None:
        """Load what speaks to workers, in a thread; a server without workers does without it."""
        await session.load()
        if _SOCKET not in sys.modules:
            await asyncio.to_thread(importlib.import_module, _SOCKET)

    def drain(self) -> None:
        """Take no more sockets; those that are open stay, so that the calls under way can end."""
        self.closing = True

    def dismiss(self) -> None:
        """Tell the workers to go."""
        self.closing = True
        for each in list(self._sockets):
            each.dismiss()

    async def close(self) -> None:
        """Close all sockets, after workers that were told to go had a moment to do so."""
        self.dismiss()
        if self._watch is not None:
            self._watch.cancel()
        for server in self._servers:
            server.close()
        await self._emptied(LEAVE_S)
        for each in list(self._sockets):
            each.close(1001, "connect_gateway_closing")
        await self._emptied(LEAVE_S / 4)
        for each in list(self._sockets):
            each.abort("GATEWAY_DRAINING")
        await self._emptied(_ABORTED_S)  # so that their ends are committed

    async def _emptied(self, seconds: float) -> None:
        """Wait until all sockets are gone, but not for long."""
        if self._sockets:
            self._last_closed = asyncio.get_running_loop().create_future()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._last_closed, seconds)

    # --- sockets ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return how many sockets are open, those that have not shown their token included."""
        return len(self._sockets)

    @property
    def full(self) -> bool:
        """Whether no more sockets are taken."""
        return len(self._sockets) >= MAX_CONNECTIONS

    @property
    def overfull(self) -> bool:
        """Whether the socket that was opened last is one too many."""
        return len(self._sockets) > MAX_CONNECTIONS

    def _accept(self) -> asyncio.Protocol:
        from holdfast.server.connect.socket import Socket  # noqa: PLC0415 - see `load`

        return Socket(self)

    def opened(self, socket: Socket) -> None:
        """A peer connected."""
        self._sockets[socket] = None

    def closed(self, socket: Socket) -> None:
        """A peer is gone."""
        self._sockets.pop(socket, None)
        if not self._sockets and self._last_closed is not None and not self._last_closed.done():
            self._last_closed.set_result(None)

    def _left(self, group: Group) -> None:
        """Forget a version without workers, unless they leave because the server ends."""
        if not self.closing:
            self.history.left(group)

    # --- watch --------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now = self.clock()
        for each in list(self._sockets):
            worker = each.worker
            silence = now - worker.heartbeat_at if worker is not None else 0
            if worker is None or silence <= QUIET_MS:
                continue
            if silence > DEAD_MS:
                log.warning("closed a worker's socket: no heartbeat", worker=worker.instance.id, ms=silence)
                each.expire(MISSED)
            elif worker.status is Status.READY:
                self.roster.silent(worker)
        self.history.tidy()
        self._watch = asyncio.get_running_loop().call_later(WATCH_S, self._look)
