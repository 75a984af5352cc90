"""The `server-timing` header: how long the parts of a call took, in whole milliseconds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_SAMPLE_S = 0.1


class ServerTiming:
    """The first time that a part took."""

    __slots__ = ("_end", "_name", "started")

    def __init__(self, name: str) -> None:
        self._name = name
        self.started: float | None = None
        self._end: float | None = None

    def __enter__(self) -> None:
        if self.started is None:
            self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._end is None:
            self._end = time.perf_counter()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__()

    def to_header(self) -> str:
        """Return `<name>;dur=<milliseconds>`, or nothing if the part did not run to its end."""
        if self.started is None or self._end is None:
            return ""
        return f"{self._name};dur={round((self._end - self.started) * 1000)}"


class AsyncBlock:
    """How long the event loop was held up, by samples: a timer that comes late says by how much."""

    __slots__ = ("_blocked", "_handle", "_last", "_loop", "started")

    def __init__(self) -> None:
        self.started: float | None = None
        self._blocked = 0.0
        self._last = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.started = self._last = time.perf_counter()
        self._handle = self._loop.call_later(_SAMPLE_S, self._sample)

    def __exit__(self, *_: object) -> None:
        self._add()
        if self._handle is not None:
            self._handle.cancel()

    def _sample(self) -> None:
        self._add()
        assert self._loop is not None
        self._handle = self._loop.call_later(_SAMPLE_S, self._sample)

    def _add(self) -> None:
        now = time.perf_counter()
        self._blocked += max(0.0, now - self._last - _SAMPLE_S)
        self._last = now

    def to_header(self) -> str:
        """Return `async_block;dur=<milliseconds>`, or nothing outside of an event loop."""
        return "" if self.started is None else f"async_block;dur={round(self._blocked * 1000)}"


class ServerTimings:
    """The parts of one request."""

    def __init__(self) -> None:
        self.async_block = AsyncBlock()
        self.comm_handler = ServerTiming("comm_handler")
        self.function = ServerTiming("function")
        self.mw_transform_input = ServerTiming("mw.transform_input")
        self.mw_transform_output = ServerTiming("mw.transform_output")
        self.use_api = ServerTiming("use_api")

    def to_header(self) -> str:
        """Return the parts that ran, in the order of their start."""
        parts: list[Any] = [
            self.async_block, self.comm_handler, self.function, self.mw_transform_input, self.mw_transform_output,
            self.use_api,
        ]  # fmt: skip
        ran = sorted((part for part in parts if part.started is not None), key=lambda part: part.started)
        return ", ".join(filter(None, (part.to_header() for part in ran)))
