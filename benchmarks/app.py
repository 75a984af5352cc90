"""An app that costs as little CPU as it can: answers are rendered once, calls are read for what is measured only."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from typing import cast

import httptools
import msgspec

APP = "bench"
STEPS = 10
SDK = "inngest-py:v0.5.19"
FUNCTIONS = ("noop", "steps", "nap", "sleeper", "waiter", "limited")
LIMIT, LIMITED_S = 5, 0.02
"""How many calls of the function `limited` may be under way at once, and how long each works (seconds)."""
RESUME = "bench/resume"

now = time.perf_counter


def hashed(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


def _ops(op: str, name: str, opts: dict[str, str], **more: object) -> bytes:
    step = {"op": op, "id": hashed(name), "name": name, "displayName": name, "opts": opts, **more}
    return json.dumps([step], separators=(",", ":")).encode()


_STEP_OPS = [_ops("StepRun", f"step-{k}", {}, data=f"result {k}") for k in range(STEPS)]
_FIRST_OPS = {
    "nap": _ops("Sleep", "nap", {"duration": "1s"}),
    "sleeper": _ops("Sleep", "sleep", {"duration": "7200s"}),
    "waiter": _ops("WaitForEvent", "wait", {"event": RESUME, "timeout": "2h", "if": "event.data.k == async.data.k"}),
}
_HEAD = (
    b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\nx-inngest-sdk: " + SDK.encode() + b"\r\n"
    b"x-inngest-req-version: 2\r\ncontent-length: %d\r\n\r\n%s"
)


class _Ctx(msgspec.Struct, gc=False):
    run_id: str


class _Data(msgspec.Struct, gc=False):
    i: int = -1
    b: str = ""


class _Event(msgspec.Struct, gc=False):
    data: _Data


class _Call(msgspec.Struct, gc=False):
    ctx: _Ctx
    event: _Event
    steps: dict[str, msgspec.Raw]


_decode = msgspec.json.Decoder(_Call).decode


class Watch:
    """What happened to the events that carry one label. Times are `perf_counter` seconds."""

    def __init__(self, label: str, runs: int) -> None:
        self.label = label
        self.runs = runs
        self.calls = 0
        self.active = self.most_active = 0
        self.first: dict[int, float] = {}
        self.finals: dict[str, int] = {}
        self.parked: set[str] = set()
        self.gaps: list[float] = []
        self.last_final = 0.0
        self.done = asyncio.Event()
        self.all_parked = asyncio.Event()
        self._answered: dict[str, float] = {}

    def called(self, call: _Call, at: float) -> None:
        self.calls += 1
        self.first.setdefault(call.event.data.i, at)
        before = self._answered.get(call.ctx.run_id)
        if before is not None:
            self.gaps.append(at - before)

    def answered(self, run: str, *, final: bool, parked: bool) -> None:
        self._answered[run] = now()
        if final:
            self.finals[run] = self.finals.get(run, 0) + 1
            self.last_final = now()
            if len(self.finals) >= self.runs:
                self.done.set()
        elif parked:
            self.parked.add(run)
            if len(self.parked) >= self.runs:
                self.all_parked.set()

    def working(self, count: int) -> None:
        """Some more calls are under way, or fewer."""
        self.active += count
        self.most_active = max(self.active, self.most_active)

    def check(self) -> None:
        """Raises unless each event gave one run and each run ended once: a number of wrong work is no number."""
        if len(self.first) != self.runs or len(self.finals) != self.runs or set(self.finals.values()) != {1}:
            text = f"{self.label}: {self.runs} events, {len(self.first)} called, {len(self.finals)} ended"
            raise RuntimeError(text)
        if self.most_active > LIMIT:
            raise RuntimeError(f"{self.label}: {self.most_active} calls at once, of at most {LIMIT}")


class App:
    """Serves the functions on a port of its own."""

    def __init__(self) -> None:
        self.watch = Watch("", 0)
        self.port = 0
        self._connections: set[asyncio.Transport] = set()

    async def serve(self) -> None:
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1024
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._listener.close()
        for connection in list(self._connections):
            connection.abort()

    def registration(self) -> bytes:
        url = f"http://127.0.0.1:{self.port}/api/inngest"
        functions = [
            {
                "id": f"{APP}-{name}", "name": name, "triggers": [{"event": f"bench/{name}"}],
                **({"concurrency": LIMIT} if name == "limited" else {}),
                "steps": {
                    "step": {
                        "id": "step", "name": "step", "retries": {"attempts": 4},
                        "runtime": {"type": "http", "url": f"{url}?fnId={APP}-{name}&stepId=step"},
                    }
                },
            }
            for name in FUNCTIONS
        ]  # fmt: skip
        return json.dumps({"url": url, "appName": APP, "sdk": SDK, "v": "0.1", "functions": functions}).encode()

    def connected(self, transport: asyncio.Transport) -> Callable[[], None]:
        self._connections.add(transport)
        return lambda: self._connections.discard(transport)

    def call(self, function: str, body: bytes) -> bytes:
        """The whole answer to a call."""
        at = now()
        call = _decode(body)
        done = len(call.steps)
        ops: bytes | None = None
        if function == "steps":
            ops = _STEP_OPS[done] if done < STEPS else None
        elif function in _FIRST_OPS and not done:
            ops = _FIRST_OPS[function]
        watch = self.watch
        if call.event.data.b == watch.label:
            watch.called(call, at)
            watch.answered(call.ctx.run_id, final=ops is None, parked=function in _FIRST_OPS)
        return _HEAD % (200, 4, b'"ok"') if ops is None else _HEAD % (206, len(ops), ops)


class _Connection(asyncio.Protocol):
    def __init__(self, app: App) -> None:
        self._app = app

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone
        self._forget = self._app.connected(self._transport)
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._forget()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"POST":
            function = self._url.partition(b"fnId=")[2].partition(b"&")[0].decode().removeprefix(f"{APP}-")
            if function == "limited":
                self._app.watch.working(1)
                asyncio.get_running_loop().call_later(LIMITED_S, self._answer_limited, self._body)
            else:
                self._transport.write(self._app.call(function, self._body))
        else:  # a ping
            self._transport.write(_HEAD % (200, 2, b"{}"))

    def _answer_limited(self, body: bytes) -> None:
        self._app.watch.working(-1)
        self._transport.write(self._app.call("limited", body))
