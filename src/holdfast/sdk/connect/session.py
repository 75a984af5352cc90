"""A worker at work, on the event loop of its own thread: it stays connected, and keeps what it owes to the server."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

import msgspec
from google.protobuf.message import DecodeError

from holdfast.protocol import connect_pb2 as pb
from holdfast.sdk.answers import CommRequest, CommResponse, error_response
from holdfast.sdk.connect import frames
from holdfast.sdk.connect.api import GatewayApi, UnauthorizedError
from holdfast.sdk.connect.backoff import Backoff
from holdfast.sdk.connect.link import MOST_FRAME, Link, LinkError, RefusedError, open_link
from holdfast.sdk.connect.replies import Replies
from holdfast.sdk.connect.states import ConnectionState, WatchedState
from holdfast.sdk.consts import HeaderKey, QueryParamKey
from holdfast.sdk.errors import RequestFailedError
from holdfast.sdk.logs import log

if TYPE_CHECKING:
    from holdfast.sdk.connect.apps import Apps
    from holdfast.sdk.handler import CommHandler

#: Seconds in which a reply is acknowledged, or it is handed in over HTTP.
_ACK_S: Final = 5.0
#: Seconds for which a worker that closes hands in its last replies; fewer if it was cancelled.
_FAREWELL_S: Final = 30.0
_HURRY_S: Final = 5.0
#: Seconds after which a connection counts as a good one.
_STEADY_S: Final = 10.0

Submit = Callable[["CommHandler", CommRequest], "Future[CommResponse]"]
"""Runs a call where user code runs, on another thread."""


class _Flight:
    """A call that is being executed."""

    def __init__(self, request: pb.Request) -> None:
        self.request = request
        self.lease = request.lease_id
        self.task: asyncio.Task[None] | None = None


class Session:
    """Connects, executes, replies, until it is closed. Only `close` may be called from another thread, by its loop."""

    def __init__(
        self, apps: Apps, state: WatchedState, submit: Submit, rewrite: Callable[[str], str], replies: Replies
    ) -> None:
        self._apps = apps
        self._api = GatewayApi(apps.client)
        self._state = state
        self._submit = submit
        self._rewrite = rewrite
        self._replies = replies
        self._logger = apps.client.logger
        self._link: Link | None = None
        self._flights: dict[str, _Flight] = {}
        self._closing = asyncio.Event()
        self._hurried = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._flushing: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.connection_id = ""

    @property
    def _live(self) -> Link | None:
        """The link, if its socket is open: one that must be replaced may still be."""
        return self._link if self._link is not None and self._link.open else None

    async def run(self) -> None:
        """Work until `close`. Raises UnauthorizedError and RefusedError, if that ends the first attempt to connect."""
        staying = asyncio.create_task(self._stay_connected())
        extending = asyncio.create_task(self._extend())
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({staying, closing}, return_when=asyncio.FIRST_COMPLETED)
            if staying.done():
                staying.result()
            await self._finish()
        finally:
            for task in (staying, extending, closing, *self._background):
                task.cancel()
            if self._link is not None:
                await self._link.close()
            await self._api.close()

    def close(self, *, hurry: bool) -> None:
        """Take no more calls, and end once those under way have ended; with `hurry`, cancel these."""
        self._state.set(ConnectionState.CLOSING)
        self._closing.set()
        if hurry:
            self._hurried = True
            for flight in list(self._flights.values()):
                self._cancel(flight)

    # --- connections --------------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        backoff = Backoff()
        excluded: list[str] = []
        while True:
            link = await self._connect(excluded, backoff)
            await self._adopt(link)
            asked = await asyncio.shield(link.ended)
            self._leave(asked=asked)
            excluded = [link.group]
            if asyncio.get_running_loop().time() - link.opened_at > _STEADY_S:
                backoff.reset()
            await asyncio.sleep(random.uniform(0, 0.5) if asked else backoff.next())

    async def _connect(self, excluded: list[str], backoff: Backoff) -> Link:
        """Return a link, however many attempts it takes."""
        while True:
            try:
                started = await self._api.start(excluded)
                return await open_link(self._rewrite(started.gateway_endpoint), started, self._apps.hello(started))
            except (UnauthorizedError, RefusedError) as error:
                if not self.connection_id:  # nothing was ever right: that is a mistake, no outage
                    raise
                problem: Exception = error
            except (RequestFailedError, LinkError) as error:
                problem = error
            wait = backoff.next()
            log(self._logger, "warning", f"the worker is not connected, trying again in {wait:.1f} s: {problem}")
            await asyncio.sleep(wait)
            excluded.clear()  # where there is one gateway, it may be back

    async def _adopt(self, link: Link) -> None:
        before, self._link = self._link, link
        self.connection_id = link.id
        link.serve(self._on_frame)
        await link.send(frames.PAUSE if self._closing.is_set() else frames.READY)
        if not self._closing.is_set():
            self._state.set(ConnectionState.ACTIVE)
        if before is not None:
            self._spawn(before.close())

    def _leave(self, *, asked: bool) -> None:
        """The link must be replaced. One whose gateway is about to close goes on until then."""
        if not self._closing.is_set():
            self._state.set(ConnectionState.RECONNECTING)
        if not asked:
            self._flush_soon(0)

    # --- frames -------------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, frame: pb.Frame) -> None:
        try:
            if frame.kind == pb.GATEWAY_EXECUTOR_REQUEST:
                self._on_request(link, pb.Request.FromString(frame.payload))
            elif frame.kind == pb.WORKER_REPLY_ACK:
                self._replies.drop(pb.ReplyAck.FromString(frame.payload).request_id)
            elif frame.kind == pb.WORKER_REQUEST_EXTEND_LEASE_ACK:
                self._on_lease(pb.ExtendLeaseAck.FromString(frame.payload))
        except DecodeError:
            log(self._logger, "error", f"a frame of kind {frame.kind} can't be decoded, and is ignored")

    def _on_request(self, link: Link, request: pb.Request) -> None:
        handler = self._apps.handlers.get(request.app_name)
        known = self._flights.get(request.request_id)
        if known is not None:  # sent again: it was not known that it had arrived
            known.lease = request.lease_id
            self._spawn(self._accept(link, request))
        elif handler is None:
            log(self._logger, "error", f"a call for the app {request.app_name!r}, which this worker does not run")
        elif not self._closing.is_set():
            flight = self._flights[request.request_id] = _Flight(request)
            self._idle.clear()
            flight.task = asyncio.create_task(self._execute(link, flight, handler))
            flight.task.add_done_callback(lambda _: self._landed(request.request_id))

    async def _accept(self, link: Link, request: pb.Request) -> None:
        await link.send(frames.accepted(request))

    def _on_lease(self, answer: pb.ExtendLeaseAck) -> None:
        flight = self._flights.get(answer.request_id)
        if flight is None:
            return
        if answer.new_lease_id:
            flight.lease = answer.new_lease_id
        else:
            text = "the server took a call away: its run was cancelled, or its lease has expired"
            log(self._logger, "warning", f"{text} ({flight.request.function_slug}, run {flight.request.run_id})")
            self._cancel(flight)

    # --- calls --------------------------------------------------------------------------------------------------------

    async def _execute(self, link: Link, flight: _Flight, handler: CommHandler) -> None:
        request = flight.request
        if not await link.send(frames.accepted(request)):
            return  # nobody knows that it is here: another worker gets it
        try:
            answer = await asyncio.wrap_future(self._submit(handler, _comm_request(request)))
        except Exception as error:  # noqa: BLE001 - the server gets an answer, whatever happened
            answer = error_response(self._logger, error)
        payload = frames.reply(request, answer)
        fits = len(payload) <= MOST_FRAME
        now = asyncio.get_running_loop().time()
        for lost in self._replies.add(request.request_id, payload, now if fits else 0.0):
            log(self._logger, "error", f"too many replies wait for the server: that to call {lost} is dropped")
        live = self._live
        sent = live is not None and fits and await live.send(frames.frame(pb.WORKER_REPLY, payload))
        self._flush_soon(_ACK_S if sent else 0)

    def _landed(self, request_id: str) -> None:
        self._flights.pop(request_id, None)
        if not self._flights:
            self._idle.set()

    def _cancel(self, flight: _Flight) -> None:
        if flight.task is not None:
            flight.task.cancel()

    async def _extend(self) -> None:
        """Renew the leases of all calls under way, for ever."""
        while True:
            live = self._live
            await asyncio.sleep(live.extend_s if live is not None else 1.0)
            for flight in list(self._flights.values()):
                if (live := self._live) is not None:
                    await live.send(frames.extension(flight.request, flight.lease))

    # --- replies ------------------------------------------------------------------------------------------------------

    def _flush_soon(self, delay: float) -> None:
        """Hand replies in over HTTP after a while, if they are not acknowledged by then."""
        if len(self._replies) and (self._flushing is None or self._flushing.done()):
            self._flushing = self._spawn(self._keep_flushing(delay))

    async def _keep_flushing(self, delay: float) -> None:
        backoff = Backoff()
        await asyncio.sleep(delay)
        while len(self._replies):
            reached = await self._flush()
            if reached:
                backoff.reset()
            await asyncio.sleep(1.0 if reached else backoff.next())

    async def _flush(self) -> bool:
        """Hand in what waits for too long; everything, if the connection is gone. Return whether the API was there."""
        patience = _ACK_S if self._live is not None and not self._hurried else 0.0
        for request_id, payload in self._replies.older_than(asyncio.get_running_loop().time() - patience):
            try:
                await self._api.flush(payload)
            except RequestFailedError as error:
                if error.status is None or error.status >= 500 or error.status == 429:
                    return False
                log(self._logger, "error", f"the server refused the reply to call {request_id}: {error}")
            self._replies.drop(request_id)
        return True

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Say that no more calls are wanted, end those under way, hand in their replies."""
        if (live := self._live) is not None:
            await live.send(frames.PAUSE)
        await self._idle.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HURRY_S if self._hurried else _FAREWELL_S):
                while len(self._replies):
                    await self._flush()
                    await asyncio.sleep(0.02)
        if len(self._replies):
            log(self._logger, "error", f"closed with {len(self._replies)} replies that no server took")

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


_trace_context = msgspec.json.Decoder(dict[str, str]).decode


def _trace(request: pb.Request) -> dict[str, str]:
    """Return the headers of the trace that a call is in."""
    try:
        return _trace_context(request.user_trace_ctx or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _comm_request(request: pb.Request) -> CommRequest:
    headers = {HeaderKey.REQUEST_ID.value: request.request_id, HeaderKey.JOB_ID.value: request.job_id}
    query = {QueryParamKey.FUNCTION_ID.value: request.function_slug, QueryParamKey.STEP_ID.value: request.step_id}
    return CommRequest(
        body=request.request_payload, headers={**headers, **_trace(request)}, query_params=query, raw_request=request,
        request_url="", is_connect=True,
    )  # fmt: skip
