"""Whatever a peer sends: its socket may be closed, nothing else happens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from holdfast.protocol import connect_pb2 as pb

from .rig import App, Rig, TestWorker, eventually, running

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = [*pb.Kind.values(), 99]
PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda name, lease: pb.ExtendLease(request_id=name, lease_id=lease).SerializeToString(), st.text(max_size=30),
        st.sampled_from(["", "x", "01M7Y8W75WQG6YCXHQJJ81TM6G"]),
    ),
    st.builds(
        lambda name, body, status, context, retry: pb.Reply(
            request_id=name, body=body, status=status, system_trace_ctx=context, retry_after=retry
        ).SerializeToString(),
        st.text(max_size=30), st.binary(max_size=30), st.sampled_from(pb.ReplyStatus.values()),
        st.one_of(st.binary(max_size=30), st.just(b'{"work":{"run_id":"x","item":"","job_id":"","attempt":0}}')),
        st.text(max_size=12),
    ),
)  # fmt: skip
FRAMES = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda kind, payload: pb.Frame(kind=kind, payload=payload).SerializeToString(),
              st.sampled_from(KINDS), PAYLOADS),
)  # fmt: skip


async def _survives(rig: Rig, worker: TestWorker, sent: Sequence[bytes]) -> None:
    with contextlib.suppress(ConnectionClosed):
        for frame in sent:
            await worker.socket.send(frame)
    worker.cut()
    await eventually(lambda: len(rig.server.gateway) == 0)
    assert not rig.server.gateway.roster.workers
    assert rig.server.gateway.pending_bytes == 0


def _play(sent: list[bytes], *, known: bool) -> None:
    failures: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
        async with running() as rig:
            if known:
                worker = await rig.worker(App("shop", "order"))
                await rig.send("order")
                await worker.request()
                rig.workers.clear()
            else:
                worker = TestWorker(await rig.dial(), await rig.start(), [])
            await _survives(rig, worker, sent)
            after = await rig.worker(App("other", "look"))
            event = await rig.send("look")
            await after.complete("well")
            await rig.ended(event)

    asyncio.run(main())
    assert failures == []


FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(st.lists(FRAMES, min_size=1, max_size=12))
def test_any_frames_of_a_worker(sent: list[bytes]) -> None:
    _play(sent, known=True)


@FUZZ
@given(st.lists(FRAMES, min_size=1, max_size=3))
def test_any_frames_of_a_stranger(sent: list[bytes]) -> None:
    _play(sent, known=False)


def test_bytes_that_are_no_http() -> None:
    async def main() -> None:
        async with running() as rig:
            for data in (b"\x00" * 300, b"GET / HTTP/1.1\r\n" * 20, b"x" * 100_000, b"\xff\xfe\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.gateway.port)
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), 10)
                writer.close()
            await eventually(lambda: len(rig.server.gateway) == 0)

    asyncio.run(main())
