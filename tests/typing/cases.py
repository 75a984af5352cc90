"""What type checkers say about the SDK: each `assert_type` is checked by mypy and pyright, none of it runs."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from typing import Any, assert_type

from holdfast import (
    Client,
    Context,
    ContextSync,
    DeferHandle,
    DeferredFunction,
    Event,
    ExperimentResult,
    Function,
    Signal,
    TriggerEvent,
)
from holdfast.experimental.experiment import fixed
from holdfast.sdk.plans import FetchResponse

client = Client(app_id="typing")


@dataclasses.dataclass
class Order:
    id: str


@client.create_function(fn_id="leaf", trigger=TriggerEvent(event="go"))
async def leaf(ctx: Context) -> Order:
    return Order("x")


@client.create_function(fn_id="async", trigger=TriggerEvent(event="go"))
async def waiting(ctx: Context) -> Order:
    async def load(order_id: str, times: int) -> Order:
        return Order(order_id * times)

    def plain(n: int) -> list[int]:
        return [n]

    assert_type(await ctx.step.run("load", load, "a", 2), Order)
    assert_type(await ctx.step.run("plain", plain, 1), list[int])
    assert_type(await ctx.step.run("partial", functools.partial(load, "a", times=2)), Order)
    assert_type(await ctx.step.invoke("invoke", function=plain_function), int)
    assert_type(await ctx.step.wait_for_event("wait", event="x", timeout="1h"), Event | None)
    assert_type(await ctx.step.wait_for_signal("signal", signal="x", timeout=1000), Signal | None)
    assert_type(await ctx.step.send_event("send", Event(name="x")), list[str])
    assert_type(await ctx.step.fetch("fetch", "GET", "http://x"), FetchResponse)
    assert_type(await ctx.step.ai.wrap("wrap", load, order_id="a", times=1), Order)
    one = ctx.step.run("one", load, "a", 1)
    two = ctx.step.run("two", load, "b", 1)
    assert_type(await asyncio.gather(one, two), tuple[Order, Order])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.step.run("task", load, "a", 1))
    assert_type(task.result(), Order)
    assert_type(await ctx.group.parallel((lambda: ctx.step.run("p", plain, 1),)), tuple[list[int], ...])
    return Order("x")


@client.create_function(fn_id="sync", trigger=TriggerEvent(event="go"))
def plain_function(ctx: ContextSync) -> int:
    def load(order_id: str) -> Order:
        return Order(order_id)

    assert_type(ctx.step.run("load", load, "a"), Order)
    assert_type(ctx.step.invoke("invoke", function=leaf), Order)
    assert_type(ctx.step.sleep("nap", "3d"), None)
    assert_type(ctx.event.data_as(Order), Order)
    return 1


assert_type(waiting, Function[Order])
assert_type(plain_function, Function[int])


async def wrong(ctx: Context) -> Any:
    async def load(order_id: str) -> Order:
        return Order(order_id)

    await ctx.step.run("load", load, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


@client.create_defer(fn_id="deferred")
async def deferred(ctx: Context) -> int:
    return len(ctx.parents)


async def extras(ctx: Context) -> None:
    async def load(order_id: str) -> Order:
        return Order(order_id)

    assert_type(deferred, DeferredFunction[int])
    assert_type(ctx.defer("d", function=deferred, data={"n": 1}), DeferHandle)
    got = await ctx.group.experiment("e", variants={"a": lambda: ctx.step.run("a", load, "1")}, select=fixed("a"))
    assert_type(got, ExperimentResult[Order])
    assert_type(ctx.sessions, dict[str, str])
