"""The Connect worker, against a gateway by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast import Client, Context, ContextSync, Function, Inngest, TriggerEvent
from holdfast.connect import ConnectionState, WorkerConnection, connect
from holdfast.protocol import connect_pb2 as pb
from holdfast.sdk.connect import backoff, link, session
from holdfast.sdk.connect.api import UnauthorizedError
from holdfast.sdk.connect.link import RefusedError
from holdfast.sdk.connect.replies import Replies
from holdfast.sdk.errors import FunctionConfigInvalidError

from .gateway import WAIT_S, Gateway, Peer, running

RECORDED = json.loads((Path(__file__).parents[1] / "connect" / "recorded" / "session.json").read_text())
KEY = "signkey-test-" + "ab" * 32

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Backoff", lambda: backoff.Backoff(0.01, 0.02))


class Bench:
    """A worker, its gateway, and functions that a test lets go on."""

    def __init__(self, gateway: Gateway, **client: Any) -> None:
        self.gateway = gateway
        self.states: list[str] = []
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.began = asyncio.Event()
        self.count = 0
        self.client = Client(app_id="shop", is_production=False, api_base_url=gateway.url, **client)
        self.functions: list[Function[Any]] = [self._function("quick", self._quick), self._function("slow", self._slow)]
        self.functions += [self._function("sync", self._sync), self._function("large", self._large)]
        self.functions += [self._function("fails", self._fails), self._function("blocks", self._blocks)]
        self.release = threading.Event()
        self.worker: WorkerConnection
        self.ending: asyncio.Task[None]

    def start(self, **options: Any) -> None:
        told = lambda state: self.states.append(state.value)  # noqa: E731
        self.worker = connect([(self.client, self.functions)], instance_id="w1", on_state_change=told, **options)
        self.ending = asyncio.create_task(self.worker.start())

    def _function(self, name: str, handler: Callable[..., Any]) -> Function[Any]:
        return self.client.create_function(fn_id=name, trigger=TriggerEvent(event=name))(handler)

    async def _quick(self, ctx: Context) -> str:
        self.count += 1
        return await ctx.step.run("only", lambda: "done")

    async def _slow(self, ctx: Context) -> str:
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "slept"

    def _sync(self, ctx: ContextSync) -> str:
        return threading.current_thread().name

    async def _large(self, ctx: Context) -> str:
        return "x" * link.MOST_FRAME

    async def _fails(self, ctx: Context) -> str:
        raise ValueError("boom")

    async def _blocks(self, ctx: Context) -> None:
        assert self.release.wait(WAIT_S)


def request(function: str = "quick", id: str = "r1") -> pb.Request:
    ctx = {"run_id": "01RUN", "attempt": 0, "stack": {"stack": [], "current": 0}}
    event = {"name": function, "data": {}}
    payload = {"ctx": ctx, "event": event, "events": [event], "steps": {}, "version": 2, "use_api": False}
    return pb.Request(
        request_id=id, app_id="a", app_name="shop", function_slug=f"shop-{function}", step_id="step", env_id="e",
        request_payload=json.dumps(payload).encode(), run_id="01RUN", lease_id="lease-1", job_id="job",
        system_trace_ctx=b'{"x":1}', user_trace_ctx=b'{"traceparent":"00-%s-%s-01"}' % (b"a" * 32, b"b" * 16),
    )  # fmt: skip


Scene = Callable[[Bench, Gateway], Awaitable[None]]


@asynccontextmanager
async def _worker(options: dict[str, Any], ready: pb.Ready | None) -> AsyncGenerator[Bench]:
    async with running() as gateway:
        if ready is not None:
            gateway.ready = ready
        bench = Bench(gateway)
        bench.start(**options)
        try:
            yield bench
        finally:
            bench.go_on.set()
            bench.release.set()
            bench.ending.cancel()
            await asyncio.gather(bench.ending, return_exceptions=True)


def play(scene: Scene, ready: pb.Ready | None = None, **options: Any) -> None:
    async def main() -> None:
        async with _worker(options, ready) as bench:
            await scene(bench, bench.gateway)

    asyncio.run(main())


async def connected(bench: Bench, gateway: Gateway) -> Peer:
    peer = await gateway.accept()
    async with asyncio.timeout(WAIT_S):
        await bench.worker.wait_for_state(ConnectionState.ACTIVE)
    return peer


def test_a_first_message_says_what_the_official_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNGEST_CONNECT_MAX_WORKER_CONCURRENCY", "7")

    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        hello = peer.hello
        assert peer.socket.subprotocol == "v0.connect.inngest.com"
        ((asked, headers),) = gateway.starts
        assert (list(asked.exclude_gateways), headers["content-type"]) == ([], "application/protobuf")
        assert "authorization" not in headers, "a dev server gets no key"
        assert (hello.instance_id, hello.framework, hello.max_worker_concurrency) == ("w1", "connect", 7)
        assert (hello.auth_data.session_token, hello.auth_data.sync_token) == ("session", "sync")
        assert bench.worker.get_connection_id() == hello.connection_id
        frame = next(f for f in RECORDED["frames"] if f.get("kind") == "WORKER_CONNECT")
        theirs = pb.Connect.FromString(pb.Frame.FromString(base64.b64decode(frame["base64"])).payload)
        assert json.loads(hello.capabilities) == json.loads(theirs.capabilities)
        mine, other = json.loads(hello.apps[0].functions)[0], json.loads(theirs.apps[0].functions)[0]
        assert mine["steps"]["step"]["runtime"] == {
            "type": "ws", "url": "wss://connect?fnId=shop-quick&stepId=step",
        }  # fmt: skip
        assert mine["steps"].keys() == other["steps"].keys()
        assert hello.system_attributes.cpu_cores > 0

    play(scene)


def test_a_call_is_accepted_run_and_answered() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        asked = request()
        await peer.call(asked)
        reply = await peer.reply()
        assert (reply.request_id, reply.run_id, reply.status) == ("r1", "01RUN", pb.NOT_COMPLETED)
        assert reply.system_trace_ctx == asked.system_trace_ctx
        assert reply.sdk_version.startswith("inngest-py-holdfast:v")
        (op,) = json.loads(reply.body)
        assert (op["op"], op["displayName"], op["data"]) == ("StepRun", "only", "done")
        for function, status in (("sync", pb.DONE), ("fails", pb.ERROR)):
            await peer.call(request(function, function))
            assert (await peer.reply()).status == status

    play(scene)


def test_a_call_as_the_reference_sent_it() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        frame = next(f for f in RECORDED["frames"] if f.get("kind") == "GATEWAY_EXECUTOR_REQUEST")
        recorded = pb.Request.FromString(pb.Frame.FromString(base64.b64decode(frame["base64"])).payload)
        recorded.app_name, recorded.function_slug = "shop", "shop-quick"
        await peer.call(recorded)
        reply = await peer.reply()
        assert (reply.status, reply.run_id) == (pb.NOT_COMPLETED, recorded.run_id)

    play(scene)


def test_the_same_call_twice_runs_once() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        again = request("slow")
        again.lease_id = "lease-2"
        await peer.call(again)
        bench.go_on.set()
        await peer.reply()
        await peer.call(request("quick", "r2"))
        assert (await peer.reply()).request_id == "r2", "and no second reply to the first"

    play(scene)


def test_calls_for_other_apps_and_frames_of_no_sense_are_left_alone() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        foreign = request()
        foreign.app_name = "other"
        await peer.say(pb.GATEWAY_EXECUTOR_REQUEST, foreign)
        await peer.socket.send(pb.Frame(kind=pb.GATEWAY_EXECUTOR_REQUEST, payload=b"\xff").SerializeToString())
        await peer.say(pb.WORKER_STATUS)
        await peer.call(request())
        await peer.reply()
        assert bench.count == 1

    play(scene)


def test_leases_are_renewed_while_a_call_runs_and_a_lost_one_cancels_it() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        for lease in ("lease-1", "lease-2"):
            asked = pb.ExtendLease.FromString(await peer.hear(pb.WORKER_REQUEST_EXTEND_LEASE))
            assert (asked.request_id, asked.lease_id) == ("r1", lease)
            await peer.say(
                pb.WORKER_REQUEST_EXTEND_LEASE_ACK, pb.ExtendLeaseAck(request_id="r1", new_lease_id="lease-2")
            )
        await peer.say(pb.WORKER_REQUEST_EXTEND_LEASE_ACK, pb.ExtendLeaseAck(request_id="r1"))
        async with asyncio.timeout(WAIT_S):
            await bench.cancelled.wait()

    play(scene, pb.Ready(heartbeat_interval="10s", extend_lease_interval="50ms", status_interval="0s"))


def test_heartbeats_go_on_while_user_code_blocks_the_loop() -> None:
    async def main() -> None:
        """The gateway has a loop of its own here: that of user code is blocked."""
        heard = threading.Event()
        url: list[Gateway] = []
        up = threading.Event()

        async def gateway_side() -> None:
            async with running() as gateway:
                gateway.ready = pb.Ready(heartbeat_interval="20ms", extend_lease_interval="30s", status_interval="0s")
                url.append(gateway)
                up.set()
                peer = await gateway.accept()
                await peer.call(request("blocks"))
                for _ in range(5):
                    await peer.hear(pb.WORKER_HEARTBEAT)
                    await peer.say(pb.GATEWAY_HEARTBEAT)
                heard.set()
                await peer.reply()

        thread = threading.Thread(target=lambda: asyncio.run(gateway_side()))
        thread.start()
        await asyncio.to_thread(up.wait, WAIT_S)
        bench = Bench(url[0])
        bench.start()
        bench.release = heard
        await asyncio.to_thread(thread.join, WAIT_S)
        assert heard.is_set()
        bench.ending.cancel()
        await asyncio.gather(bench.ending, return_exceptions=True)

    asyncio.run(main())


def test_a_gateway_that_answers_no_heartbeat_is_left() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        first = await connected(bench, gateway)
        second = await gateway.accept()  # nobody read the first one's heartbeats
        assert second.hello.connection_id != first.hello.connection_id
        assert bench.states[:3] == ["ACTIVE", "RECONNECTING", "ACTIVE"] or bench.states[:2] == [
            "ACTIVE",
            "RECONNECTING",
        ]

    play(scene, pb.Ready(heartbeat_interval="20ms", extend_lease_interval="30s", status_interval="0s"))


def test_a_lost_socket_costs_a_running_call_nothing() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        peer.socket.transport.abort()
        again = await gateway.accept()
        asked = pb.ExtendLease.FromString(await again.hear(pb.WORKER_REQUEST_EXTEND_LEASE))
        assert asked.lease_id == "lease-1"
        bench.go_on.set()
        await again.say(pb.WORKER_REQUEST_EXTEND_LEASE_ACK, pb.ExtendLeaseAck(request_id="r1", new_lease_id="lease-2"))
        while (frame := pb.Frame.FromString(await again.socket.recv(decode=False))).kind != pb.WORKER_REPLY:
            assert frame.kind in {pb.WORKER_REQUEST_EXTEND_LEASE, pb.WORKER_HEARTBEAT}
        assert json.loads(pb.Reply.FromString(frame.payload).body) == "slept"
        assert not bench.cancelled.is_set()

    play(scene, pb.Ready(heartbeat_interval="10s", extend_lease_interval="100ms", status_interval="0s"))


def test_a_reply_without_a_connection_goes_over_http_until_it_is_taken() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        gateway.start_statuses = [503] * 10_000
        gateway.flush_statuses = [500, 429]
        peer.socket.transport.abort()
        await bench.worker.wait_for_state(ConnectionState.RECONNECTING)
        bench.go_on.set()
        async with asyncio.timeout(WAIT_S):
            reply = await gateway.flushed.get()
        assert (json.loads(reply.body), reply.system_trace_ctx) == ("slept", b'{"x":1}')

    play(scene)


def test_a_reply_that_is_not_acknowledged_goes_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_ACK_S", 0.05)

    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request())
        sent = await peer.reply(acknowledge=False)
        async with asyncio.timeout(WAIT_S):
            assert await gateway.flushed.get() == sent

    play(scene)


def test_a_reply_that_no_gateway_takes_goes_over_http() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("large"))
        async with asyncio.timeout(WAIT_S):
            assert len((await gateway.flushed.get()).body) > link.MOST_FRAME

    play(scene)


def test_a_gateway_that_closes_is_replaced_before_it_is_left() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        old = await connected(bench, gateway)
        await old.call(request("slow"))
        await old.say(pb.GATEWAY_CLOSING)
        new = await gateway.dialled()
        assert list(gateway.starts[-1][0].exclude_gateways) == ["group-1"]
        bench.go_on.set()
        assert json.loads((await old.reply()).body) == "slept", "the old one takes replies meanwhile"
        await gateway.welcome(new)
        assert await old.closed() == (1000, "WORKER_SHUTDOWN")
        await new.call(request("quick", "r2"))
        await new.reply()
        assert bench.states == ["ACTIVE", "RECONNECTING", "ACTIVE"]

    play(scene)


def test_a_worker_that_is_closed_ends_its_calls_and_takes_no_more() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        await bench.began.wait()
        await bench.worker.close()
        await peer.hear(pb.WORKER_PAUSE)
        await peer.say(pb.GATEWAY_EXECUTOR_REQUEST, request("quick", "r2"))
        bench.go_on.set()
        assert (await peer.reply()).request_id == "r1"
        assert await peer.closed() == (1000, "WORKER_SHUTDOWN")
        await bench.worker.closed()
        await bench.ending
        assert (bench.states, bench.count) == (["ACTIVE", "CLOSING", "CLOSED"], 0)

    play(scene)


def test_a_worker_that_lost_its_socket_while_it_closes_connects_to_end_its_calls() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        await bench.worker.close()
        await peer.hear(pb.WORKER_PAUSE)
        peer.socket.transport.abort()
        again = await gateway.dialled()
        await gateway.welcome(again, pb.WORKER_PAUSE)  # and it never says that it is ready
        bench.go_on.set()
        await again.reply()
        await bench.ending
        assert bench.states == ["ACTIVE", "CLOSING", "CLOSED"]

    play(scene)


def test_a_worker_that_is_cancelled_cancels_its_calls() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        await peer.call(request("slow"))
        await bench.began.wait()
        bench.ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bench.ending
        assert bench.cancelled.is_set()
        assert bench.worker.get_state() is ConnectionState.CLOSED

    play(scene)


def test_it_is_closed_at_once_when_no_server_is_there() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        gateway.start_statuses = [500] * 10_000
        for _ in range(3):
            await gateway.asked.get()
        with pytest.raises(RuntimeError, match="connection not established"):
            bench.worker.get_connection_id()
        async with asyncio.timeout(WAIT_S):
            await bench.worker.close(wait=True)
        assert bench.states == ["CLOSING", "CLOSED"]

    play(scene)


def test_it_tries_until_a_server_is_there_and_after_every_outage() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        gateway.start_statuses = [500, 429, 404]
        peer = await connected(bench, gateway)
        gateway.start_statuses = [401, 403, 500]  # also a wrong key is an outage once it was right
        peer.socket.transport.abort()
        await (await gateway.accept()).call(request())
        assert len(gateway.starts) == 8

    play(scene)


def test_the_first_refusal_is_an_error() -> None:
    async def unauthorized(bench: Bench, gateway: Gateway) -> None:
        gateway.start_statuses = [401] * 9
        with pytest.raises(UnauthorizedError, match="check the signing key"):
            await bench.ending

    play(unauthorized)

    async def refused(bench: Bench, gateway: Gateway) -> None:
        peer = await gateway.dialled()
        await peer.say(pb.SYNC_FAILED, pb.SyncError(code="x", message="a trigger is wrong"))
        with pytest.raises(RefusedError, match="a trigger is wrong"):
            await bench.ending

    play(refused)


def test_the_fallback_key_is_tried_and_both_are_hashed() -> None:
    async def main() -> None:
        async with running() as gateway:
            client = Client(
                app_id="shop", is_production=True, api_base_url=gateway.url, signing_key=KEY,
                signing_key_fallback="signkey-test-" + "cd" * 32,
            )  # fmt: skip

            @client.create_function(fn_id="quick", trigger=TriggerEvent(event="x"))
            async def quick(ctx: Context) -> None: ...

            gateway.start_statuses = [401]
            ending = asyncio.create_task(connect([(client, [quick])]).start())
            await gateway.accept()
            sent = [headers["authorization"] for _, headers in gateway.starts]
            assert len(set(sent)) == 2
            assert all(len(each) == len("Bearer ") + 64 for each in sent)
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    asyncio.run(main())


def test_signals_are_handled_only_when_asked() -> None:
    before = signal.getsignal(signal.SIGUSR1)

    async def untouched(bench: Bench, gateway: Gateway) -> None:
        known = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
        await connected(bench, gateway)
        assert {number: signal.getsignal(number) for number in known} == known

    play(untouched)

    async def drained(bench: Bench, gateway: Gateway) -> None:
        peer = await connected(bench, gateway)
        os.kill(os.getpid(), signal.SIGUSR1)
        await peer.hear(pb.WORKER_PAUSE)
        await bench.ending

    play(drained, shutdown_signals=[signal.SIGUSR1])
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_worker_starts_once() -> None:
    async def scene(bench: Bench, gateway: Gateway) -> None:
        await connected(bench, gateway)
        with pytest.raises(RuntimeError, match="starts once"):
            await bench.worker.start()

    play(scene)


def test_apps_that_do_not_go_together_are_refused() -> None:
    def app(name: str = "shop", **more: Any) -> tuple[Inngest, list[Function[Any]]]:
        client = Client(**{"app_id": name, "is_production": False, **more})

        @client.create_function(fn_id="f", trigger=TriggerEvent(event="x"))
        async def f(ctx: Context) -> None: ...

        return client, [f]

    with pytest.raises(FunctionConfigInvalidError, match="no apps"):
        connect([])
    with pytest.raises(FunctionConfigInvalidError, match="no functions"):
        connect([(app()[0], [])])
    with pytest.raises(FunctionConfigInvalidError, match="same id"):
        connect([app(), app()])
    other = {
        "API base URL": {"api_base_url": "http://elsewhere:1"}, "env": {"env": "staging"},
        "mode": {"is_production": True, "signing_key": KEY, "api_base_url": "http://127.0.0.1:8288/"},
        "signing key": {"signing_key": KEY},
    }  # fmt: skip
    for text, options in other.items():
        with pytest.raises(FunctionConfigInvalidError, match=text):
            connect([app(), app("bar", **options)])


def test_replies_are_bounded_by_their_bytes() -> None:
    replies = Replies(10)
    assert replies.add("a", b"12345", 1.0) == []
    assert replies.add("b", b"12345", 2.0) == []
    assert replies.add("a", b"1234", 3.0) == []
    assert replies.add("c", b"12345", 4.0) == ["b"]
    assert list(replies.older_than(3.0)) == [("a", b"1234")]
    assert replies.add("d", b"x" * 11, 5.0) == ["a", "c", "d"]
    assert (len(replies), replies.bytes) == (0, 0)
    replies.drop("unknown")


def test_waits_double_up_to_a_bound() -> None:
    waits = backoff.Backoff(1.0, 5.0)
    found = [waits.next() for _ in range(5)]
    assert all(most / 2 <= wait <= most for wait, most in zip(found, (1, 2, 4, 5, 5), strict=True))
    waits.reset()
    assert waits.next() <= 1


def test_a_gateway_can_be_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with running() as gateway:
            right, gateway.endpoint = gateway.endpoint, "ws://nowhere.invalid:1/v0/connect"
            for rewritten in (True, False):
                bench = Bench(gateway)
                if rewritten:
                    bench.start(rewrite_gateway_endpoint=lambda told: right if "nowhere" in told else told)
                else:
                    monkeypatch.setenv("INNGEST_CONNECT_GATEWAY_URL", right)
                    bench.start()
                await gateway.accept()
                bench.ending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await bench.ending

    asyncio.run(main())
