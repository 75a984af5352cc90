"""Several worker processes: started, started again when they die, and drained together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import Sequence
from typing import Final

import click

from holdfast.sdk.connect.backoff import Backoff

#: Exit code of a process that another attempt would not mend.
_USAGE: Final = 2
#: Seconds after which a process counts as one that works.
_STEADY_S: Final = 10.0
_COMMAND: Final = (sys.executable, "-m", "holdfast", "worker", "--member")


def run_all(arguments: Sequence[str], names: Sequence[str]) -> int:
    """Run a worker process for each name until a signal drains them; return the exit code."""
    return asyncio.run(_Crew(arguments).run(names))


class _Crew:
    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._running: set[Process] = set()
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self, names: Sequence[str]) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        await asyncio.gather(*map(self._keep, names))
        return self._code

    def _stop(self) -> None:
        """Drain all; the second time, kill them."""
        number = signal.SIGKILL if self._stopping.is_set() else signal.SIGTERM
        self._stopping.set()
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, name: str) -> None:
        loop, backoff = asyncio.get_running_loop(), Backoff()
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._once(name)
            if self._stopping.is_set():
                return
            if code == _USAGE:
                self._code = code
                self._stop()
                return
            if loop.time() - began > _STEADY_S:
                backoff.reset()
            wait = backoff.next()
            click.echo(f"worker {name} ended with code {code}, starting it again in {wait:.1f} s", err=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _once(self, name: str) -> int:
        """Run one process to its end. It has a session of its own, so that Ctrl-C comes to it once, from here."""
        process = await create_subprocess_exec(
            *_COMMAND, *self._arguments, "--instance-id", name, stdin=PIPE, start_new_session=True
        )
        self._running.add(process)
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            self._running.discard(process)
