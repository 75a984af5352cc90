"""What a worker writes: whole frames, and what they are made of (`connect.md` §2, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.protocol import connect_pb2 as pb
from holdfast.protocol.durations import parse_go_duration
from holdfast.sdk.consts import HeaderKey

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from holdfast.sdk.answers import CommResponse

PAUSE: Final = pb.Frame(kind=pb.WORKER_PAUSE).SerializeToString()
READY: Final = pb.Frame(kind=pb.WORKER_READY).SerializeToString()
HEARTBEAT: Final = pb.Frame(kind=pb.WORKER_HEARTBEAT).SerializeToString()
_STATUSES: Final = {200: pb.DONE, 206: pb.NOT_COMPLETED}


def frame(kind: pb.Kind, message: Message | bytes) -> bytes:
    """Return a frame with a message, or with one that is encoded already."""
    payload = message if isinstance(message, bytes) else message.SerializeToString()
    return pb.Frame(kind=kind, payload=payload).SerializeToString()


def accepted(request: pb.Request) -> bytes:
    """Report that a call has arrived."""
    return frame(pb.WORKER_REQUEST_ACK, pb.RequestAck(request_id=request.request_id))


def extension(request: pb.Request, lease_id: str) -> bytes:
    """Ask for a longer lease of a call."""
    asked = pb.ExtendLease(
        request_id=request.request_id, account_id=request.account_id, env_id=request.env_id, app_id=request.app_id,
        function_slug=request.function_slug, lease_id=lease_id,
    )  # fmt: skip
    return frame(pb.WORKER_REQUEST_EXTEND_LEASE, asked)


def reply(request: pb.Request, answer: CommResponse) -> bytes:
    """Return the reply to a call, as it is sent over the socket or over HTTP: a message, without its frame."""
    headers = answer.headers
    version = headers.get(HeaderKey.REQUEST_VERSION.value, "")
    return pb.Reply(
        request_id=request.request_id, app_id=request.app_id, run_id=request.run_id, body=answer.content,
        status=_STATUSES.get(answer.status_code, pb.ERROR), no_retry=headers.get(HeaderKey.NO_RETRY.value) == "true",
        retry_after=headers.get(HeaderKey.RETRY_AFTER.value), sdk_version=headers.get(HeaderKey.SDK.value, ""),
        request_version=int(version) if version.isdigit() else 0, system_trace_ctx=request.system_trace_ctx,
    ).SerializeToString()  # fmt: skip


def seconds(text: str, default: float) -> float:
    """Return a duration such as `30s`, `1m30s` or `500ms` in seconds; the default if it is none."""
    try:
        return parse_go_duration(text) / 1e9 if text else default
    except ValueError:
        return default
