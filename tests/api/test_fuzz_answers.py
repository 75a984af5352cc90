"""Apps that answer anything: every run ends, or waits for what it asked for; no loop, no exception in the log."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import mutations
from .serving import Served
from .test_fuzz_routes import EXAMPLES, OPS, STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

GATEWAYS = [
    {
        "op": "AIGateway",
        "id": STEP,
        "name": "a",
        "opts": {
            "url": "http://127.0.0.1:1/v1",
            "headers": {"a": "b"},
            "auth_key": "k",
            "format": "gemini",
            "body": "{}",
        },
    },
    {
        "op": "Gateway",
        "id": STEP,
        "name": "f",
        "opts": {"url": "http://127.0.0.1:1/", "method": "GET", "headers": {"a": "b"}, "body": "x"},
    },
    {"op": "DiscoveryRequest", "id": STEP, "name": "r"},
    {"op": "None", "id": "", "name": ""},
    {"op": "SyncRunComplete", "id": STEP, "name": "c", "data": {"status": 200, "data": {"status": 500}}},
    {"op": "StepFailed", "id": STEP, "name": "s", "error": {"name": "E", "message": "m"}},
    {"op": "Sleep", "id": STEP, "name": "1ms", "opts": {"duration": "1ms"}},
]
DOCUMENTS: list[Any] = [
    *([op] for op in (*OPS, *GATEWAYS)),
    OPS,
    GATEWAYS,
    [*OPS[1:6]],
    {"status": 206, "headers": {}, "body": json.dumps(OPS)},
]
FIRST_STEPS = [{"op": "StepRun", "id": f"{k:040x}", "name": f"s{k}", "data": k} for k in range(3)]
SDK = "inngest-py:v0.5.19"
NAMES = (
    "x-inngest-req-version",
    "retry-after",
    "x-inngest-no-retry",
    "content-type",
    "x-inngest-sdk",
    "location",
    "x-inngest-framework",
)
CALLS_MOST = 60
"""Of one run: its scripted answers, and all targeted and repeated calls that follow from them."""
ZOMBIES = """SELECT id FROM runs WHERE ended_at IS NULL
    AND id NOT IN (SELECT run_id FROM jobs) AND id NOT IN (SELECT run_id FROM pauses)"""
LOOP = "a run is called over and over"


class Answer:
    """One scripted answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nx-inngest-sdk: {SDK}\r\n".encode()
        for name, value in headers.items():
            self.head += f"{name}: {value}\r\n".encode("latin-1")
        self.body = body

    def __repr__(self) -> str:
        return f"Answer({self.head!r} {self.body!r})"


DONE = Answer(200, {}, b'"done"')
_IDS = st.sampled_from([f"{k:040x}" for k in range(4)])
_ops = st.lists(
    st.sampled_from([*OPS, *GATEWAYS]).flatmap(lambda op: _IDS.map(lambda step: {**op, "id": step})), max_size=4
)
_plausible = st.builds(Answer, st.just(206), st.just({"x-inngest-req-version": "2"}), _ops.map(mutations.dumps))
_slightly_wrong = st.builds(
    Answer,
    st.just(206),
    st.just({"x-inngest-req-version": "1"}),
    _ops.flatmap(lambda ops: mutations.damaged([ops])).map(mutations.dumps),
)
_any = st.builds(
    Answer,
    st.sampled_from((206, 206, 206, 206, 200, 201, 204, 400, 401, 404, 429, 500, 503, 302, 100, 999)),
    mutations.headers(*NAMES) | st.just({"x-inngest-req-version": "2"}),
    mutations.bodies([*DOCUMENTS, [*FIRST_STEPS, *OPS[1:4]], FIRST_STEPS[:1]]),
)
answers = _plausible | _slightly_wrong | _any


class OddApp:
    """Answers calls by the scripts of their events, in a thread of its own; what no script tells is `done`."""

    def __init__(self) -> None:
        self.scripts: dict[int, list[Answer]] = {}
        self.calls: dict[str, int] = {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.listener = asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(5)
        self.port: int = self.listener.sockets[0].getsockname()[1]
        self.transports: set[asyncio.Transport] = set()

    async def _serve(self) -> asyncio.Server:
        return await self.loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)

    def close(self) -> None:
        def end() -> None:
            self.listener.close()
            for transport in self.transports:
                transport.abort()
            self.loop.call_later(0.05, self.loop.stop)

        self.loop.call_soon_threadsafe(end)
        self.thread.join()
        self.loop.close()

    def answer(self, body: bytes) -> Answer:
        call = json.loads(body)
        run = call["ctx"]["run_id"]
        self.calls[run] = self.calls.get(run, 0) + 1
        data = call["event"].get("data")
        script = self.scripts.get(data.get("n", -1)) if isinstance(data, dict) else None
        return script.pop(0) if script else DONE


class _Connection(asyncio.Protocol):
    def __init__(self, app: OddApp) -> None:
        self.app = app

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.app.transports.add(transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.app.transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        answer = self.app.answer(self.body) if self.body else DONE
        if not self.transport.is_closing():
            self.transport.write(answer.head + b"\r\n" + answer.body)
            if answer is not DONE:
                self.transport.close()  # its framing may be anything


def _function(name: str, port: int, retries: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/api/inngest?fnId=odd-{name}&stepId=step"
    return {
        "id": f"odd-{name}",
        "name": name,
        "triggers": [{"event": f"odd/{name}"}],
        "steps": {
            "step": {
                "id": "step",
                "name": "step",
                "runtime": {"type": "http", "url": url},
                "retries": {"attempts": retries},
            }
        },
    }


@pytest.fixture(scope="module")
def app() -> Iterator[OddApp]:
    app = OddApp()
    yield app
    app.close()


@pytest.fixture(scope="module")
def server(app: OddApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("odd"), "--retry-interval", "3600") as server:
        functions = [_function("never", app.port, 0), _function("again", app.port, 1)]
        body = {
            "url": f"http://127.0.0.1:{app.port}/api/inngest",
            "appName": "odd",
            "sdk": SDK,
            "v": "0.1",
            "functions": functions,
        }
        assert server.request("POST", "/fn/register", mutations.dumps(body))[0] == 200
        yield server


def _unsettled(server: Served, first: int, last: int) -> list[tuple[Any, ...]]:
    """Jobs of these events' runs that are due: neither over, nor waiting for a time or an event."""
    return server.query(
        "SELECT j.job FROM jobs j WHERE json_extract(j.job, '$[4]') < ?1 + 1000 AND j.run_id IN"
        " (SELECT r.run_id FROM event_runs r JOIN events e ON e.id = r.event_id"
        "  WHERE json_extract(e.json, '$.data.n') BETWEEN ?2 AND ?3)",
        time.time_ns() // 1_000_000,
        first,
        last,
    )


def _settle(server: Served, app: OddApp, first: int, last: int) -> None:
    deadline = time.monotonic() + 8
    while due := _unsettled(server, first, last):
        assert max(app.calls.values(), default=0) < CALLS_MOST, LOOP
        assert time.monotonic() < deadline, (due, server.tail(20))
        time.sleep(0.01)


@settings(
    max_examples=EXAMPLES // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    database=None,
)
@given(st.lists(st.lists(answers, min_size=1, max_size=3), min_size=1, max_size=12))
def test_runs_survive_any_answer(server: Served, app: OddApp, scripts: list[list[Answer]]) -> None:
    first = max(app.scripts, default=0) + 1
    last = first + len(scripts) - 1
    app.scripts.update(enumerate((list(script) for script in scripts), first))
    app.calls.clear()
    events = [{"name": f"odd/{('never', 'again')[n % 2]}", "data": {"n": n}} for n in range(first, last + 1)]
    status, answer = server.request("POST", "/e/k", mutations.dumps(events))
    assert status == 200, answer
    _settle(server, app, first, last)
    assert max(app.calls.values()) < CALLS_MOST, LOOP
    assert server.query(ZOMBIES) == []
    assert server.healthy()
    assert server.errors() == [], server.tail(40)
