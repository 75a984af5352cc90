"""Encryption: what the official middleware encrypts is read here, and the other way round; nothing leaves in clear."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import inngest
import inngest_encryption
import pytest

from holdfast import Client, Context, Event, Inngest, StepMemos, TransformOutputResult, TriggerEvent
from holdfast.encryption import DecryptionError, EncryptionMiddleware
from holdfast.sdk.answers import CommRequest
from holdfast.sdk.consts import Framework
from holdfast.sdk.handler import CommHandler

KEYS: list[Any] = ["a passphrase", b"00112233445566778899aabbccddeeff" * 2]


def mine(key: Any, **options: Any) -> EncryptionMiddleware:
    return EncryptionMiddleware(Inngest(app_id="app", is_production=False), None, key, **options)


def theirs(key: Any) -> inngest_encryption.EncryptionMiddleware:
    return inngest_encryption.EncryptionMiddleware(inngest.Inngest(app_id="app", is_production=False), None, key)


@pytest.mark.parametrize("key", KEYS)
def test_both_sides_read_each_other(key: Any) -> None:
    ours, official = (
        TransformOutputResult(None, {"a": [1]}, None),
        inngest.TransformOutputResult(None, {"a": [1]}, None),
    )
    mine(key).transform_output(ours)
    theirs(key).transform_output(official)
    assert ours.output != {"a": [1]} != official.output
    ctx: Any = type("ctx", (), {"event": Event(name="x"), "events": [Event(name="x")]})
    memos, other = (
        StepMemos.from_raw({"1": {"data": official.output}}),
        inngest.StepMemos.from_raw({"1": {"data": ours.output}}),
    )
    mine(key).transform_input(ctx, None, memos)  # type: ignore[arg-type]
    theirs(key).transform_input(ctx, None, other)  # type: ignore[arg-type]
    assert [next(memos.values()).data, next(other.values()).data] == [{"a": [1]}] * 2


def test_old_keys_decrypt_and_others_do_not() -> None:
    sent = [Event(name="x", data={"encrypted": {"card": 1}, "open": 2})]
    mine("old").before_send_events(sent)
    assert "card" not in json.dumps(sent[0].data)
    ctx: Any = type("ctx", (), {"event": sent[0], "events": []})
    with pytest.raises(DecryptionError):
        mine("new").transform_input(ctx, None, StepMemos({}))  # type: ignore[arg-type]
    mine("new", fallback_decryption_keys=["old"]).transform_input(ctx, None, StepMemos({}))  # type: ignore[arg-type]
    assert ctx.event.data == {"encrypted": {"card": 1}, "open": 2}


def test_parallel_invocations_leave_encrypted() -> None:
    client = Client(app_id="app", is_production=False, middleware=[EncryptionMiddleware.factory("key")])

    @client.create_function(fn_id="f", trigger=TriggerEvent(event="go"))
    async def parent(ctx: Context) -> None:
        await asyncio.gather(
            ctx.step.invoke_by_id("a", function_id="g", data={"encrypted": "secret"}),
            ctx.step.invoke_by_id("b", function_id="g", data={"encrypted": "secret"}),
        )

    event = {"name": "go", "data": {}}
    ctx = {"attempt": 0, "disable_immediate_execution": False, "run_id": "r"}
    body = json.dumps({"ctx": ctx, "event": event, "events": [event], "steps": {}, "use_api": False}).encode()
    handler = CommHandler(client=client, framework=Framework.ASGI, functions=[parent])
    request = CommRequest(body, {}, {"fnId": "app-f"}, None, "http://x/")
    answer = asyncio.run(handler.handle("POST", request))
    ops = json.loads(answer.content)
    assert [op["op"] for op in ops] == ["InvokeFunction", "InvokeFunction"]
    assert b"secret" not in answer.content
    assert ops[0]["opts"]["payload"]["data"]["encrypted"]["__ENCRYPTED__"] is True
