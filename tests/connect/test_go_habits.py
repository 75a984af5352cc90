"""A worker with the habits of the Go SDK, as connect.md §5.4, §8.6, §12 and §17 tell them. No toolchain is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from holdfast.protocol import connect_pb2 as pb

from .rig import App, Rig, TestWorker, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

CAPABILITIES = b'{"in_band_sync":"v1","trust_probe":"v1","connect":"v1"}'


class GoApp(App):
    """Registers as Go does: the step has the function's name, and its runtime only a URL."""

    def __init__(self, name: str, *functions: str) -> None:
        super().__init__(name, *functions, version="1.2")
        for function in self.functions:
            url = f"ws://connect?fnId={function['id']}&step=step"
            function["steps"]["step"].update(name=function["name"], runtime={"url": url})


class GoWorker(TestWorker):
    def hello(self) -> pb.Connect:
        message = super().hello()
        message.capabilities = CAPABILITIES
        message.sdk_language, message.sdk_version, message.platform = "go", "0.15.1", "k8s"
        message.ClearField("framework")
        message.max_worker_concurrency = 0  # always there
        message.started_at.GetCurrentTime()
        return message

    async def done(self, request: pb.Request, body: object) -> None:
        """Go leaves out what it can of a reply that is no error."""
        reply = pb.Reply(
            request_id=request.request_id, app_id=request.app_id, status=pb.DONE, body=json.dumps(body).encode(),
            request_version=1, system_trace_ctx=request.system_trace_ctx,
        )  # fmt: skip
        await self.say(pb.WORKER_REPLY, reply)
        await self.acknowledged(request)

    async def leave(self) -> None:
        await self.say(pb.WORKER_PAUSE)
        await self.socket.close(1000, "WORKER_SHUTDOWN")


async def go_worker(rig: Rig, instance: str) -> GoWorker:
    worker = GoWorker(await rig.dial(), await rig.start(), [GoApp("shop", "order")], instance=instance)
    rig.workers.append(worker)
    ready = await worker.shake_hands()
    assert (ready.heartbeat_interval, ready.extend_lease_interval) == ("10s", "30s")
    return worker


def test_the_go_sdks_own_test(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await go_worker(rig, "my-worker")
        (conn,) = await rig.conns()
        (group,) = conn["all_worker_groups"].values()
        found = (await rig.get(f"/v0/connect/envs/dev/groups/{group}"))["data"]
        assert (found["synced"], found["sdk_lang"], found["sdk_platform"]) == (True, "go", "k8s")
        event = await rig.send("order")
        request = await worker.request()
        assert (request.function_slug, request.step_id) == ("shop-order", "step")
        await worker.done(request, "connect done")
        assert (await rig.ended(event))["output"] == "connect done"

        await worker.leave()
        await eventually(lambda: not rig.server.gateway.roster.workers)
        assert await rig.conns() == []
        assert rig.server.gateway.history.past[-1].reason == "WORKER_SHUTDOWN"
        event = await rig.send("order")
        run = (await eventually(lambda: rig.runs(event)))[0]
        data = await rig.gql("query($id: String!) { run(runID: $id) { status } }", id=run["run_id"])
        assert data["run"]["status"] == "QUEUED"

        again = await go_worker(rig, "my-worker-2")
        await again.done(await again.request(), "late")
        await rig.ended(event)

    play(scene)


def test_leases_and_a_replacement_as_go_does_them(play: Callable[..., None]) -> None:
    """It renews on the socket that got the call, opens the next one, and closes the old one with WORKER_SHUTDOWN."""

    async def scene(rig: Rig) -> None:
        old = await go_worker(rig, "w")
        event = await rig.send("order")
        request = await old.request()
        new = await go_worker(rig, "w")
        lease = await old.extend(request)
        assert await new.extend(request, lease), "also on the new one: both are the same instance"
        await old.done(request, "from the old one")
        await old.leave()
        assert (await rig.ended(event))["output"] == "from the old one"
        await eventually(lambda: len(rig.server.gateway.roster.workers) == 1)

    play(scene)


def test_no_close_that_ends_a_go_worker_for_good(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await go_worker(rig, "w")
        rig.server.gateway.dismiss()
        assert await worker.hear(pb.GATEWAY_CLOSING) == b""
        await rig.server.gateway.close()
        assert await worker.closed() == (1001, "connect_gateway_closing")

    play(scene)
