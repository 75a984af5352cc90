"""An app that speaks the execution protocol with as little as possible, and remembers what the server asked of it.

Each function is stateless, as SDKs are: what it answers depends on the memoised steps of the call alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools

from .flow import FLOW, Places, group_of

APP = "chaos"
Ops = list[dict[str, Any]]
SHAPES = (
    "noop",
    "steps",
    "parallel-v1",
    "parallel-v2",
    "sleep",
    "wait",
    "invoke",
    "checkpoint",
    "checkpoint-stop",
    *FLOW,
)
STEPS = {"steps": 10, "keyed": 2, "batched": 1}
NAPS = {"sleep": "300ms", "whole": "500ms", "singleton": "1500ms"}
"""Those of flow control last beyond a kill and the start after it."""
HEAVY = {"limited": 0.01, "keyed": 0.02}
"""How long a function's calls take, s."""


def hashed(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


def ran(name: str, data: object) -> dict[str, Any]:
    return {"op": "StepRun", "id": hashed(name), "name": name, "displayName": name, "opts": {}, "data": data}


def planned(name: str) -> dict[str, Any]:
    return {"op": "StepPlanned", "id": hashed(name), "name": name, "displayName": name, "opts": {}}


def op(kind: str, name: str, **opts: object) -> dict[str, Any]:
    return {"op": kind, "id": hashed(name), "name": name, "displayName": name, "opts": opts}


@dataclass
class Watch:
    """What the app saw, over all starts of the server."""

    calls: Counter[str] = field(default_factory=Counter)
    """By function."""
    runs: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Run ids by the number of an event."""
    carried: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Functions by the number of an event."""
    memoised: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """By run, the steps that a call has shown as done, with the first such call: parallel calls overtake each other."""
    finished: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    """Steps that a later call did not show any more."""
    again: list[str] = field(default_factory=list)
    """Steps that were executed after a call had shown them memoised."""

    def called(self, call: Call) -> None:
        self.calls[call.function] += 1
        for number in call.numbers:
            self.runs[number].add(call.run)
            self.carried[number].add(call.function)
        memoised = self.memoised[call.run]
        self.forgotten += [f"{call.run}: {s}" for s, at in memoised.items() if s not in call.steps and call.id > at]
        for step in call.steps:
            memoised[step] = min(call.id, memoised.get(step, call.id))

    def executed(self, call: Call, ops: Ops) -> None:
        memoised = self.memoised[call.run]
        done = [o for o in ops if o["op"] == "StepRun" and call.id >= memoised.get(o["id"], "Z")]
        self.again += [f"{call.run}: {o['name']}" for o in done]


@dataclass
class Call:
    id: str  # of the request: rises with time
    function: str
    target: str
    run: str
    numbers: list[int]  # of its events
    steps: dict[str, Any]
    item: str


def answer_of(call: Call) -> Ops | None:
    """The ops that a function answers, None when it has ended."""
    name, steps = call.function, call.steps
    if name in STEPS:
        return [ran(f"step-{len(steps)}", len(steps))] if len(steps) < STEPS[name] else None
    if name.startswith("parallel"):
        return _parallel(call)
    if name in NAPS:
        return _first_then(call, op("Sleep", "nap", duration=NAPS[name]))
    if name == "wait":
        return _first_then(
            call,
            op("WaitForEvent", "resume", event="chaos/resume", timeout="1h", **{"if": "event.data.n == async.data.n"}),
        )
    if name == "invoke":
        payload = {"data": {"n": -1}}
        return _first_then(call, op("InvokeFunction", "child", function_id=f"{APP}-child", payload=payload))
    return None


def _first_then(call: Call, first: dict[str, Any]) -> Ops | None:
    if first["id"] not in call.steps:
        return [first]
    return [ran("after", "ok")] if len(call.steps) == 1 else None


def _parallel(call: Call) -> Ops | None:
    names = [f"branch-{k}" for k in range(4)]
    if call.target != "step":
        name = next(n for n in names if hashed(n) == call.target)
        return [ran(name, name)]
    open_ = [planned(name) for name in names if hashed(name) not in call.steps]
    if open_:
        return open_
    return [ran("join", "ok")] if len(call.steps) == 4 else None


class ChaosApp:
    """The app: one HTTP server, alive while servers die around it."""

    def __init__(self, server: str) -> None:
        self.server = urlsplit(server)
        self.watch = Watch()
        self.places = Places()
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections: set[asyncio.Transport] = set()
        self.stalled = asyncio.Event()
        """Set when the function `stall` is being called; its first call never ends."""

    async def serve(self) -> None:
        self.listener = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.listener.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for transport in list(self.connections):
            transport.abort()
        await asyncio.sleep(0.01)

    def registration(self) -> bytes:
        url = f"http://127.0.0.1:{self.port}/api/inngest"
        functions = [_function(name, url) for name in (*SHAPES, "child", "stall")]
        return json.dumps(
            {
                "url": url,
                "deployType": "ping",
                "appName": APP,
                "sdk": "inngest-py:v0.5.19",
                "v": "0.1",
                "framework": "raw",
                "functions": functions,
            }
        ).encode()

    def receive(self, url: str, body: bytes, connection: _Connection) -> None:
        task = asyncio.ensure_future(self._call(parse_qs(urlsplit(url).query), body, connection))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _call(self, query: dict[str, list[str]], body: bytes, connection: _Connection) -> None:
        given = json.loads(body)
        name = query["fnId"][0].removeprefix(f"{APP}-")
        call = Call(
            given["ctx"]["request_id"],
            name,
            query.get("stepId", ["step"])[0],
            given["ctx"]["run_id"],
            [event["data"]["n"] for event in given["events"] if event["data"].get("n", -1) >= 0],
            given["steps"],
            given["ctx"]["qi_id"],
        )
        self.watch.called(call)
        group = group_of(call.numbers[0]) if call.numbers else ""
        with self.places.calling(name, call.run, group):
            if await self._answer(call, connection):
                self.watch.finished.add(call.run)
                self.places.ended(name, call.run, group)

    async def _answer(self, call: Call, connection: _Connection) -> bool:
        """Whether the answer ends the run."""
        name = call.function
        if name == "stall" and not self.stalled.is_set():
            self.stalled.set()
            await asyncio.Event().wait()
        if name in HEAVY:
            await asyncio.sleep(HEAVY[name])
        if name.startswith("checkpoint"):
            ops: Ops | None = await self._checkpointed(call)
        else:
            ops = answer_of(call)
            self.watch.executed(call, ops or [])
        version = "1" if name == "parallel-v1" else "2"
        connection.reply(200 if ops is None else 206, json.dumps("done" if ops is None else ops).encode(), version)
        return ops is None or any(o["op"] == "RunComplete" for o in ops)

    async def _checkpointed(self, call: Call) -> Ops:
        """Executes five steps in one call, each reported as it ends; what could not be reported is answered."""
        buffered: Ops = []
        for k in range(5):
            step = ran(f"step-{k}", k)
            if step["id"] in call.steps:
                continue
            self.watch.executed(call, [step])
            if call.function == "checkpoint-stop" and k == 3:
                return [*buffered, step]
            buffered.append(step)
            if await self._report(call, buffered):
                buffered = []
        return [*buffered, {"op": "RunComplete", "id": hashed("complete"), "name": "", "opts": {}, "data": "done"}]

    async def _report(self, call: Call, ops: Ops) -> bool:
        body = json.dumps({"run_id": call.run, "fn_id": call.function, "qi_id": call.item, "steps": ops}).encode()
        try:
            reader, writer = await asyncio.open_connection(self.server.hostname, self.server.port)
        except OSError:
            return False
        try:
            writer.write(
                b"POST /v1/checkpoint/%s/async HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                % (call.run.encode(), len(body), body)
            )
            line = await reader.readline()
            return line.startswith(b"HTTP/1.1 200")
        except OSError:
            return False
        finally:
            writer.close()


def _function(name: str, url: str) -> dict[str, Any]:
    runtime = {"type": "http", "url": f"{url}?fnId={APP}-{name}&stepId=step"}
    return {
        "id": f"{APP}-{name}",
        "name": name,
        "triggers": [{"event": f"chaos/{name}"}],
        "steps": {"step": {"id": "step", "name": "step", "runtime": runtime, "retries": {"attempts": 20}}},
        **FLOW.get(name, {}),
    }


class _Connection(asyncio.Protocol):
    def __init__(self, app: ChaosApp) -> None:
        self.app = app

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.app.connections.add(transport)
        self.parser = httptools.HttpRequestParser(self)
        self.url, self.body = b"", b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.app.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.url, self.body = b"", b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.parser.get_method() == b"POST":
            self.app.receive(self.url.decode(), self.body, self)
        else:
            self.reply(200, b'{"message":"ok","modified":false}', "1")

    def reply(self, status: int, body: bytes, version: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\nx-inngest-sdk: inngest-py:v0.5.19\r\n"
                b"x-inngest-req-version: %s\r\ncontent-length: %d\r\n\r\n%s"
                % (status, version.encode(), len(body), body)
            )
