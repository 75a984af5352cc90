"""Frames of a session between the official Python SDK and the reference server, as they were recorded."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from holdfast.protocol import connect_pb2 as pb
from holdfast.protocol.calls import CallContext
from holdfast.server.connect import frames, hello
from holdfast.server.connect.driver import Call
from holdfast.server.drivers.driver import Request

RECORDED = json.loads((Path(__file__).parent / "recorded" / "session.json").read_text())


def recorded(kind: str) -> list[bytes]:
    return [base64.b64decode(frame["base64"]) for frame in RECORDED["frames"] if frame.get("kind") == kind]


def payload(kind: str) -> bytes:
    return pb.Frame.FromString(recorded(kind)[0]).payload


def test_what_the_gateway_writes_is_what_was_recorded() -> None:
    assert recorded("GATEWAY_HELLO")[0] == frames.HELLO
    assert frames.ready(120) == recorded("GATEWAY_CONNECTION_READY")[0]
    assert recorded("GATEWAY_HEARTBEAT")[0] == frames.HEARTBEAT
    ack = pb.ReplyAck.FromString(payload("WORKER_REPLY_ACK"))
    assert frames.acknowledge(ack.request_id) == recorded("WORKER_REPLY_ACK")[0]


def test_a_first_message_and_the_hash_of_its_worker_group() -> None:
    tokens: list[str] = []
    read = hello.read_hello(payload("WORKER_CONNECT"), tokens.append)
    (app,) = read.apps
    assert {app.name: app.hash} == RECORDED["groups"]
    assert app.slugs == {"rec-connect-two-steps", "rec-connect-slow", "rec-connect-fails"}
    assert (read.instance_id, read.manual, read.limit, app.version) == ("worker-1", False, 0, "1.0")
    assert tokens[0].count(".") == 2
    body = json.loads(hello.registration(read, app))
    assert (body["url"], body["deployType"], body["sdk"]) == (
        "ws://connect?app_name=rec-connect", "connect", "py:0.5.18",
    )  # fmt: skip


def test_a_call_has_every_field_that_was_recorded() -> None:
    theirs = pb.Request.FromString(payload("GATEWAY_EXECUTOR_REQUEST"))
    ctx = json.loads(theirs.request_payload)["ctx"]
    context = CallContext(
        theirs.run_id, theirs.function_id, ctx["job_id"], ctx["qi_id"], theirs.request_id, ctx["generation_id"],
        ctx["attempt"], ctx["max_attempts"],
    )  # fmt: skip
    call = Call(Request(context, theirs.app_id, theirs.function_slug, "", theirs.request_payload), None)
    call.lease = theirs.lease_id
    ours = pb.Request.FromString(pb.Frame.FromString(frames.request(call, theirs.app_name)).payload)

    def shape(message: pb.Request) -> dict[str, Any]:
        return {field.name: value for field, value in message.ListFields() if not field.name.endswith("_trace_ctx")}

    assert shape(ours) == shape(theirs)
    assert "traceparent" in json.loads(ours.system_trace_ctx)
    assert set(json.loads(ours.user_trace_ctx)) >= {"traceparent", "tracestate"}


def test_replies_are_understood_as_over_http() -> None:
    statuses = set()
    for frame in recorded("WORKER_REPLY"):
        reply = pb.Reply.FromString(pb.Frame.FromString(frame).payload)
        outcome = frames.outcome(reply, "")
        assert (outcome.sdk, outcome.request_version, outcome.error) == ("inngest-py:v0.5.18", 2, "")
        statuses.add(outcome.status)
    assert 206 in statuses
    assert frames.work(pb.Reply.FromString(payload("WORKER_REPLY"))) is None, "another server's context"


def test_leases_and_acknowledgements() -> None:
    asked = pb.ExtendLease.FromString(payload("WORKER_REQUEST_EXTEND_LEASE"))
    theirs = pb.ExtendLeaseAck.FromString(payload("WORKER_REQUEST_EXTEND_LEASE_ACK"))
    ours = frames.lease_answer(asked, theirs.new_lease_id)
    assert pb.ExtendLeaseAck.FromString(pb.Frame.FromString(ours).payload).new_lease_id == theirs.new_lease_id
    refused = pb.Frame.FromString(frames.lease_answer(pb.ExtendLease(request_id="r1"), ""))
    assert refused.SerializeToString() == bytes.fromhex("08 0D 12 04 0A 02 72 31")
    ack = pb.RequestAck.FromString(payload("WORKER_REQUEST_ACK"))
    assert ack.request_id == pb.Request.FromString(payload("GATEWAY_EXECUTOR_REQUEST")).request_id
