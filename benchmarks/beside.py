"""What one sender, or one app, costs everybody else: `/health` and steps of others beside the worst that we know of.

    python -m benchmarks beside [--brief]

The load comes from a process of its own. Bars: p99 of `/health` and of step → next step at most 50 ms. Where other
programs use the cores too, that is no measure: there counts for how long a turn holds the loop, in CPU time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from benchmarks import load
from benchmarks.app import SDK, Watch, hashed, now
from benchmarks.bars import Scene, percentile

BAR_MS = 50.0
LISTENERS = 50
EVENTS = 5_000
PLANS = 1_000
WORST = """event.data.ids.all(a, event.data.ids.all(b, a >= 0.0 || b >= 0.0))
|| event.data.tags.exists(t, t in event.data.allowed)
|| event.data.text.matches('(x+x+)+y')
|| event.data.ids.exists(i, event.data.text.contains(string(i) + 'y'))
|| [event.data.text].map(x, x + x).map(x, x + x).map(x, x + x).exists(x, x == '')
|| json_parse(event.data.json).size() == 0
|| event.data.rows.exists(r, r == event.data.rows[0] && r.id < 0.0)
|| lowercase(event.data.text) == uppercase(event.data.text)
|| event.data.ids == event.data.tags
|| string(size(event.data)) == event.data.text"""
"""A trigger of ten lines, each of them dear."""


def worst_event() -> dict[str, object]:
    """An event of about three megabytes for it."""
    data = {
        "ids": list(range(40_000)), "tags": [f"tag {n}" for n in range(20_000)], "text": "x" * 1_000_000,
        "allowed": [f"none {n}" for n in range(20_000)], "json": "[" + "1," * 100_000 + "1]",
        "rows": [{"id": n, "name": "a" * 20} for n in range(15_000)],
    }  # fmt: skip
    return {"name": "beside/dear", "data": data}


# --- the load: a process of its own -----------------------------------------------------------------------------------


class Evil:
    """An app and a sender that mean no good."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._names = itertools.count()

    async def run(self, kind: str) -> None:
        """Registers, says so, and goes on until it is killed."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/inngest"
        client = await load.Client.open(self._server)
        await client.post(load.request("/fn/register", self._registration(url)))
        print("ready", flush=True)
        loads: dict[str, tuple[object, int]] = {
            "none": ([], 0), "dear": (worst_event(), 4), "fan": ([{"name": "beside/fan"}] * EVENTS, 1),
            "plan": ([{"name": "beside/plan"}] * 20, 1),
        }  # fmt: skip
        body, senders = loads[kind]
        ready = load.request("/e/bench", json.dumps(body).encode())
        await asyncio.gather(*(self._send(ready) for _ in range(senders)))

    async def _send(self, ready: bytes) -> None:
        client = await load.Client.open(self._server)
        while True:
            await client.post(ready)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                status, body = (206, self._plans()) if b"fnId=beside-plan" in head else (200, b'"ok"')
                lines = f"HTTP/1.1 {status} OK\r\nx-inngest-sdk: {SDK}\r\nx-inngest-req-version: 2\r\n"
                kind = "content-type: application/json\r\n"
                writer.write(f"{lines}{kind}content-length: {len(body)}\r\n\r\n".encode() + body)

    def _plans(self) -> bytes:
        names = [f"plan {next(self._names)}" for _ in range(PLANS)]
        return json.dumps([{"op": "StepPlanned", "id": hashed(name), "name": name} for name in names]).encode()

    def _registration(self, url: str) -> bytes:
        triggers = {f"fan{n}": {"event": "beside/fan"} for n in range(LISTENERS)}
        triggers |= {"dear": {"event": "beside/dear", "expression": WORST}, "plan": {"event": "beside/plan"}}
        functions = [
            {
                "id": f"beside-{name}", "name": name, "triggers": [trigger],
                "steps": {
                    "step": {
                        "id": "step", "name": "step", "retries": {"attempts": 1},
                        "runtime": {"type": "http", "url": f"{url}?fnId=beside-{name}&stepId=step"},
                    }
                },
            }
            for name, trigger in triggers.items()
        ]  # fmt: skip
        return json.dumps({"url": url, "appName": "beside", "sdk": SDK, "v": "0.1", "functions": functions}).encode()


# --- what others see --------------------------------------------------------------------------------------------------


async def health(port: int, seconds: float) -> list[float]:
    """How long `/health` takes, in ms, asked fifty times a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end, took = now() + seconds, list[float]()
    while now() < end:
        began = now()
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        took.append((now() - began) * 1e3)
        await asyncio.sleep(0.02)
    writer.close()
    return took


async def hops(scene: Scene, seconds: float) -> list[float]:
    """From the answer of a step to the call of the next, in ms, of runs of ten steps one after the other."""
    end, gaps = now() + seconds, list[float]()
    client = await load.Client.open(scene.server.port)
    for n in itertools.count():
        if now() >= end:
            break
        watch = scene.app.watch = Watch(f"beside {n}", 1)
        await client.post(load.requests("bench/steps", watch.label, 1, 1)[0])
        await asyncio.wait_for(watch.done.wait(), 60)
        gaps += [gap * 1e3 for gap in watch.gaps]
    await client.close()
    return gaps


async def longest_turn(port: int, seconds: float) -> float:
    """For how long a turn of the server's loop held it at most, in ms of CPU time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /debug/loop?seconds={seconds} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return float(json.loads(answer.partition(b"\r\n\r\n")[2])["longest_ms"][0])


class Seen(msgspec.Struct):
    """What others see beside one load, in ms: p99s, and the longest turn of the server's loop."""

    health: float
    hop: float
    turn: float

    @property
    def met(self) -> bool:
        return max(self.health, self.hop) <= BAR_MS


async def beside(kind: str, seconds: float) -> Seen:
    """Measure one load."""
    with tempfile.TemporaryDirectory(prefix="holdfast-beside-") as folder:
        async with Scene(Path(folder) / "server") as scene, _load(kind, scene.server.port):
            watching: list[Awaitable[list[float]]] = [health(scene.server.port, seconds), hops(scene, seconds)]
            asked, gaps = await asyncio.gather(*watching)
            return Seen(percentile(asked, 99), percentile(gaps, 99), await longest_turn(scene.server.port, seconds))


@asynccontextmanager
async def _load(kind: str, port: int) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "benchmarks.beside", "load", kind, str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


KINDS = {
    "none": "nothing",
    "dear": "events of 3 MB for the worst trigger of ten lines",
    "fan": f"{EVENTS:,} events in one request, {LISTENERS} functions listening",
    "plan": f"an app that plans {PLANS:,} steps each time, without end",
}


def main(arguments: Sequence[str]) -> None:
    """Measure all; exit with 1 if a bar is missed."""
    seconds, met = 3.0 if "--brief" in arguments else 15.0, True
    for kind, what in KINDS.items():
        seen = asyncio.run(beside(kind, seconds))
        met = met and (seen.met or kind == "none")
        print(
            f"{seen.health:8.1f} ms /health p99 {seen.hop:8.1f} ms hop p99 {seen.turn:8.1f} ms of CPU in a turn  "
            f"{'' if seen.met else 'MISSED '}beside {what}"
        )
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        with suppress(ConnectionError, asyncio.IncompleteReadError, RuntimeError):
            asyncio.run(Evil(int(sys.argv[3])).run(sys.argv[2]))
    else:
        main(sys.argv[1:])
