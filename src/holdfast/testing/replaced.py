"""What is replaced in an SDK while a test runs: its transport, its modules' clock, attributes of its client."""

from __future__ import annotations

import datetime as dt
import sys
import time as real_time
from collections.abc import Iterable
from types import SimpleNamespace

import httpx

from holdfast.testing.apps import Exchange, Host, Reply
from holdfast.testing.clock import VirtualClock

#: Clocks of the engines that run, the newest last: it tells the time of all calls.
_clocks: list[VirtualClock] = []


class Replaced:
    """Attributes that were replaced, to be given back."""

    def __init__(self) -> None:
        self._undo: list[tuple[object, str, object]] = []
        self._clock: VirtualClock | None = None

    def set(self, owner: object, name: str, value: object) -> None:
        """Replace an attribute."""
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def tell_time(self, clock: VirtualClock, dated: Iterable[tuple[object, str]], timed: Iterable[object]) -> None:
        """Have modules read a clock: those that know `datetime` by a name, and those that know `time`."""
        for module, name in dated:
            self.set(module, name, _DATETIME)
        for module in timed:
            self.set(module, "time", _TIME)
        self._clock = clock
        _clocks.append(clock)

    def undo(self) -> None:
        """Give everything back as it was."""
        while self._undo:
            owner, name, value = self._undo.pop()
            setattr(owner, name, value)
        if self._clock is not None:
            _clocks.remove(self._clock)
            self._clock = None


# --- transport --------------------------------------------------------------------------------------------------------


def _exchange(request: httpx.Request, body: bytes) -> Exchange:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Exchange(request.method, request.url.raw_path.decode(), headers, body)


def _response(reply: Reply) -> httpx.Response:
    return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


class AsyncTransport(httpx.AsyncBaseTransport):
    """Hands requests of an httpx client to the engine."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        return _response(await self._host.send(_exchange(request, await request.aread())))


class SyncTransport(httpx.BaseTransport):
    """The same for code without an event loop, which runs in a thread."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, in another thread than the engine's."""
        return _response(self._host.send_from_thread(_exchange(request, request.read())))


# --- time -------------------------------------------------------------------------------------------------------------


class _LikeDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, dt.datetime)

    def __getattr__(cls, name: str) -> object:
        return getattr(dt.datetime, name)


class _Datetime(metaclass=_LikeDatetime):
    """`datetime.datetime` as the SDK's modules see it: `now` is the virtual time."""

    @staticmethod
    def now(tz: dt.tzinfo | None = None) -> dt.datetime:
        return dt.datetime.fromtimestamp(_clocks[-1].now_ms() / 1_000, tz)


_DATETIME = SimpleNamespace(**{**vars(dt), "datetime": _Datetime})
_TIME = SimpleNamespace(**{**vars(real_time), "time": lambda: _clocks[-1].now_ms() / 1_000})


def sdk_modules() -> tuple[list[tuple[object, str]], list[object]]:
    """Return the modules of the SDKs in use that read the time: by their name for `datetime`, and as `time`."""
    loaded: dict[str, object] = dict(sys.modules)
    dated = [(loaded[path], name) for path, name in _DATED.items() if path in loaded]
    return dated, [loaded[path] for path in _TIMED if path in loaded]


_DATED = {
    "inngest._internal.step_lib.step_async": "datetime", "inngest._internal.step_lib.step_sync": "datetime",
    "inngest._internal.errors": "datetime", "holdfast.sdk.timing": "dt", "holdfast.sdk.errors": "dt",
}  # fmt: skip
_TIMED = ("inngest._internal.client_lib.client", "holdfast.sdk.sending")
