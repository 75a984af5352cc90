"""A defect in the engine: its state is thrown away and loaded again; one request or run pays for it, nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.protocol.ids import UlidSource
from holdfast.protocol.responses import read_response
from holdfast.server.access.keys import Keys
from holdfast.server.api.sdk.ingest import EventApi
from holdfast.server.clock import now_ms
from holdfast.server.drivers.driver import Done, Request
from holdfast.server.drivers.http import HttpClient
from holdfast.server.engine import advance, resume
from holdfast.server.engine.changes import Dispatch, Effect
from holdfast.server.engine.engine import DefectError, Engine
from holdfast.server.engine.run import Run
from holdfast.server.engine.settings import Settings
from holdfast.server.model.event import Event
from holdfast.server.model.status import RunStatus
from holdfast.server.realtime.broadcaster import Broadcaster
from holdfast.server.runtime.apps import Apps
from holdfast.server.runtime.dispatcher import UNHANDLED, Dispatcher
from holdfast.server.runtime.gateways import Gateways
from holdfast.server.runtime.partition import Partition
from holdfast.server.store.sqlite.store import SqliteStore
from holdfast.server.store.store import StoreError

from .mutations import dumps

if TYPE_CHECKING:
    from pathlib import Path

STEP_OPS = b'[{"op":"StepRun","id":"aa","name":"a","data":1}]'
NAP_OPS = b'[{"op":"Sleep","id":"aa","name":"50ms","opts":{"duration":"50ms"}}]'


class FakeDriver:
    """Answers every call with the same body."""

    def __init__(self) -> None:
        self.ops = STEP_OPS
        self.calls = 0
        self.abandoned: list[str] = []

    def call(self, request: Request, done: Done) -> None:
        self.calls += 1
        headers = {"x-inngest-sdk": "inngest-py:v0.5.19", "x-inngest-req-version": "2"}
        again = b'"aa"' in request.body
        answer = (200, headers, b'"done"') if again else (206, headers, self.ops)
        asyncio.get_running_loop().call_soon(done, read_response(*answer, 0))

    def abandon(self, run_id: str) -> None:
        self.abandoned.append(run_id)

    def forget(self) -> None:
        """Outcomes of earlier calls are dropped by the dispatcher."""

    async def close(self) -> None:
        """There is nothing to close."""


class Shell:
    """Partition, dispatcher and event API without sockets."""

    def __init__(self, folder: Path) -> None:
        numbers = iter(range(1, 1_000_000))
        ids = UlidSource(lambda _bits: next(numbers))
        self.store = SqliteStore(folder / "main.db", "none")
        self.partition = Partition(lambda epoch: Engine(ids, lambda _: 0, Settings(), epoch), self.store)
        self.client = FakeDriver()
        gateways = Gateways(self.partition, HttpClient(), Broadcaster())
        self.partition.performer = Dispatcher(self.partition, {"http": self.client}, gateways, ids)
        self.apps = Apps(self.partition)
        self.partition.recover()
        url = "http://127.0.0.1:1/x"
        functions = [
            {
                "id": f"app-{name}",
                "name": name,
                "triggers": [{"event": name}],
                "steps": {
                    "step": {"id": "step", "name": "s", "runtime": {"type": "http", "url": f"{url}?fnId={name}"}}
                },
            }
            for name in ("good", "bad")
        ]
        self.apps.register(
            dumps({"url": url, "appName": "app", "sdk": "inngest-py:v0.5.19", "v": "0.1", "functions": functions})
        )
        self.events = EventApi(self.partition, Keys(self.partition, ids), ids.next, [], lambda _: "")

    async def send(self, name: str) -> int:
        """The status of a sent event."""
        body = dumps({"name": name, "data": {}})
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await self.events({"type": "http", "path": "/e/k", "headers": []}, receive, send)
        return statuses[0]

    async def idle(self) -> None:
        """Waits until no job or pause is open but quarantined ones."""
        for _ in range(400):
            await asyncio.sleep(0.005)
            open_ = self.rows("SELECT run_id, no FROM jobs")
            if all(tuple(row) in self.partition.quarantine.held for row in open_):
                return
        raise AssertionError("still busy")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.store._db.execute(sql).fetchall()

    def runs(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name, status in self.rows("SELECT event_name, status FROM runs ORDER BY id"):
            found.setdefault(name, []).append(status)
        return found

    async def close(self) -> None:
        await self.partition.close()
        self.store.close()


def broken(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, function: str) -> list[str]:
    """Lets a part of the engine raise, after it changed something, for the runs of one function."""
    real = getattr(module, name)
    raised: list[str] = []

    def raising(core: Any, *args: Any, **kwargs: Any) -> Any:
        result = real(core, *args, **kwargs)
        run = next((core.runs.get(a.run_id) for a in args if hasattr(a, "run_id")), None) or args[0]
        if getattr(run, "event_name", "") == function or getattr(args[0], "name", "") == function:
            raised.append(name)
            raise KeyError("defect")
        return result

    monkeypatch.setattr(module, name, raising)
    return raised


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes by itself."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come")


def scenario(folder: Path, play: Callable[[Shell], Any]) -> None:
    async def main() -> None:
        shell = Shell(folder)
        try:
            await play(shell)
        finally:
            await shell.close()

    asyncio.run(main())


def test_an_event_that_breaks_the_engine_is_not_half_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        real = Engine._event

        def half(engine: Engine, event: Event) -> list[Run]:
            runs = real(engine, event)
            if event.name == "bad":
                raise KeyError("defect")
            return runs

        monkeypatch.setattr(Engine, "_event", half)
        together = await asyncio.gather(shell.send("good"), shell.send("bad"), shell.send("good"))
        assert together[1] == 500
        assert set(together) <= {500, 503, 200}
        await shell.idle()
        assert await shell.send("good") == 200
        await shell.idle()
        accepted = 1 + together.count(200)
        assert shell.runs() == {"good": [1] * accepted}
        assert shell.rows("SELECT count(*) FROM events WHERE name = 'good'") == [(accepted,)]

    scenario(tmp_path, play)


def test_nothing_is_accepted_while_the_state_is_reloaded(tmp_path: Path) -> None:
    async def play(shell: Shell) -> None:
        run_before = shell.partition._engine
        shell.partition._fail(StoreError("disk"), [], 0.05)
        assert shell.partition._engine is not run_before
        assert await shell.send("good") == 503
        await asyncio.sleep(0.1)
        assert await shell.send("good") == 200
        await shell.idle()
        assert shell.runs() == {"good": [1]}

    scenario(tmp_path, play)


def test_a_reload_is_tried_until_the_store_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        real, tries = shell.store.recover, []

        def recover(*given: Any) -> Any:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("away")
            return real(*given)

        monkeypatch.setattr(shell.store, "recover", recover)
        shell.partition._fail(StoreError("disk"), [], 0)
        await asyncio.sleep(0.05)
        assert await shell.send("good") == 503
        await asyncio.sleep(1.1)
        assert await shell.send("good") == 200
        assert len(tries) == 2

    scenario(tmp_path, play)


def test_an_answer_that_breaks_the_engine_fails_its_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        real = advance._report

        def report(answer: Any, ops: Any) -> None:
            real(answer, ops)
            if answer.run.event_name == "bad":
                raise KeyError("defect")

        monkeypatch.setattr(advance, "_report", report)
        assert await asyncio.gather(*map(shell.send, ("good", "bad", "good"))) == [200, 200, 200]
        await shell.idle()
        assert shell.runs() == {"good": [1, 1], "bad": [2]}
        assert UNHANDLED in shell.rows("SELECT output FROM runs WHERE event_name = 'bad'")[0][0]
        assert shell.rows("SELECT count(*) FROM steps") == [(2,)], "the broken answer left nothing behind"

    scenario(tmp_path, play)


def test_a_run_that_cannot_even_fail_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        raised = broken(monkeypatch, advance, "on_answer", "bad")
        assert await asyncio.gather(*map(shell.send, ("good", "bad", "good"))) == [200, 200, 200]
        await shell.idle()
        await until(lambda: len(raised) == 2 and len(shell.partition.quarantine.held) == 1)
        assert shell.runs() == {"good": [1, 1], "bad": [0]}
        assert len(shell.partition.quarantine.held) == 1

    scenario(tmp_path, play)


def test_a_timer_that_breaks_the_engine_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        shell.client.ops = NAP_OPS
        raised = broken(monkeypatch, resume, "wake", "bad")
        assert await asyncio.gather(*map(shell.send, ("bad", "good", "good"))) == [200, 200, 200]
        await shell.idle()
        assert len(raised) == 2
        assert shell.runs() == {"good": [1, 1], "bad": [0]}

    scenario(tmp_path, play)


def test_a_broken_engine_says_so_to_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(shell: Shell) -> None:
        def signal(*_: object) -> None:
            raise KeyError("defect")

        monkeypatch.setattr(resume, "by_signal", signal)
        with pytest.raises(DefectError, match="KeyError: 'defect'"):
            shell.partition._engine.on_signal("s", b"1", 1)

    scenario(tmp_path, play)


def test_effects_of_a_dead_engine_reach_nobody(tmp_path: Path) -> None:
    async def play(shell: Shell) -> None:
        performed: list[Effect] = []
        real = shell.partition.performer
        assert real is not None

        class Watching:
            forget = staticmethod(real.forget)

            def perform(self, effect: Effect) -> None:
                performed.append(effect)
                real.perform(effect)

        shell.partition.performer = Watching()
        assert await shell.send("good") == 200
        shell.partition._fail(StoreError("disk"), [], 0)
        await shell.idle()
        assert shell.runs() == {"good": [1]}
        calls = [e for e in performed if isinstance(e, Dispatch)]
        assert calls, "the reloaded engine made the call again"

    scenario(tmp_path, play)


def test_a_call_that_was_not_delivered_is_made_again(tmp_path: Path) -> None:
    async def play(shell: Shell) -> None:
        lost: list[Request] = []
        call = shell.client.call

        def losing(request: Request, done: Done) -> None:
            if len(lost) < 3:
                lost.append(request)
                asyncio.get_running_loop().call_soon(done, None)
            else:
                call(request, done)

        shell.client.call = losing  # type: ignore[method-assign]
        await shell.send("good")
        await shell.idle()
        assert shell.runs() == {"good": [RunStatus.COMPLETED]}
        assert [request.context.attempt for request in lost] == [0, 0, 0]
        assert len({request.context.request_id for request in lost}) == 3
        assert len({request.context.generation for request in lost}) == 3

    scenario(tmp_path, play)


def test_the_driver_hears_of_a_run_that_is_cancelled_while_it_is_called(tmp_path: Path) -> None:
    async def play(shell: Shell) -> None:
        calls: list[tuple[Request, Done]] = []
        shell.client.call = lambda request, done: calls.append((request, done))  # type: ignore[method-assign]
        await shell.send("good")
        await asyncio.sleep(0.05)
        (request, done) = calls[0]
        run = shell.partition._engine._core.runs[request.context.run_id]
        shell.partition._engine.cancel(run, "test", now_ms())
        await shell.partition.committed()
        assert shell.client.abandoned == [run.id]
        done(read_response(200, {"x-inngest-sdk": "inngest-py:v0.5.19"}, b'"late"', 0))
        await shell.partition.committed()
        assert shell.runs() == {"good": [RunStatus.CANCELLED]}

    scenario(tmp_path, play)
