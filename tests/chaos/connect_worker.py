"""A worker for the chaos test: `python connect_worker.py URL INSTANCE`. It connects again for ever.

It keeps its replies until they are acknowledged, and hands them in over HTTP after a lost socket, as SDKs do.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from holdfast.protocol import connect_pb2 as pb

STEPS = 4
IDS = [f"{n:040x}" for n in range(STEPS)]
SLUG = "chaos-steps"


def post(url: str, body: bytes) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=10) as answer:
        return bytes(answer.read())


def hello(started: pb.StartResponse, instance: str) -> pb.Connect:
    runtime = {"type": "ws", "url": f"wss://connect?fnId={SLUG}&stepId=step"}
    step = {"id": "step", "name": "step", "runtime": runtime, "retries": {"attempts": 10}}
    functions = [{"id": SLUG, "name": "steps", "triggers": [{"event": "chaos/steps"}], "steps": {"step": step}}]
    return pb.Connect(
        connection_id=started.connection_id, instance_id=instance, sdk_language="py", sdk_version="0.5.19",
        auth_data=pb.Auth(session_token=started.session_token), capabilities=b'{"connect":"v1"}',
        apps=[pb.App(app_name="chaos", functions=json.dumps(functions).encode())],
    )  # fmt: skip


def frame(kind: pb.Kind, message: bytes = b"") -> bytes:
    return pb.Frame(kind=kind, payload=message).SerializeToString()


def reply_to(request: pb.Request) -> pb.Reply:
    asked = json.loads(request.request_payload)
    done = len(asked["steps"])
    reply = pb.Reply(
        request_id=request.request_id, app_id=request.app_id, sdk_version="inngest-py:v0.5.19", request_version=2,
        system_trace_ctx=request.system_trace_ctx,
    )  # fmt: skip
    if done < STEPS:
        data = asked["event"]["data"]["n"] * 10 + done
        item = {"op": "StepRun", "id": IDS[done], "name": str(done), "displayName": str(done), "data": data}
        reply.body = json.dumps([item]).encode()
    else:
        reply.status = pb.DONE
        reply.body = json.dumps([asked["steps"][id]["data"] for id in IDS]).encode()
    return reply


class Worker:
    def __init__(self, url: str, instance: str) -> None:
        self.url = url
        self.instance = instance
        self.unacknowledged: dict[str, bytes] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.flush()
                await self.session()
            except (OSError, WebSocketException, urllib.error.URLError):
                await asyncio.sleep(0.1)

    async def flush(self) -> None:
        for request_id, body in list(self.unacknowledged.items()):
            await asyncio.to_thread(post, f"{self.url}/v0/connect/flush", body)
            self.unacknowledged.pop(request_id, None)

    async def session(self) -> None:
        started = pb.StartResponse.FromString(await asyncio.to_thread(post, f"{self.url}/v0/connect/start", b""))
        async with connect(started.gateway_endpoint, compression=None) as socket:
            await socket.recv()
            await socket.send(frame(pb.WORKER_CONNECT, hello(started, self.instance).SerializeToString()))
            async for data in socket:
                received = pb.Frame.FromString(bytes(data))  # type: ignore[arg-type]
                if received.kind == pb.GATEWAY_EXECUTOR_REQUEST:
                    await self.answer(socket, pb.Request.FromString(received.payload))
                elif received.kind == pb.WORKER_REPLY_ACK:
                    self.unacknowledged.pop(pb.ReplyAck.FromString(received.payload).request_id, None)
                elif received.kind == pb.GATEWAY_CLOSING:
                    return

    async def answer(self, socket: ClientConnection, request: pb.Request) -> None:
        ack = pb.RequestAck(request_id=request.request_id).SerializeToString()
        await socket.send(frame(pb.WORKER_REQUEST_ACK, ack))
        body = reply_to(request).SerializeToString()
        self.unacknowledged[request.request_id] = body
        await asyncio.sleep(0.002)
        await socket.send(frame(pb.WORKER_REPLY, body))


if __name__ == "__main__":
    asyncio.run(Worker(sys.argv[1], sys.argv[2]).run())
