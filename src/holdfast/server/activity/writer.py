"""Writes lines to a terminal from a thread: one that is stopped (Ctrl-S), or slow, holds up nothing."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import IO, Final

#: Lines that may wait; the oldest are dropped.
MOST_LINES: Final = 1_000
_LAST_S: Final = 0.2


class Writer:
    """Writes to a stream, until `close`."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Write one line, soon."""
        self._lines.append(line)
        self._wanted.set()

    def close(self) -> None:
        """Write what is left, unless that takes long."""
        self._closed = True
        self._wanted.set()
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        while not (self._closed and not self._lines):
            self._wanted.wait()
            self._wanted.clear()
            with contextlib.suppress(OSError, ValueError):  # nobody looks any more
                self._write()

    def _write(self) -> None:
        lines: list[str] = []
        with contextlib.suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        if lines:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
