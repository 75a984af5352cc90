"""What is shown of workers, to whom; and workers that read too slowly."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from holdfast.protocol import connect_pb2 as pb
from holdfast.server.config import Config
from holdfast.server.connect import socket

from .rig import App, Rig, eventually, reply_to, step

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

SHOP, BAR = App("shop", "order"), App("bar", "drink")
KEY = "ab" * 32
PAGE = """query($after: String, $apps: [UUID!]) { workerConnections(first: 1, after: $after,
    orderBy: [{field: CONNECTED_AT, direction: ASC}], filter: {appIDs: $apps}) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id appName appID status workerIp } } } }"""


async def pages(rig: Rig, **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await rig.gql(PAGE, after=after, **filters))["workerConnections"]
        found += [edge["node"] for edge in page["edges"]]
        if len(found) == page["totalCount"]:
            return found
        after = page["pageInfo"]["endCursor"]


def test_several_apps_on_one_connection_are_called_and_listed_by_app(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        both = await rig.worker(SHOP, BAR, instance="both")
        await rig.worker(BAR, instance="bar")
        event = await rig.send("order")
        request = await both.complete("ordered")
        assert request.app_name == "shop"
        await rig.ended(event)
        rows = await pages(rig)
        assert [row["appName"] for row in rows].count("bar") == 2
        assert len({(row["id"], row["appName"]) for row in rows}) == 3, "each row once, page by page"
        bar = next(row["appID"] for row in rows if row["appName"] == "bar")
        assert len(await pages(rig, apps=[bar])) == 2
        conns = await rig.get(f"/v0/connect/envs/dev/conns?app_id={request.app_id}")
        assert [conn["instance_id"] for conn in conns["data"]] == ["both"]
        status, _ = await rig.request("GET", "/v0/connect/envs/dev/conns?app_id=x")
        assert status == 400

    play(scene)


def test_metrics_count_connections_calls_and_lost_leases(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(SHOP)
        await rig.send("order")
        request = await worker.request()
        driver = rig.server.gateway.driver
        await eventually(lambda: driver._calls[request.request_id].accepted)
        text = (await rig.request("GET", "/metrics"))[1].decode()
        assert 'holdfast_connect_workers{state="ready"} 1' in text
        assert "holdfast_connect_calls 1" in text
        assert "holdfast_connect_sent_total 1" in text
        driver._lapsed(driver._calls[request.request_id])
        text = (await rig.request("GET", "/metrics"))[1].decode()
        assert "holdfast_connect_lost_leases_total 1" in text
        assert "holdfast_connect_calls 0" in text

    play(scene)


def test_a_trace_names_the_worker_of_a_call(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        worker = await rig.worker(SHOP, instance="pod-7")
        event = await rig.send("order")
        request = await worker.request()
        await worker.reply(request, step("a", 1), status=pb.NOT_COMPLETED)
        await worker.acknowledged(request)
        await worker.complete("done")
        run = await rig.ended(event)
        seen = "response { headers }"
        spans = f"{seen} childrenSpans {{ {seen} childrenSpans {{ {seen} }} }}"
        query = f"query($id: String!) {{ run(runID: $id) {{ trace(preview: true) {{ {spans} }} }} }}"
        trace = (await rig.gql(query, id=run["run_id"]))["run"]["trace"]
        assert "pod-7" in str(trace), trace

    play(scene)


def test_start_lets_nobody_in_without_the_signing_key(play: Callable[..., None]) -> None:
    async def scene(rig: Rig) -> None:
        hashed = hashlib.sha256(bytes.fromhex(KEY)).hexdigest()
        for path, body in (("start", b""), ("flush", reply_to(pb.Request(request_id="x")).SerializeToString())):
            for header in ({}, {"authorization": "Bearer " + "0" * 64}):
                status, _ = await rig.request("POST", f"/v0/connect/{path}", body, header)
                assert status == 401, path
            status, _ = await rig.request("POST", f"/v0/connect/{path}", body, {"authorization": f"Bearer {hashed}"})
            assert status == 200, path

    play(scene, Config(kind="cloud", discovery=False, poll=False, signing_key=KEY, event_keys=("k" * 32,)))


def test_a_worker_that_reads_too_slowly_gets_no_more_and_is_cut_off(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "HIGH_WATER", 64 * 1024)
    monkeypatch.setattr(socket, "STALLED_S", 0.3)

    async def scene(rig: Rig) -> None:
        slow = await rig.worker(SHOP, instance="slow")
        slow.socket.transport.pause_reading()
        (held,) = rig.server.gateway._sockets
        for _ in range(64):
            await rig.send("order", {"text": "x" * 250_000})
            if held.stalled:
                break
        assert held.stalled
        fast = await rig.worker(SHOP, instance="fast")
        await rig.send("order")
        assert (await fast.complete("done")).app_name == "shop"
        await eventually(lambda: len(rig.server.gateway.roster.workers) == 1)
        assert rig.server.gateway.history.past[-1].reason == "SLOW_READER"
        await fast.request()  # what the slow one had not accepted
        slow.cut()

    play(scene)
