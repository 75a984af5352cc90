"""A call's way to a worker and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from holdfast.protocol import connect_pb2 as pb
from holdfast.server.store.store import StoreError

from .rig import App, Rig, eventually, reply_to, step

if TYPE_CHECKING:
    import pytest

Play: TypeAlias = "Callable[..., None]"


def test_a_run_of_two_steps(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order", {"n": 1})
        first = await worker.request()
        assert (first.app_name, first.function_slug, first.step_id) == ("shop", "shop-order", "step")
        asked = json.loads(first.request_payload)
        assert asked["event"]["data"] == {"n": 1}
        assert asked["ctx"]["run_id"] == first.run_id
        assert json.loads(first.system_trace_ctx)["traceparent"]
        assert set(json.loads(first.user_trace_ctx)) == {"traceparent", "tracestate"}
        await worker.reply(first, step("a", 1), status=pb.NOT_COMPLETED)
        await worker.acknowledged(first)
        second = await worker.request()
        assert json.loads(second.request_payload)["steps"] == {"a" * 40: {"data": 1}}
        assert second.request_id != first.request_id
        await worker.reply(second, {"ok": True})
        await worker.acknowledged(second)
        assert (await rig.ended(event))["output"] == {"ok": True}
        assert len(rig.server.dispatcher._drivers["ws"]) == 0  # type: ignore[arg-type]

    play(scene)


def test_a_failed_function_is_tried_again_when_its_worker_says(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order", retries=1))
        event = await rig.send("order")
        request = await worker.request()
        error = {"name": "ValueError", "message": "boom"}
        await worker.reply(request, error, status=pb.ERROR, retry_after="1")
        await worker.acknowledged(request)
        again = await worker.request()
        assert json.loads(again.request_payload)["ctx"]["attempt"] == 1
        await worker.reply(again, error, status=pb.ERROR, no_retry=True)
        await worker.acknowledged(again)
        assert (await rig.ended(event, "Failed"))["output"]["message"] == "boom"

    play(scene)


def test_a_reply_is_acknowledged_after_its_commit_and_not_if_that_fails(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        commit = rig.server.store.commit
        failing = [True]

        def fails(*args: object, **kwargs: object) -> object:
            if failing:
                failing.clear()
                raise StoreError("the disk is away")
            return commit(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(rig.server.store, "commit", fails)
        await worker.reply(request, "done")
        again = await worker.request()  # and no acknowledgement before it: the worker hands its reply in again
        assert again.run_id == request.run_id
        await worker.reply(request, "done")
        told = pb.ExtendLeaseAck.FromString(await worker.hear(pb.WORKER_REQUEST_EXTEND_LEASE_ACK))
        assert (told.request_id, told.HasField("new_lease_id")) == (again.request_id, False), "it need not do it again"
        await worker.acknowledged(request)
        assert (await rig.ended(event))["output"] == "done"

    play(scene)


def test_the_same_reply_twice_counts_once_and_is_acknowledged_twice(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        await worker.reply(request, step("a", 1), status=pb.NOT_COMPLETED)
        await worker.reply(request, step("a", 2), status=pb.NOT_COMPLETED)
        await worker.acknowledged(request)
        kinds = [pb.Frame.FromString(await worker.raw()) for _ in range(2)]
        assert {frame.kind for frame in kinds} == {pb.WORKER_REPLY_ACK, pb.GATEWAY_EXECUTOR_REQUEST}
        second = next(pb.Request.FromString(f.payload) for f in kinds if f.kind == pb.GATEWAY_EXECUTOR_REQUEST)
        assert json.loads(second.request_payload)["steps"] == {"a" * 40: {"data": 1}}
        await worker.reply(second, 3)
        assert (await rig.ended(event))["output"] == 3

    play(scene)


def test_a_reply_over_http_counts_and_twice_counts_once(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        worker.cut()
        for _ in range(2):
            body = reply_to(request, "flushed").SerializeToString()
            status, answer = await rig.request("POST", "/v0/connect/flush", body)
            assert status == 200
            assert pb.FlushResponse.FromString(answer).request_id == request.request_id
        assert (await rig.ended(event))["output"] == "flushed"

    play(scene)


def test_a_flush_that_cannot_be_read_is_refused(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        for body, text in ((b"", b"missing request body"), (b"\xff\xff", b"could not unmarshal request")):
            status, answer = await rig.request("POST", "/v0/connect/flush", body)
            assert status == 400
            assert text in answer

    play(scene)


def test_without_a_worker_a_run_waits_and_says_why(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        await worker.close()
        await eventually(lambda: not rig.server.gateway.roster.workers)
        event = await rig.send("order")
        run = (await eventually(lambda: rig.runs(event)))[0]
        await asyncio.sleep(0.1)
        data = await rig.gql("query($id: String!) { run(runID: $id) { status } }", id=run["run_id"])
        assert data["run"]["status"] == "QUEUED"
        assert "no worker of app shop is connected since" in await rig.why(run["run_id"])
        other = await rig.worker(App("shop", "order"))
        await other.complete("late")
        assert (await rig.ended(event))["output"] == "late"

    play(scene)


def test_an_app_of_workers_that_was_registered_over_http_waits_for_one(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        app = App("shop", "order")
        body = {
            "url": "http://127.0.0.1:1/api", "v": "0.1", "deployType": "ping", "sdk": "py:0.5.18", "appName": "shop",
            "functions": app.functions,
        }  # fmt: skip
        status, answer = await rig.request("POST", "/fn/register", json.dumps(body).encode())
        assert status == 200, answer
        event = await rig.send("order")
        run = (await eventually(lambda: rig.runs(event)))[0]
        before = rig.server.partition.commits
        await asyncio.sleep(0.1)
        assert rig.server.partition.commits == before, "it is not tried again and again"
        assert "no worker of app shop is connected" in await rig.why(run["run_id"])
        worker = await rig.worker(app)
        await worker.complete("done")
        await rig.ended(event)

    play(scene)


def test_a_worker_that_goes_before_it_accepted_loses_the_call_to_another(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        one = await rig.worker(App("shop", "order"), instance="one")
        event = await rig.send("order")
        first = await one.request(accept=False)
        two = await rig.worker(App("shop", "order"), instance="two")
        one.cut()
        second = await two.request()
        assert json.loads(second.request_payload)["ctx"]["attempt"] == 0
        assert second.run_id == first.run_id
        await two.reply(second, "two")
        assert (await rig.ended(event))["output"] == "two"

    play(scene)


def test_a_call_that_nobody_accepted_goes_back_when_the_last_worker_leaves(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        one = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        await one.request(accept=False)
        one.cut()
        await eventually(lambda: not rig.server.partition.view.gauges().leases)
        assert rig.server.dispatcher.calls == 0
        two = await rig.worker(App("shop", "order"))
        await two.complete("done")
        await rig.ended(event)

    play(scene)


def test_a_lost_socket_costs_an_accepted_call_nothing(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        worker.cut()
        await eventually(lambda: not rig.server.gateway.roster.workers)
        back = await rig.worker(App("shop", "order"))
        await back.hears_nothing()
        assert await back.extend(request)
        await back.reply(request, "kept")
        await back.acknowledged(request)
        assert (await rig.ended(event))["output"] == "kept"

    play(scene)


def test_a_cancelled_run_takes_the_lease_away(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        status, _ = await rig.request("DELETE", f"/v1/runs/{request.run_id}")
        assert status in {200, 202, 204}
        told = pb.ExtendLeaseAck.FromString(await worker.hear(pb.WORKER_REQUEST_EXTEND_LEASE_ACK))
        assert (told.request_id, told.HasField("new_lease_id")) == (request.request_id, False)
        await worker.reply(request, "too late")
        await worker.acknowledged(request)
        await rig.ended(event, "Cancelled")

    play(scene)


def test_no_app_may_answer_for_another(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        shop = await rig.worker(App("shop", "order"), instance="shop")
        spy = await rig.worker(App("spy", "look"), instance="spy")
        event = await rig.send("order")
        request = await shop.request()
        assert await spy.extend(request) == ""
        await spy.reply(request, "forged")
        await spy.hears_nothing()
        forged = reply_to(request, "forged")
        forged.request_id = "01M7Y8W75WQG6YCXHQJJ81TM6G"
        await spy.say(pb.WORKER_REPLY, forged)
        await spy.hears_nothing()
        assert [run["status"] for run in await rig.runs(event)] == ["Running"]
        await shop.reply(request, "true")
        assert (await rig.ended(event))["output"] == "true"

    play(scene)


def test_a_reply_to_a_call_of_before_a_reload_is_taken(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        driver = rig.server.dispatcher._drivers["ws"]
        await driver.close()  # as after a restart: nothing is known of the call
        await worker.reply(request, "late but good")
        await worker.acknowledged(request)
        assert (await rig.ended(event))["output"] == "late but good"

    play(scene)


def test_a_reply_that_comes_together_with_the_close_of_its_worker_counts(play: Play) -> None:
    """Workers in Node reply and close without a pause: both are in one segment."""

    async def scene(rig: Rig) -> None:
        worker = await rig.worker(App("shop", "order"))
        event = await rig.send("order")
        request = await worker.request()
        payload = reply_to(request, "bye").SerializeToString()
        protocol = worker.socket.protocol
        protocol.send_binary(pb.Frame(kind=pb.WORKER_REPLY, payload=payload).SerializeToString())
        protocol.send_close(1000, "")
        worker.socket.transport.write(b"".join(protocol.data_to_send()))
        assert (await rig.ended(event))["output"] == "bye"

    play(scene)
