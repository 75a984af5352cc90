"""Fixtures: one dev server for the session, and apps that serve functions of this SDK to it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from tests.conformance.processes import free_port, server_process

from holdfast import Client, Event
from holdfast.asgi import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast import Function, Inngest


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a dev server of its own."""
    process = server_process("dev", tmp_path_factory.mktemp("sdk") / "server.log", "--no-discovery", "--no-poll")
    process.start("/health")
    yield process.url
    process.stop()


@pytest.fixture
def client(server: str, request: pytest.FixtureRequest) -> Client:
    name = request.node.name.replace("[", "-").replace("]", "")
    return Client(app_id=name, is_production=False, api_base_url=server, event_api_base_url=server)


class Runner:
    """Serves functions, sends events, and waits for the runs that they start."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.calls: list[dict[str, Any]] = []
        self._stack = contextlib.ExitStack()

    def serve(self, client: Inngest, *functions: Function[Any]) -> str:
        """Serve functions over HTTP, and have the server register them."""
        inner = serve(client, list(functions))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["method"] == "POST":
                self.calls.append({"query": scope["query_string"].decode()})
            await inner(scope, receive, send)

        url = self._stack.enter_context(serving(app))
        answer = httpx.put(f"{url}/api/inngest", timeout=10)
        assert answer.status_code == 200, answer.text
        return url

    def send(self, client: Inngest, name: str, data: dict[str, Any] | None = None) -> str:
        """Send an event; return its id."""
        return client.send_sync(Event(name=name, data=data or {}))[0]

    def run(
        self, client: Inngest, name: str, data: dict[str, Any] | None = None, timeout: float = 20
    ) -> dict[str, Any]:
        """Send an event, and return its run when that has ended: `status`, and `output` decoded."""
        return self.ended(self.send(client, name, data), timeout)

    def ended(self, event_id: str, timeout: float = 20) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            runs = httpx.get(f"{self.server}/v1/events/{event_id}/runs").json().get("data") or []
            if runs and runs[0]["status"] in {"Completed", "Failed", "Cancelled"}:
                return {**runs[0], "output": _decoded(runs[0].get("output"))}
            time.sleep(0.02)
        raise AssertionError(f"no run of {event_id} ended within {timeout} s")

    def wait_for(self, condition: Callable[[], bool], timeout: float = 20) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "it has not become true"
            time.sleep(0.02)

    def close(self) -> None:
        self._stack.close()


def _decoded(output: Any) -> Any:
    if not isinstance(output, str):
        return output
    try:
        return json.loads(output)
    except ValueError:
        return output


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI app on a free port."""
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="warning", lifespan="on", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(10)


@pytest.fixture
def runner(server: str) -> Iterator[Runner]:
    found = Runner(server)
    yield found
    found.close()
