"""One worker's socket: WebSocket without I/O by `websockets`, frames by protobuf, both on the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast

import structlog
from google.protobuf.message import DecodeError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from holdfast.protocol import connect_pb2 as pb
from holdfast.protocol.ids import is_ulid
from holdfast.server.connect import frames, session
from holdfast.server.connect.hello import (
    BROKEN,
    INTERNAL,
    INVALID_PAYLOAD,
    MOST_CHARACTERS,
    POLICY,
    Hello,
    HelloError,
    read_hello,
    registration,
)
from holdfast.server.connect.roster import Group, Status, Worker
from holdfast.server.connect.syncing import SyncError
from holdfast.server.store.store import StoreError

if TYPE_CHECKING:
    from holdfast.server.connect.driver import Call
    from holdfast.server.connect.gateway import Gateway

log = structlog.get_logger(__name__)

SUBPROTOCOL: Final = Subprotocol("v0.connect.inngest.com")
PATH: Final = "/v0/connect"
#: Largest message of a worker: an output and an input of a step.
MAX_MESSAGE: Final = 8 * 1024 * 1024
#: Seconds until the upgrade, and from there until the first message.
HELLO_S: Final = 5.0
#: Seconds that a worker may leave unread what was sent to it.
STALLED_S: Final = 30.0
#: Bytes that wait for a worker before it counts as slow.
HIGH_WATER: Final = 1024 * 1024
#: Bytes that are parsed before their frames are looked at.
_SLICE: Final = 16 * 1024
#: Seconds that a peer has to answer a close frame.
_CLOSE_S: Final = 1.0

#: Bytes that all sockets may bring together before they have shown their token.
MOST_PENDING: Final = 64 * 1024 * 1024

CLOSING: Final = (1001, "connect_gateway_closing")
GARBLED: Final = (1007, "failed to unmarshal Protobuf")

#: The library's own log would show tokens and data.
_quiet = logging.getLogger("holdfast.connect.websockets")
_quiet.setLevel(logging.CRITICAL)


class Socket(asyncio.Protocol):
    """A connection from its first byte to its last. `worker` is set once it has shown who it is."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._ws = ServerProtocol(
            subprotocols=[SUBPROTOCOL], select_subprotocol=_choose, max_size=MAX_MESSAGE, logger=_quiet
        )
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._timer: asyncio.TimerHandle | None = None
        self._message: list[bytes] = []
        self._pending = 0
        self._address = ""
        self._manual = False
        self._dismissed = False
        self._reason = ""
        self._stalled_timer: asyncio.TimerHandle | None = None
        self.worker: Worker | None = None
        self._handlers: dict[int, Callable[[bytes], None]] = {
            pb.WORKER_REPLY: self._on_reply,
            pb.WORKER_REQUEST_ACK: self._on_ack,
            pb.WORKER_HEARTBEAT: self._on_heartbeat,
            pb.WORKER_REQUEST_EXTEND_LEASE: self._on_extend,
            pb.WORKER_READY: self._on_ready,
            pb.WORKER_PAUSE: self._on_pause,
        }

    # --- transport ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        peer = self._transport.get_extra_info("peername")
        self._address = _address(peer)
        self._gateway.opened(self)
        self._timer = self._loop.call_later(HELLO_S, self._late)

    def data_received(self, data: bytes) -> None:
        """Bytes came: handle the frames that they complete."""
        if self.worker is None and not self._count_pending(len(data)):
            return
        for start in range(0, len(data), _SLICE):
            self._ws.receive_data(data[start : start + _SLICE] if len(data) > _SLICE else data)
            for event in self._ws.events_received():
                if isinstance(event, Frame):
                    self._on_frame(event)
                elif isinstance(event, Request):
                    self._upgrade(event)
            self._flush()
            if self._transport.is_closing():
                return

    def eof_received(self) -> None:
        """The peer sends no more."""
        self._ws.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection is gone."""
        for timer in (self._timer, self._stalled_timer):
            if timer is not None:
                timer.cancel()
        self._gateway.closed(self)
        self._settle_pending()
        worker = self.worker
        if worker is not None:
            reason = self._reason or self._close_reason()
            self._gateway.roster.remove(worker, reason, self._gateway.clock())
            self._gateway.driver.unaccepted(worker)
            log.info("worker disconnected", worker=worker.instance.id, reason=reason)

    def pause_writing(self) -> None:
        """The peer reads too slowly: it gets no more calls, and is heard no more, until it has caught up."""
        self._stalled_timer = self._loop.call_later(STALLED_S, self.abort, "SLOW_READER")
        self._transport.pause_reading()
        if self.worker is not None:
            self._gateway.roster.refresh(self.worker)

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None
        self._transport.resume_reading()
        if self.worker is not None:
            self._gateway.roster.refresh(self.worker)

    def _flush(self) -> None:
        for data in self._ws.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
        if self._ws.close_expected() and not self._transport.is_closing():
            self._transport.close()

    def _count_pending(self, size: int) -> bool:
        """Bound what sockets may bring before they have shown their token."""
        self._pending += size
        self._gateway.pending_bytes += size
        if self._gateway.pending_bytes <= MOST_PENDING:
            return True
        self._refuse("too many bytes before the first message", INTERNAL, BROKEN)
        self._transport.abort()
        return False

    def _settle_pending(self) -> None:
        self._gateway.pending_bytes -= self._pending
        self._pending = 0

    # --- the peer -----------------------------------------------------------------------------------------------------

    @property
    def stalled(self) -> bool:
        """Whether the worker reads too slowly to be given more."""
        return self._stalled_timer is not None

    def request(self, call: Call) -> None:
        """Send a call."""
        assert self.worker is not None
        self._send(frames.request(call, self.worker.groups[call.request.app_id].app_name))

    def lost(self, call: Call) -> None:
        """Say that the worker has lost a call."""
        self._send(frames.lost(call))

    def acknowledge(self, request_id: str) -> None:
        """Say that a reply is durable."""
        self._send(frames.acknowledge(request_id))

    def dismiss(self) -> None:
        """Tell the worker to connect elsewhere, or here again."""
        if self.worker is None:
            self.close(*CLOSING)
        elif not self._dismissed:
            self._dismissed = True
            self._send(frames.CLOSING)

    def close(self, code: int, reason: str) -> None:
        """Close the socket in an orderly way; a peer that does not answer is cut off."""
        if self._ws.state is State.OPEN:
            self._reason = self._reason or ("GATEWAY_DRAINING" if (code, reason) == CLOSING else reason)
            self._ws.send_close(code, reason)
            self._flush()
            self._loop.call_later(_CLOSE_S, self._transport.abort)
        elif self._ws.state is State.CONNECTING:
            self._transport.close()

    def expire(self, reason: str) -> None:
        """Give a silent peer up. If it is there after all, it is told so in a way that every SDK comes back from."""
        self._reason = self._reason or reason
        self.close(BROKEN, INTERNAL)

    def abort(self, reason: str) -> None:
        """Cut the connection."""
        self._reason = self._reason or reason
        self._transport.abort()

    def _send(self, frame: bytes) -> None:
        if self._ws.state is State.OPEN and not self._transport.is_closing():
            self._ws.send_binary(frame)
            self._flush()

    def _close_reason(self) -> str:
        """Return how the connection ended, for the list of connections."""
        if self._ws.close_sent is not None and self._ws.close_sent.code == 1009:
            return "MESSAGE_TOO_LARGE"
        received = self._ws.close_rcvd
        return received.reason if received is not None and received.reason else "UNEXPECTED"

    # --- the upgrade --------------------------------------------------------------------------------------------------

    def _upgrade(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        answer = self._plain(request, path)
        if answer is not None:
            self._ws.send_response(self._ws.reject(*answer))
            return
        response = self._ws.accept(request)
        self._ws.send_response(response)
        if response.status_code != 101:
            return
        self._address = _forwarded(request, self._gateway, self._address)
        if self._gateway.closing:
            self.close(*CLOSING)
            return
        self._restart_timer()
        self._ws.send_binary(frames.HELLO)

    def _plain(self, request: Request, path: str) -> tuple[int, str] | None:
        """Return the answer to a request that opens no socket; None for one that may."""
        if path == "/ready":
            return (503, "draining\n") if self._gateway.closing else (200, "ready\n")
        if path == "/v0/":
            return 200, "."
        if path != PATH:
            return 404, f"Workers connect at {PATH}\n"
        if _of_other_site(request):
            return 403, "Pages of other sites may not connect\n"
        if self._gateway.overfull:
            self._gateway.refused["too_many_connections"] += 1
            return 503, "The gateway has reached its limit of connections\n"
        return None

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(HELLO_S, self._late)

    def _late(self) -> None:
        if self._ws.state is State.OPEN:
            self._refuse("no first message was received", "connect_worker_hello_timeout", POLICY)
        else:
            self._transport.abort()

    def _refuse(self, text: str, reason: str, code: int) -> None:
        self._gateway.refused[reason] += 1
        log.warning("refused a worker", address=self._address, error=text, reason=reason)
        self.close(code, reason)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.BINARY, Opcode.TEXT, Opcode.CONT}:
            if frame.fin and not self._message:
                self._on_message(bytes(frame.data))
            else:
                self._message.append(bytes(frame.data))
                if frame.fin:
                    whole, self._message = b"".join(self._message), []
                    self._on_message(whole)

    def _on_message(self, data: bytes) -> None:
        if self._ws.state is not State.OPEN and (self.worker is None or not self._ws.close_rcvd_then_sent):
            return  # the gateway has closed; what comes before a close of the worker counts, as a last reply may
        try:
            frame = pb.Frame.FromString(data)
        except DecodeError:
            self._refuse("a frame can't be decoded", GARBLED[1], GARBLED[0])
            return
        if self.worker is None:
            self._on_first(frame)
            return
        handler = self._handlers.get(frame.kind)
        if handler is not None:  # others are of no interest, or of a time to come
            try:
                handler(frame.payload)
            except DecodeError:
                self._refuse(f"the payload of a frame can't be decoded (kind {frame.kind})", *_UNREADABLE[frame.kind])

    def _on_first(self, frame: pb.Frame) -> None:
        if frame.kind != pb.WORKER_CONNECT:
            self._refuse("unexpected first message", "connect_worker_hello_invalid_msg", POLICY)
            return
        try:
            self._connect(read_hello(frame.payload, lambda token: session.check(self._gateway.secret, token)))
        except HelloError as error:
            self._refuse(str(error), error.reason, error.code)
        except session.SessionError as error:
            self._refuse(str(error), "connect_authentication_failed", POLICY)
        except SyncError as error:
            self._send(frames.sync_failed(error.code, str(error)))
            self._refuse(str(error), error.code or INTERNAL, POLICY if error.code else BROKEN)
        except StoreError as error:
            self._refuse(f"the worker's apps can't be stored: {error}", INTERNAL, BROKEN)

    def _connect(self, hello: Hello) -> None:
        gateway, now, roster = self._gateway, self._gateway.clock(), self._gateway.roster
        if hello.connection_id in roster.workers:
            raise HelloError("another socket uses this connection id", INVALID_PAYLOAD)
        groups: list[Group] = []
        for app in hello.apps:
            body = registration(hello, app)
            groups.append(gateway.syncs.group(app.name, app.version, app.hash, app.slugs, body, now))
        if self._timer is not None:
            self._timer.cancel()
        self._settle_pending()
        self.worker = worker = Worker(
            hello.connection_id, roster.instance(hello.instance_id), self, groups, limit=hello.limit,
            about=hello.about, address=self._address, now=now,
        )  # fmt: skip
        roster.add(worker)
        self._manual = hello.manual
        self._send(frames.ready(gateway.driver.lease_s))
        log.info(
            "worker connected", worker=hello.instance_id, apps=[app.name for app in hello.apps],
            sdk=f"{hello.about.sdk_language}:{hello.about.sdk_version}", address=self._address,
        )  # fmt: skip
        if not hello.manual:
            roster.ready(worker)

    def _on_ready(self, _payload: bytes) -> None:
        if self._gateway.closing:
            self.close(*CLOSING)
        elif self.worker is not None:
            self._gateway.roster.ready(self.worker)

    def _on_pause(self, _payload: bytes) -> None:
        assert self.worker is not None
        self._gateway.roster.leaving(self.worker, Status.DRAINING)
        self._gateway.driver.unaccepted(self.worker)

    def _on_heartbeat(self, _payload: bytes) -> None:
        assert self.worker is not None
        self._gateway.roster.heard(self.worker, self._gateway.clock())
        self._send(frames.HEARTBEAT)

    def _on_ack(self, payload: bytes) -> None:
        assert self.worker is not None
        self._gateway.driver.accepted(self.worker, pb.RequestAck.FromString(payload).request_id)

    def _on_extend(self, payload: bytes) -> None:
        assert self.worker is not None
        asked = pb.ExtendLease.FromString(payload)
        if not is_ulid(asked.lease_id):
            self._refuse("a lease's id is not a ULID", *_UNREADABLE[pb.WORKER_REQUEST_EXTEND_LEASE])
            return
        renewed = self._gateway.driver.extend(self.worker, asked.request_id, asked.lease_id)
        self._send(frames.lease_answer(asked, renewed))

    def _on_reply(self, payload: bytes) -> None:
        worker = self.worker
        assert worker is not None
        reply = pb.Reply.FromString(payload)
        outcome = frames.outcome(reply, f"{worker.about.sdk_language}:{worker.about.sdk_version}")
        outcome.headers["x-holdfast-worker"] = worker.instance.id
        if not self._gateway.driver.reply(worker, reply.request_id, frames.work(reply), outcome):
            log.warning(
                "a worker replied for an app that it does not serve",
                worker=worker.instance.id,
                request=reply.request_id,
            )
            return

        def committed(error: Exception | None) -> None:
            if error is None:  # else it flushes the reply over HTTP
                self.acknowledge(reply.request_id)

        self._gateway.on_commit(committed)


#: How a socket is closed whose frame has a payload that can't be decoded, by the frame's kind: reason, code.
_UNREADABLE: Final = {
    pb.WORKER_REPLY: (INTERNAL, BROKEN),
    pb.WORKER_REQUEST_ACK: ("connect_worker_request_ack_invalid_payload", POLICY),
    pb.WORKER_REQUEST_EXTEND_LEASE: ("connect_worker_request_extend_lease_invalid_payload", POLICY),
}


def _choose(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take the protocol if it is offered; a client that offers none is taken too."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _address(peer: object) -> str:
    """`host:port` of a socket's peer."""
    if not isinstance(peer, tuple):
        return ""
    host, port = cast("tuple[str, int]", peer)[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _forwarded(request: Request, gateway: Gateway, peer: str) -> str:
    """Return where a worker is: as a proxy says that is trusted, else the socket's peer."""
    host = peer.rpartition(":")[0].strip("[]")
    if not gateway.trusted(host):
        return peer
    told = request.headers.get("X-Real-IP") or request.headers.get("X-Forwarded-For") or ""
    return told.strip()[:MOST_CHARACTERS] or peer


def _of_other_site(request: Request) -> bool:
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2].lower() != request.headers.get("Host", "").lower()
