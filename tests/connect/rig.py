"""A whole server on the test's own loop, with a gateway that listens, and workers that speak the protocol by hand."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from holdfast.protocol import connect_pb2 as pb
from holdfast.server.app import Server
from holdfast.server.config import Config

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

SUBPROTOCOL = "v0.connect.inngest.com"
WAIT_S = 10.0


class Rig:
    """The server, and what a test asks of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.workers: list[TestWorker] = []

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Make a request of the API."""
        given = {"host": "127.0.0.1:8288", **(headers or {})}
        parts = urlsplit(path)
        scope = {
            "type": "http", "method": method, "path": parts.path, "raw_path": parts.path.encode(), "scheme": "http",
            "query_string": parts.query.encode(), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8288),
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.server(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    async def get(self, path: str) -> Any:
        status, body = await self.request("GET", path)
        assert status == 200, body
        return json.loads(body)

    async def start(self, headers: dict[str, str] | None = None) -> pb.StartResponse:
        status, body = await self.request("POST", "/v0/connect/start", b"", headers)
        assert status == 200, body
        return pb.StartResponse.FromString(body)

    async def send(self, name: str, data: dict[str, Any] | None = None) -> str:
        body = json.dumps({"name": name, "data": data or {}}).encode()
        status, answer = await self.request("POST", "/e/test", body)
        assert status == 200, answer
        return str(json.loads(answer)["ids"][0])

    async def runs(self, event_id: str) -> list[dict[str, Any]]:
        return list((await self.get(f"/v1/events/{event_id}/runs"))["data"])

    async def ended(self, event_id: str, status: str = "Completed") -> dict[str, Any]:
        """Wait for the end of the one run of an event."""

        async def found() -> dict[str, Any] | None:
            runs = await self.runs(event_id)
            return runs[0] if runs and runs[0]["status"] in {"Completed", "Failed", "Cancelled"} else None

        run = await eventually(found)
        assert run["status"] == status, run
        return run

    async def why(self, run_id: str) -> str:
        return str(json.dumps(await self.get(f"/v1/runs/{run_id}/why")))

    async def gql(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        status, answer = await self.request("POST", "/v0/gql", body, {"content-type": "application/json"})
        assert status == 200, answer
        result = json.loads(answer)
        assert "errors" not in result, result
        return result["data"]

    async def conns(self) -> list[dict[str, Any]]:
        return list((await self.get("/v0/connect/envs/dev/conns"))["data"])

    async def dial(self) -> ClientConnection:
        port = self.server.gateway.port
        return await connect(f"ws://127.0.0.1:{port}/v0/connect", subprotocols=[SUBPROTOCOL], compression=None)  # type: ignore[list-item]

    async def worker(self, *apps: App, **about: Any) -> TestWorker:
        """Connect a worker and wait until it may have calls."""
        started = await self.start()
        worker = TestWorker(await self.dial(), started, list(apps), **about)
        self.workers.append(worker)
        await worker.shake_hands()
        return worker

    async def close(self) -> None:
        for worker in self.workers:
            await worker.close()
        await self.server.close()


@asynccontextmanager
async def running(config: Config | None = None) -> AsyncGenerator[Rig]:
    server = Server(config or Config(discovery=False, poll=False, retry_interval=1))
    await server.start()
    listener = socket.create_server(("127.0.0.1", 0))
    await server.gateway.listen([listener])
    rig = Rig(server)
    try:
        yield rig
    finally:
        await rig.close()


async def eventually(what: Callable[[], Any], within: float = WAIT_S) -> Any:
    """Poll until `what` is neither None nor false."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        found = what()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"not within {within} s"
        await asyncio.sleep(0.01)


class App:
    """An app of a worker: functions by name, each started by the event of its name."""

    def __init__(self, name: str, *functions: str, version: str = "", retries: int = 0, **more: Any) -> None:
        self.name = name
        self.version = version
        self.functions = [self._function(function, retries, more) for function in functions]

    def _function(self, function: str, retries: int, more: dict[str, Any]) -> dict[str, Any]:
        slug = f"{self.name}-{function}"
        runtime = {"type": "ws", "url": f"wss://connect?fnId={slug}&stepId=step"}
        step = {"id": "step", "name": "step", "retries": {"attempts": retries}, "runtime": runtime}
        return {"id": slug, "name": function, "triggers": [{"event": function}], "steps": {"step": step}, **more}

    def message(self) -> pb.App:
        app = pb.App(app_name=self.name, functions=json.dumps(self.functions).encode())
        if self.version:
            app.app_version = self.version
        return app


class TestWorker:
    """A worker by hand: a test reads what it is sent and says what it answers."""

    __test__ = False

    def __init__(
        self, socket: ClientConnection, started: pb.StartResponse, apps: list[App], *, instance: str = "worker-1",
        limit: int | None = None, manual: bool = False,
    ) -> None:  # fmt: skip
        self.socket = socket
        self.started = started
        self.apps = apps
        self.instance = instance
        self.limit = limit
        self.manual = manual

    def hello(self) -> pb.Connect:
        message = pb.Connect(
            connection_id=self.started.connection_id, instance_id=self.instance,
            auth_data=pb.Auth(session_token=self.started.session_token), capabilities=b'{"connect":"v1"}',
            apps=[app.message() for app in self.apps], worker_manual_readiness_ack=self.manual,
            sdk_language="py", sdk_version="0.5.19", framework="connect",
            system_attributes=pb.System(cpu_cores=2, mem_bytes=1 << 30, os="linux"),
        )  # fmt: skip
        if self.limit is not None:
            message.max_worker_concurrency = self.limit
        return message

    async def shake_hands(self) -> pb.Ready:
        assert await self.raw() == b""
        await self.say(pb.WORKER_CONNECT, self.hello())
        return pb.Ready.FromString(await self.hear(pb.GATEWAY_CONNECTION_READY))

    async def raw(self, within: float = WAIT_S) -> bytes:
        data = await asyncio.wait_for(self.socket.recv(), within)
        assert isinstance(data, bytes)
        return data

    async def hear(self, kind: pb.Kind, within: float = WAIT_S) -> bytes:
        """Wait for a frame of a kind; another one fails the test."""
        frame = pb.Frame.FromString(await self.raw(within))
        assert frame.kind == kind, pb.Kind.Name(frame.kind)
        return frame.payload

    async def hears_nothing(self, seconds: float = 0.2) -> None:
        try:
            data = await asyncio.wait_for(self.socket.recv(), seconds)
        except TimeoutError:
            return
        raise AssertionError(f"heard {pb.Frame.FromString(bytes(data))!r}")  # type: ignore[arg-type]

    async def say(self, kind: pb.Kind, message: Any = None) -> None:
        payload = b"" if message is None else message.SerializeToString()
        await self.socket.send(pb.Frame(kind=kind, payload=payload).SerializeToString())

    async def request(self, *, accept: bool = True, within: float = WAIT_S) -> pb.Request:
        """Wait for a call, and accept it."""
        request = pb.Request.FromString(await self.hear(pb.GATEWAY_EXECUTOR_REQUEST, within))
        if accept:
            await self.accept(request)
        return request

    async def accept(self, request: pb.Request) -> None:
        await self.say(pb.WORKER_REQUEST_ACK, pb.RequestAck(request_id=request.request_id))

    async def reply(self, request: pb.Request, body: Any = None, **more: Any) -> None:
        """Send a reply; the function returned unless `status` says otherwise."""
        await self.say(pb.WORKER_REPLY, reply_to(request, body, **more))

    async def acknowledged(self, request: pb.Request, within: float = WAIT_S) -> None:
        ack = pb.ReplyAck.FromString(await self.hear(pb.WORKER_REPLY_ACK, within))
        assert ack.request_id == request.request_id

    async def complete(self, body: Any = None) -> pb.Request:
        """Take one call to its end."""
        request = await self.request()
        await self.reply(request, body)
        await self.acknowledged(request)
        return request

    async def extend(self, request: pb.Request, lease: str | None = None) -> str:
        """Ask for a longer lease; return it, empty if it is refused."""
        asked = pb.ExtendLease(request_id=request.request_id, lease_id=request.lease_id if lease is None else lease)
        await self.say(pb.WORKER_REQUEST_EXTEND_LEASE, asked)
        answer = pb.ExtendLeaseAck.FromString(await self.hear(pb.WORKER_REQUEST_EXTEND_LEASE_ACK))
        assert answer.request_id == request.request_id
        return answer.new_lease_id

    async def closed(self) -> tuple[int, str]:
        """Wait for the end of the socket; how it was closed."""
        await asyncio.wait_for(self.socket.wait_closed(), WAIT_S)
        return self.socket.close_code or 0, self.socket.close_reason or ""

    def cut(self) -> None:
        """Lose the connection without a word."""
        self.socket.transport.abort()

    async def close(self) -> None:
        await self.socket.close()


def reply_to(request: pb.Request, body: Any = None, *, status: pb.ReplyStatus = pb.DONE, **more: Any) -> pb.Reply:
    return pb.Reply(
        request_id=request.request_id, app_id=request.app_id, status=status,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(), sdk_version="inngest-py:v0.5.19",
        request_version=2, system_trace_ctx=request.system_trace_ctx, run_id=request.run_id, **more,
    )  # fmt: skip


def step(name: str, data: Any) -> list[dict[str, Any]]:
    """The body of a reply that reports one finished step."""
    return [{"op": "StepRun", "id": (name * 40)[:40], "name": name, "displayName": name, "data": data}]
