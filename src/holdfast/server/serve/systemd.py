"""Telling systemd how the server is (sd_notify): ready, stopping, alive. Nothing where there is no systemd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket


class Notifier:
    """Sends states to the socket of `NOTIFY_SOCKET`; a watchdog gets its sign of life from the event loop."""

    def __init__(self, environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._told = False
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = environ.get("WATCHDOG_USEC", "")
        self._period = int(period) / 2e6 if watched and period.isdecimal() else 0.0

    def send(self, state: str) -> None:
        """Send one state. A manager that is gone is no reason to stop."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), self._address)

    def ready(self) -> None:
        """The server is up; from here on a watchdog hears of it. Said again, it counts for nothing."""
        if self._told:
            return
        self._told = True
        self.send("READY=1")
        if self._address and self._period:
            self._alive()

    def stopping(self, within: float) -> None:
        """The server stops, which takes so many seconds at most."""
        self.send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within * 1e6)}")

    def _alive(self) -> None:
        self.send("WATCHDOG=1")
        asyncio.get_running_loop().call_later(self._period, self._alive)
