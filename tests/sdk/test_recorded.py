"""Calls that the reference made of the official SDK, answered by this one: the answers are the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from holdfast import Context, ContextSync, Inngest, StepError, TriggerEvent
from holdfast.sdk.answers import CommRequest
from holdfast.sdk.consts import Framework
from holdfast.sdk.handler import CommHandler

EXCHANGES = json.loads((Path(__file__).parent / "recorded" / "python.json").read_text("utf-8"))
client = Inngest(app_id="rec", is_production=False)


def function(fn_id: str) -> Any:
    return client.create_function(fn_id=fn_id, trigger=TriggerEvent(event="rec/x"), retries=1)


@function("no-step")
def no_step(ctx: ContextSync) -> Any:
    return {"ok": True, "text": "ünï ☃"}


@function("two-steps")
async def two_steps(ctx: Context) -> Any:
    return [await ctx.step.run("first step", lambda: {"n": 1}), await ctx.step.run("second", lambda: None)]


@function("parallel")
async def parallel(ctx: Context) -> Any:
    found = await asyncio.gather(*(ctx.step.run(f"p{n}", lambda value: value, n) for n in (1, 2, 3)))
    return await ctx.step.run("join", lambda: found)


@function("sleep")
async def sleep(ctx: Context) -> str:
    await ctx.step.sleep("zzz", 2000)
    return "awake"


@function("wait")
def wait(ctx: ContextSync) -> Any:
    event = ctx.step.wait_for_event("w", event="rec/go", if_exp="event.data.k == async.data.k", timeout=20_000)
    assert event is not None
    return event.data


@function("wait-timeout")
def wait_timeout(ctx: ContextSync) -> bool:
    return ctx.step.wait_for_event("w", event="rec/never", timeout=2000) is None


@function("invoke")
async def invoke(ctx: Context) -> Any:
    return await ctx.step.invoke_by_id("call", function_id="child", data={"x": 1})


@function("step-fails-caught")
async def step_fails_caught(ctx: Context) -> Any:
    def bad() -> None:
        raise RuntimeError("always")

    try:
        await ctx.step.run("bad", bad)
    except StepError as error:
        return {"caught": error.name, "message": error.message}


FUNCTIONS = [no_step, two_steps, parallel, sleep, wait, wait_timeout, invoke, step_fails_caught]


def name(exchange: dict[str, Any]) -> str:
    return f"{exchange['path'].partition('rec-')[2]} {len(exchange['request']['steps'])}"


@pytest.mark.parametrize("exchange", EXCHANGES, ids=map(name, EXCHANGES))
def test_the_answer_is_the_recorded_one(exchange: dict[str, Any]) -> None:
    handler = CommHandler(client=client, framework=Framework.ASGI, functions=FUNCTIONS)
    query = dict(parse_qsl(urlsplit(exchange["path"]).query))
    body = json.dumps(exchange["request"]).encode()
    answer = asyncio.run(handler.handle("POST", CommRequest(body, {}, query, None, "http://x/")))
    assert answer.status_code == exchange["status"]
    assert comparable(json.loads(answer.content)) == exchange["response"]


def comparable(answer: Any) -> Any:
    """Leave out of ops what is this SDK's own, or never the same."""
    for op in answer if isinstance(answer, list) else []:
        if not isinstance(op, dict) or "op" not in op:
            continue
        op.pop("timing", None)
        op.setdefault("data", None)
        for member in ("stack", "data"):
            op.get("error", {}).pop(member, None)
        if op.get("op") == "Sleep":
            op.pop("name")
    return answer
