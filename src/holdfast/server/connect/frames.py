"""The frames that a gateway writes, and what it reads in a worker's reply."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from holdfast.protocol import connect_pb2 as pb
from holdfast.protocol.calls import trace_headers
from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.protocol.responses import Outcome, read_response
from holdfast.server.connect.driver import Call
from holdfast.server.drivers.driver import Request, Work

HELLO: Final = b""  # the kind is 0 and there is no payload
HEARTBEAT: Final = pb.Frame(kind=pb.GATEWAY_HEARTBEAT).SerializeToString()
CLOSING: Final = pb.Frame(kind=pb.GATEWAY_CLOSING).SerializeToString()
HEARTBEAT_S: Final = 10

_STATUSES: Final = {pb.NOT_COMPLETED: 206, pb.DONE: 200, pb.ERROR: 500}


class _Trace(msgspec.Struct):
    """The context that a worker sends back unread: `work` tells what a call was about that is not known any more."""

    traceparent: str = ""
    work: Work | None = None


_trace = msgspec.json.Decoder(_Trace)


def _frame(kind: pb.Kind, payload: bytes) -> bytes:
    return pb.Frame(kind=kind, payload=payload).SerializeToString()


def ready(lease_s: int) -> bytes:
    """Report that a worker is connected, and how often it shall send heartbeats and renew leases."""
    extend_s = max(1, lease_s // 4)
    message = pb.Ready(heartbeat_interval=f"{HEARTBEAT_S}s", extend_lease_interval=f"{extend_s}s", status_interval="0s")
    return _frame(pb.GATEWAY_CONNECTION_READY, message.SerializeToString())


def sync_failed(code: str, text: str) -> bytes:
    """Return why an app could not be registered."""
    return _frame(pb.SYNC_FAILED, pb.SyncError(code=code, message=text).SerializeToString())


def request(call: Call, app_name: str) -> bytes:
    """Render a call."""
    made = call.request
    context = made.context
    system, user = _contexts(made)
    message = pb.Request(
        request_id=call.id, account_id=ACCOUNT_ID, env_id=ENV_ID, app_id=made.app_id, app_name=app_name,
        function_id=context.function_id, function_slug=made.slug, step_id=context.step or "step",
        request_payload=made.body, system_trace_ctx=system, user_trace_ctx=user, run_id=context.run_id,
        lease_id=call.lease, job_id=context.job_id,
    )  # fmt: skip
    return _frame(pb.GATEWAY_EXECUTOR_REQUEST, message.SerializeToString())


def lost(call: Call) -> bytes:
    """Report that a worker's lease is lost, without having been asked."""
    made = call.request
    message = pb.ExtendLeaseAck(
        request_id=call.id, account_id=ACCOUNT_ID, env_id=ENV_ID, app_id=made.app_id, function_slug=made.slug
    )
    return _frame(pb.WORKER_REQUEST_EXTEND_LEASE_ACK, message.SerializeToString())


def lease_answer(asked: pb.ExtendLease, lease_id: str) -> bytes:
    """Answer a request to renew a lease; with an empty id, it is refused."""
    message = pb.ExtendLeaseAck(
        request_id=asked.request_id, account_id=asked.account_id, env_id=asked.env_id, app_id=asked.app_id,
        function_slug=asked.function_slug,
    )  # fmt: skip
    if lease_id:
        message.new_lease_id = lease_id
    return _frame(pb.WORKER_REQUEST_EXTEND_LEASE_ACK, message.SerializeToString())


def acknowledge(request_id: str) -> bytes:
    """Report that a reply is durable."""
    return _frame(pb.WORKER_REPLY_ACK, pb.ReplyAck(request_id=request_id).SerializeToString())


def outcome(reply: pb.Reply, sdk: str) -> Outcome:
    """Understand a reply as if it had come over HTTP. `sdk` stands in for a version that it does not tell."""
    headers = {"x-inngest-sdk": reply.sdk_version or sdk}
    if reply.request_version:
        headers["x-inngest-req-version"] = str(reply.request_version)
    if reply.no_retry:
        headers["x-inngest-no-retry"] = "true"
    if reply.retry_after:
        headers["retry-after"] = reply.retry_after
    return read_response(_STATUSES.get(reply.status, 500), headers, reply.body, time.time_ns() // 1_000_000)


def work(reply: pb.Reply) -> Work | None:
    """Return what a reply is about, as its call said."""
    try:
        return _trace.decode(reply.system_trace_ctx).work
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _contexts(made: Request) -> tuple[bytes, bytes]:
    parent, state = trace_headers(made.context, made.app_id)
    user = {"traceparent": parent, "tracestate": state}
    sent = made.context.trace
    if sent is not None and sent.baggage:
        user["baggage"] = sent.baggage
    return msgspec.json.encode(_Trace(parent, made.work)), msgspec.json.encode(user)
