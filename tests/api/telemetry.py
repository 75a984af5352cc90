"""A whole server in this process, spoken to by ASGI, with an app that is played by the test."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

from holdfast.protocol.ids import step_hash
from holdfast.server.app import Server
from holdfast.server.config import Config

from .client import Client

if TYPE_CHECKING:
    from collections.abc import Callable

Reply = tuple[int, Any]
_HEAD = (
    b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nX-Inngest-SDK: raw:v1\r\nX-Inngest-Req-Version: 2\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Played:
    """An app at a port of its own: `answer(headers, body)` says what each call gets. Calls are kept."""

    def __init__(self, answer: Callable[[dict[str, str], Any], Reply]) -> None:
        self.answer = answer
        self.calls: list[dict[str, str]] = []
        self.called = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:]
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.calls.append(headers)
                self.called.set()
                status, value = self.answer(headers, json.loads(body or b"null"))
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                writer.write(_HEAD % (status, len(text)) + text)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


class Rig:
    """Server, client and app, all on the client's loop."""

    def __init__(self, answer: Callable[[dict[str, str], Any], Reply], **config: Any) -> None:
        self.app = Played(answer)
        self._config = Config(discovery=False, poll=False, **config)

    def __enter__(self) -> Self:
        self.client = Client(self)
        try:
            self.client.loop.run(self._start())
        except BaseException:
            self.client.close()
            raise
        assert self.client.post("/fn/register", json=_registration(self._url)).status_code == 200
        return self

    async def _start(self) -> None:
        self.server = Server(self._config)
        await self.server.start()
        self._url = await self.app.start()

    def __exit__(self, *_: object) -> None:
        self.client.loop.run(self.server.close())
        self.client.loop.run(self.app.close())
        self.client.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.server(scope, receive, send)

    def send(self, headers: dict[str, str] | None = None) -> str:
        """Sends the event; answers its id."""
        answer = self.client.post("/e/key", json={"name": "go", "data": {}}, headers=headers)
        (id,) = answer.json()["ids"]
        return str(id)

    def run(self, headers: dict[str, str] | None = None) -> str:
        """Sends the event and waits for the end of its run; answers the run's id."""
        event = self.send(headers)
        (run,) = self.client.get(f"/v1/events/{event}/runs").json()["data"]
        self.client.loop.run(self.server.partition.ended(run["run_id"]))
        return str(run["run_id"])

    def run_of(self, event: Any) -> str:
        """Sends an event and waits for the end of the one run that it starts; answers the run's id."""
        (event_id,) = self.client.post("/e/key", json=event).json()["ids"]
        (run,) = self.client.get(f"/v1/events/{event_id}/runs").json()["data"]
        self.client.loop.run(self.server.partition.ended(run["run_id"]))
        return str(run["run_id"])

    def pause(self) -> None:
        """Lets no run start."""
        assert self.client.post("/v1/functions/shop-charge/pause").status_code == 200

    def resume(self) -> None:
        """Lets runs start again."""
        assert self.client.post("/v1/functions/shop-charge/resume").status_code == 200

    def wait_calls(self, count: int) -> None:
        """Waits until the app was called so often."""

        async def waiting() -> None:
            async with asyncio.timeout(20):
                while len(self.app.calls) < count:
                    self.app.called.clear()
                    await self.app.called.wait()

        self.client.loop.run(waiting())

    def trace(self, run_id: str) -> Any:
        """The trace tree of a run."""
        answer = self.client.post("/v0/gql", json={"query": TRACE, "variables": {"id": run_id}})
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]["run"]["trace"]


_NODE = """name status stepID spanID traceID parentSpanID isUserland attempts duration
  userlandSpan { spanName spanKind serviceName scopeName scopeVersion spanAttrs resourceAttrs }
  metadata { scope kind values updatedAt }"""
TRACE = f"""query($id: String!) {{ run(runID: $id) {{ trace(preview: true) {{ {_NODE}
  childrenSpans {{ {_NODE} childrenSpans {{ {_NODE} childrenSpans {{ {_NODE} }} }} }} }} }} }}"""


def _registration(url: str) -> Any:
    step = {
        "id": "step", "name": "step", "retries": {"attempts": 0},
        "runtime": {"type": "http", "url": f"{url}?fnId=shop-charge&stepId=step"},
    }  # fmt: skip
    function = {"id": "shop-charge", "name": "charge", "triggers": [{"event": "go"}], "steps": {"step": step}}
    return {
        "v": "0.1", "url": url, "deployType": "ping", "sdk": "raw:v1", "framework": "", "appName": "shop",
        "functions": [function],
    }  # fmt: skip


def one_step(step: str = "charge", **more: Any) -> Callable[[dict[str, str], Any], Reply]:
    """An app that runs one step and returns what it came to."""
    id = step_hash(step)

    def answer(_headers: dict[str, str], body: Any) -> Reply:
        if id in body["steps"]:
            return 200, body["steps"][id]["data"]
        return 206, [{"op": "StepRun", "id": id, "name": step, "displayName": step, "data": 1, **more}]

    return answer
